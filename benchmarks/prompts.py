"""What the prompt and classifier-free guidance do.

    python benchmarks/prompts.py [MODEL] [COUNT]

Writes benchmarks/prompts.csv; pilot cases, joint order, 20 steps.

own        own prompt, at guidance 1 to 4 against the empty prompt
another    the next family's prompt, at guidance 1
none       the empty prompt
neutral    the next family's prompt against the own one on first frames that tell of no family: a disc on an empty floor

``changed`` is the share of videos that differ, by more than a quarter of the pixel range in the mean of some cell and
frame, from the one of the same noise under the own prompt at guidance 1. On neutral frames there is nothing to
be solved.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from statsmodels.stats.proportion import proportion_confint

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.trajectories import sample_videos
from chainofsteps.worlds import grid

FIRST = 200_000
GUIDANCE = (1.0, 1.5, 2.0, 4.0)
JOINT = {"order": "joint", "steps": 20}


def changed(videos: np.ndarray, base: np.ndarray) -> float:
    """Share of videos (case, seed, frame, y, x, channel) with a cell that is another than in ``base``."""
    cells = grid.cells_of(videos.astype(np.float32) - base.astype(np.float32)).mean((-3, -2)) / 255
    return float((np.abs(cells) > 0.25).any((1, 2, 3, 4)).mean())


def lone_discs(count: int) -> np.ndarray:
    """Pictures of a red disc on an empty floor, uint8 (count, 32, 32, 3)."""
    floor = np.full((grid.GRID, grid.GRID), grid.FLOOR)
    return grid.render(floor, ("disc-red",), np.random.default_rng(0).integers(grid.CELLS, size=count))


def main(name: str = "mini", count: str = "64") -> None:
    """Measure and write the table."""
    model = load_yaml("config/models.yaml")[name]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    families, rows = list(model["training"]["families"]), []

    def sampled(cases: xr.Dataset, prompt: str, scale: float = 1.0) -> np.ndarray:
        asked = cases.assign(prompt=("case", np.full(cases.sizes["case"], prompt, object)))
        return sample_videos(pipe, asked, model | {"guidance_scale": scale}, JOINT, [0], 32)

    for place, family in enumerate(families):
        cases = case_dataset(family, "pilot", FIRST, int(count))
        own = worlds.family(family).PROMPT
        after = (worlds.family(name).PROMPT for name in families[place + 1 :] + families[:place])
        other = next(prompt for prompt in after if prompt != own)
        videos = {("own", scale): sampled(cases, own, scale) for scale in GUIDANCE}
        videos |= {("another", 1.0): sampled(cases, other), ("none", 1.0): sampled(cases, "")}
        for (prompt, scale), shown in videos.items():
            solved = video_scores(cases, shown)[:, 0] == 1
            low, high = proportion_confint(solved.sum(), len(solved), method="wilson")
            success = {"success": solved.mean(), "ci_low": low, "ci_high": high}
            row = {"family": family, "prompt": prompt, "guidance_scale": scale, "n": len(solved), **success}
            rows.append(row | {"changed": changed(shown, videos["own", 1.0])})
        frames = lone_discs(cases.sizes["case"])
        lone = cases.assign(first_frame=(cases["first_frame"].dims, frames))
        neutral = {"family": family, "prompt": "neutral", "guidance_scale": 1.0, "n": len(frames)}
        rows.append(neutral | {"changed": changed(sampled(lone, other), sampled(lone, own))})
        print(pd.DataFrame(rows[-7:]).to_string(), flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3f")


if __name__ == "__main__":
    main(*sys.argv[1:])
