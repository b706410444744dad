"""Where the variance lies: between cases, seeds and frames (nested), and over the step x frame grid (crossed).

Shares of a description, beside the claims: nothing is tested here. The layouts are balanced, so components are had from
mean squares (Searle, Casella and McCulloch 1992, Variance Components, chapter 4), which are those of restricted maximum
likelihood where none is negative. A mixed model by likelihood needs a start and a normal residual; on commitment steps,
which are mostly tied, it does not converge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from chainofsteps.refusal import NotMeasured
from chainofsteps.statistics import inference
from chainofsteps.statistics.estimands import GIVEN_FRAME
from chainofsteps.statistics.experiment_estimands import grid_above_floor, grid_shares

COMMITMENT, GRID = "commitment_step", "others_lost"
NESTED, CROSSED = ("case", "seed", "frame"), ("step", "frame", "both")

COLUMNS = {
    "experiment": ("", "experiment that the values are of"),
    "family": ("", "family of worlds; all: pooled"),
    "variable": ("", "variable whose variance is shared out"),
    "part": ("", "what explains it; frame: within a stream; both: the interaction of step and frame, with chance"),
    "share": ("share of variance", "part of the variance"),
    "ci_low": ("share of variance", "lower end of the 95 % BCa interval over cases"),
    "ci_high": ("share of variance", "upper end of the 95 % BCa interval over cases"),
    "n_cases": ("", "cases"),
}


def case_moments(values: np.ndarray) -> np.ndarray:
    """What `nested_shares` needs of each case: its mean, the variance of its seeds' means, and that within its seeds.

    Parameters
    ----------
    values : ndarray, (case, seed, frame)
        At least two seeds and frames.

    Returns
    -------
    ndarray, (case, 3)
    """
    of_seeds = values.mean(2)
    return np.stack([of_seeds.mean(1), of_seeds.var(1, ddof=1), values.var(2, ddof=1).mean(1)], axis=1)


def nested_shares(moments: np.ndarray, seeds: int, frames: int) -> np.ndarray:
    """Shares of the variance between cases, between seeds of a case, and between frames of a stream.

    Parameters
    ----------
    moments : ndarray, (..., case, 3)
        As `case_moments` gives them, of at least two cases.
    seeds, frames : int
        Number of seeds a case and of frames a stream.

    Returns
    -------
    ndarray, (3, ...)
        Sum 1, negative components taken for 0; all 0 where nothing varies.
    """
    between_cases = moments[..., 0].var(-1, ddof=1)
    between_seeds, frame = moments[..., 1].mean(-1), moments[..., 2].mean(-1)
    parts = np.stack([between_cases - between_seeds / seeds, between_seeds - frame / frames, frame])
    parts = np.maximum(parts, 0)
    total = parts.sum(0)
    return np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)


def variance_table(
    datasets: Iterable[xr.Dataset], grid_kind: str | None, draws: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Shares with their intervals, a row an experiment, family and part.

    Parameters
    ----------
    datasets : iterable of Dataset
        Features, of which the commitment steps of free frames are shared out; erasures, of which the grid of damage
        above the floor is. Others are passed over, as are grids that are not whole.
    grid_kind : str or None
        Kind of noise whose grid is shared out; none where no claim asks about a grid.
    draws, seed : int
        As of `inference.bca_intervals`.

    Returns
    -------
    DataFrame
        `COLUMNS`; intervals are NaN where a part is 0 and hardly varies over resamples.
    """
    rows = []
    for dataset in datasets:
        if COMMITMENT in dataset:
            free = dataset[COMMITMENT].sel(frame=dataset["frame"] > GIVEN_FRAME)
            values = free.transpose("case", "seed", "frame").values
            seeds, frames = values.shape[1:]
            if min(seeds, frames) > 1 and len(values) >= inference.LEAST_CASES:
                place = dataset.attrs["experiment"], dataset.attrs["family"], COMMITMENT
                shares = partial(nested_shares, seeds=seeds, frames=frames)
                rows += _rows(place, NESTED, case_moments(values), shares, draws, seed)
        elif GRID in dataset and grid_kind is not None:
            try:
                values = grid_above_floor(dataset, grid_kind).values
            except NotMeasured:
                continue
            if min(values.shape[1:]) > 1 and len(values) >= inference.LEAST_CASES:
                place = dataset.attrs["experiment"], "all", GRID
                rows += _rows(place, CROSSED, values, _mean_grid_shares, draws, seed)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean_grid_shares(grids: np.ndarray) -> np.ndarray:
    return grid_shares(grids.mean(-3))


def _rows(
    place: tuple, parts: tuple, values: np.ndarray, shares: Callable[[np.ndarray], np.ndarray], draws: int, seed: int
) -> list[tuple]:
    """Of values (case, ...), whose cases are drawn anew with all that is in them."""
    lows, highs = inference.bca_intervals(lambda cases: shares(values[cases]), len(values), draws, seed)
    return [
        (*place, part, share, low, high, len(values))
        for part, share, low, high in zip(parts, shares(values), lows, highs, strict=True)
    ]
