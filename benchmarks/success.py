"""Success of a model on 256 new cases a family, all difficulties, in both orders.

    python benchmarks/success.py [MODEL] [COUNT]

Writes benchmarks/success.csv: share solved with a 95 % Wilson interval, network evaluations, seconds. The cases are
pilot cases that neither training nor its held-out log has used.
"""

import sys
import time
from pathlib import Path

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.trajectories import sample_videos

FIRST = 100_000
EXPERIMENTS = {
    "joint": {"order": "joint", "steps": 20, "evaluations": 20},
    "frame_by_frame": {"order": "frame_by_frame", "steps": 3, "evaluations": 24},
}


def main(name: str = "mini", count: str = "256") -> None:
    """Measure and write the table."""
    model = load_yaml("config/models.yaml")[name]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    rows = []
    for family in model["training"]["families"]:
        cases = case_dataset(family, "pilot", FIRST, int(count))
        for experiment, settings in EXPERIMENTS.items():
            start = time.perf_counter()
            solved = video_scores(cases, sample_videos(pipe, cases, model, settings, [0], 32))[:, 0] == 1
            seconds = time.perf_counter() - start
            by_difficulty = pd.Series(solved).groupby(cases["difficulty"].values).mean()
            low, high = proportion_confint(solved.sum(), len(solved), method="wilson")
            rows.append(
                {
                    "family": family,
                    "experiment": experiment,
                    "evaluations": settings["evaluations"],
                    "cases": len(solved),
                    "solved": solved.mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "by_difficulty": " ".join(f"{level}:{share:.2f}" for level, share in by_difficulty.items()),
                    "seconds": seconds,
                }
            )
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3f")


if __name__ == "__main__":
    main(*sys.argv[1:])
