"""How many steps each sampling order needs: success by family, level and steps, to find each order's own best.

    python benchmarks/steps_by_order.py [MODEL] [COUNT]

Writes benchmarks/steps_by_order.csv: pilot cases, one seed, finished videos. Joint order takes as many network
evaluations as steps; frame by frame eight times as many, a free frame after the other.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from statsmodels.stats.proportion import proportion_confint

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.doors import evaluations
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.trajectories import sample_videos

FIRST, BATCH, WORKERS = 300_000, 32, 2
STEPS = {"joint": (1, 2, 3, 4, 8, 20, 40), "frame_by_frame": (1, 2, 3, 4, 6, 8)}


def measure(name: str, family: str, count: int) -> list[dict]:
    """Rows of a family."""
    torch.set_num_threads(1)
    model = load_yaml("config/models.yaml")[name]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    rows = []
    for level in worlds.family(family).LEVELS:
        cases = case_dataset(family, "pilot", FIRST, count, level)
        for order, choices in STEPS.items():
            for steps in choices:
                settings = {"order": order, "steps": steps}
                videos = sample_videos(pipe, cases, model, settings, [0], BATCH)
                solved = int((video_scores(cases, videos) == 1).sum())
                low, high = proportion_confint(solved, count, method="wilson")
                spent = {"evaluations": evaluations(settings, model["frames"]), "n": count}
                success = {"success": solved / count, "ci_low": low, "ci_high": high}
                rows.append({"family": family, "level": level, **settings, **spent, **success})
    return rows


def main(name: str = "mini", count: str = "32") -> None:
    """Measure and write the table; a family's rows are written as soon as they are known."""
    families, rows = list(load_yaml("config/models.yaml")[name]["training"]["families"]), []
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        given = [name] * len(families), families, [int(count)] * len(families)
        for part in pool.map(measure, *given):
            rows += part
            print(pd.DataFrame(part).to_string(), flush=True)
            pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3f")


if __name__ == "__main__":
    main(*sys.argv[1:])
