"""Plans without symbolic truth held against symbolic ones, on videos where both are known.

    python benchmarks/motion_energy.py            # after a run: reads results/cases, trajectories and features

Writes benchmarks/motion_energy.csv, a row a family and sampling order of the default run: how commitment steps, scores
and candidates that are taken from pixels alone (``chainofsteps.readout.motion_energy``) agree with those of the reader
of states. What a candidate stands out from was changed after the first such table; thresholds were not.

``within_one``: share of free frames whose commitment steps differ by at most one; ``rank_correlation``: Spearman's,
over free frames of all streams; ``sequentiality``: mean slope over frames, both ways, as in E1; ``auc``: how often a
right video agrees more with its ground truth than a wrong one (the first clean estimate counted as one);
``candidates``: mean number in free frames at both ends of the run, and the entropy of states in bit beside them.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr
from tqdm import tqdm

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.readout.motion_energy import motion_features

ROOT = Path(__file__).parents[1]
GRID = (8, 8)  # the worlds' own cells


def slopes(steps: np.ndarray, evaluations: int) -> np.ndarray:
    """Slope of commitment over the free frames, scaled as E1 scales it; (stream, frame) to (stream,)."""
    frames = np.arange(1, steps.shape[1] + 1)
    centred = frames - frames.mean()
    return (steps * centred).sum(1) / (centred**2).sum() * (len(frames) - 1) / evaluations


def separation(scores: np.ndarray, right: np.ndarray) -> float:
    """Area under the curve: probability that a right one scores more than a wrong one, ties half."""
    ranks, good = rankdata(scores), right.sum()
    if good in (0, len(right)):
        return np.nan
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * (len(right) - good)))


def compare(family: str, experiment: str) -> dict[str, object]:
    """A row of the table."""
    results = ROOT / "results"
    cases = datasets.read(results / "cases" / f"{family}.nc", "cases")
    sampled = datasets.read(results / "trajectories" / "mini" / experiment / f"{family}.nc", "trajectories")
    read = datasets.read(results / "features" / "mini" / experiment / f"{family}.nc", "features")
    ours: dict[str, list] = {"steps": [], "agreement": [], "candidates": []}
    for number in range(cases.sizes["case"]):
        truth = cases["ground_truth"].values[number]
        for video in sampled["clean_estimate"].values[number]:
            features = motion_features(video, truth, *GRID)
            ours["steps"].append(features["commitment_step"].values[1:])
            ours["agreement"].append(features["agreement"].values[[0, -1]])
            ours["candidates"].append(features["candidates"].values[[0, -1], 1:].mean(1))
    steps, agreement, candidates = (np.array(values) for values in ours.values())
    symbolic = read["commitment_step"].values[:, :, 1:].reshape(steps.shape)
    right = read["correct"].values[:, :, [0, -1]].reshape(agreement.shape) == 1
    bits = read["entropy"].isel(step=[0, -1]).mean("frame").values.reshape(agreement.shape)
    count = sampled.sizes["step"]
    return {
        "family": family,
        "experiment": experiment,
        "streams": len(steps),
        "within_one": float((np.abs(steps - symbolic) <= 1).mean()),
        "rank_correlation": float(spearmanr(steps.ravel(), symbolic.ravel()).statistic),
        "sequentiality_pixels": float(slopes(steps, count).mean()),
        "sequentiality_states": float(slopes(symbolic, count).mean()),
        "auc": separation(agreement.ravel(), right.ravel()),
        "candidates_first": float(candidates[:, 0].mean()),
        "candidates_last": float(candidates[:, 1].mean()),
        "entropy_first": float(np.nanmean(bits[:, 0])),
        "entropy_last": float(np.nanmean(bits[:, 1])),
    }


def main() -> None:
    """Compare and write the table."""
    config = load_yaml(ROOT / "config/config.yaml")
    pairs = [(family, name) for name in config["experiments"] for family in config["cases"]["families"]]
    table = pd.DataFrame([compare(*pair) for pair in tqdm(pairs, unit="dataset")])
    table.to_csv(ROOT / "benchmarks" / "motion_energy.csv", index=False, float_format="%.3g")
    print(table.to_string())


if __name__ == "__main__":
    main()
