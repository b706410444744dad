"""Error of reader and scorer on ground truth: rendered, sent through the shipped VAE, read back.

    python benchmarks/reader.py [MODEL] [COUNT]

Writes benchmarks/reader.csv, by family and level, on pilot cases: ``frames_wrong`` is the share of frames whose state
is read as another than the one that was drawn, ``videos_refused`` the share of right videos that do not get full marks;
with the upper end of the 95 % interval (Clopper and Pearson) of each. The row ``all`` holds all of them.
Frames of a video are not independent, so the interval of frames is narrower than it should be. That wrong videos are
not taken for right ones is for the controls of the scorer (tests/unit/test_worlds.py).
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from statsmodels.stats.proportion import proportion_confint

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import read_manifest
from chainofsteps.models.encode import encode_videos
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.decode import TrajectoryDecoder

FIRST, BATCH = 600_000, 64


def counts(wrong: np.ndarray, what: str, total: str) -> dict[str, float]:
    """Number, share and upper end of its interval."""
    upper = proportion_confint(wrong.sum(), wrong.size, method="beta")[1]
    return {total: wrong.size, what: wrong.mean(), f"{what}_ci_high": upper}


def main(name: str = "mini", count: str = "256") -> None:
    """Measure and write the table."""
    model = load_yaml("config/models.yaml")[name]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    rows, frames, videos = [], [], []
    for family in model["training"]["families"]:
        for level in worlds.family(family).LEVELS:
            cases = case_dataset(family, "pilot", FIRST, int(count), level)
            latents = encode_videos(pipe.vae, cases["ground_truth"].values).float()
            with torch.no_grad():
                shown = np.concatenate([TrajectoryDecoder(pipe, BATCH)(part) for part in latents.split(BATCH)])
            read = [case_of(cases, each).read(shown[i, None]).plan[0] for i, each in enumerate(cases["case"].values)]
            frames.append(np.stack(read) != cases["plan"].values)
            videos.append(video_scores(cases, shown[:, None])[:, 0] < 1)
            row = counts(frames[-1], "frames_wrong", "frames") | counts(videos[-1], "videos_refused", "videos")
            rows.append({"family": family, "level": level} | row)
            print(rows[-1], flush=True)
    total = [np.concatenate([part.ravel() for part in parts]) for parts in (frames, videos)]
    row = counts(total[0], "frames_wrong", "frames") | counts(total[1], "videos_refused", "videos")
    rows.append({"family": "all", "level": "all"} | row)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.4g")


if __name__ == "__main__":
    main(*sys.argv[1:])
