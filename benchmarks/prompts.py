"""What the prompt and classifier-free guidance do.

    python benchmarks/prompts.py [MODEL] [COUNT]

Writes benchmarks/prompts.csv. Every case of a family on pilot cases, joint order:

prompt      own, another family's, none; guidance 1
guidance    own prompt, scales 1 to 4 against the empty prompt

and on *neutral* first frames, which tell nothing of a family: pictures of reappearance, where the disc could be meant by
its own prompt or by rotation's or bounce's. ``changed`` is the share of videos whose plan is another than under the own
prompt at guidance 1, the same noise.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.trajectories import sample_videos

FIRST = 200_000
GUIDANCE = (1.0, 1.5, 2.0, 4.0)
JOINT = {"order": "joint", "steps": 20}


def main(name: str = "mini", count: str = "64") -> None:
    """Measure and write the table."""
    model = load_yaml("config/models.yaml")[name]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    families, rows = list(model["training"]["families"]), []
    for place, family in enumerate(families):
        cases = case_dataset(family, "pilot", FIRST, int(count))
        other = worlds.family(families[(place + 1) % len(families)]).PROMPT
        own = worlds.family(family).PROMPT
        conditions = [("own", own, scale) for scale in GUIDANCE] + [("another", other, 1.0), ("none", "", 1.0)]
        base = None
        for label, prompt, scale in conditions:
            asked = cases.assign(prompt=("case", np.full(cases.sizes["case"], prompt, object)))
            settings = model | {"guidance_scale": scale}
            videos = sample_videos(pipe, asked, settings, JOINT, [0], 32)
            plans = np.stack(
                [
                    case_of(cases, case_id).read(video[0]).plan
                    for case_id, video in zip(cases["case"].values, videos, strict=True)
                ]
            )
            base = plans if base is None else base
            solved = video_scores(cases, videos)[:, 0] == 1
            low, high = proportion_confint(solved.sum(), len(solved), method="wilson")
            rows.append(
                {
                    "family": family,
                    "prompt": label,
                    "guidance_scale": scale,
                    "n": len(solved),
                    "success": solved.mean(),
                    "ci_low": low,
                    "ci_high": high,
                    "changed": (plans != base).any(1).mean(),
                }
            )
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3f")


if __name__ == "__main__":
    main(*sys.argv[1:])
