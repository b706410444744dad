"""Intervals and tests with the case as the unit: cluster bootstrap, sign-flip permutation, TOST, Holm.

Values are one number a case (seeds already averaged), so resampling values is resampling cases with all that is nested
in them. Where the values are all alike there is nothing to resample: intervals and p-values are then NaN.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap, norm, permutation_test
from scipy.stats import t as student_t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from chainofsteps.refusal import Refused

LEAST_CASES = 3
_BATCH = 1000  # resamples held in memory at a time


def estimate(values: np.ndarray, regressor: np.ndarray | None = None) -> float:
    """Mean of the values (case,), or their least-squares slope on a regressor (case,).

    Of grids (case, step, frame): the step's share of the variance of the mean grid, less the frame's.
    """
    sample = _sample(values, regressor)
    return float(_statistic(values, regressor)(*sample, axis=-1))


def grid_shares(grids: np.ndarray) -> np.ndarray:
    """Shares of the variance of a (step, frame) grid that its two effects and their interaction explain.

    Sums of squares of the balanced two-way layout without replication.

    Parameters
    ----------
    grids : ndarray, (..., step, frame)

    Returns
    -------
    ndarray, (..., 3)
        Step, frame, interaction; they sum to 1, or are 0 where the grid does not vary.
    """
    centred = grids - grids.mean((-2, -1), keepdims=True)
    step, frame = centred.mean(-1, keepdims=True), centred.mean(-2, keepdims=True)
    parts = [np.broadcast_to(part**2, grids.shape).sum((-2, -1)) for part in (step, frame, centred - step - frame)]
    squares, total = np.stack(parts, axis=-1), (centred**2).sum((-2, -1))[..., None]
    return np.divide(squares, total, out=np.zeros_like(squares), where=total > 1e-12)


def is_constant(values: np.ndarray) -> bool:
    """Whether all cases are alike (to rounding), so that no interval and no test exist."""
    values = np.asarray(values, float)
    return bool((np.ptp(values, axis=0) <= 1e-12 * max(1.0, float(np.abs(values).max()))).all())


def bca_interval(
    values: np.ndarray, draws: int = 10_000, seed: int = 0, level: float = 0.95, regressor: np.ndarray | None = None
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987), expanded for few cases (Hesterberg 2015).

    A bootstrap distribution is as narrow as if the variance were divided by n and the quantiles were normal. Expanded,
    the interval of normal values is that of Student's t: its level is raised until z becomes t sqrt(n / (n - 1)).

    Parameters
    ----------
    values : array (case,), or (case, step, frame)
        One value a case, or one grid.
    draws, seed : int
        Number of resamples, and the seed that fixes them.
    level : float
        Coverage, in (0, 1).
    regressor : array (case,), optional
        Interval of the slope of values on it, cases resampled as pairs.

    Returns
    -------
    low, high : float
        NaN, NaN where all values (or all regressors) are alike, or where the resamples are.

    Raises
    ------
    Refused
        NaN, fewer than three cases, regressor of another length, level outside (0, 1).
    """
    sample = _sample(values, regressor)
    if not 0 < level < 1:
        raise Refused("bca_interval", "level", level, "a number between 0 and 1")
    if is_constant(values) or any(is_constant(part) for part in sample):
        return np.nan, np.nan
    resampled = _resample(sample, values, regressor, draws, seed)
    if is_constant(resampled.bootstrap_distribution):
        return np.nan, np.nan
    interval = bootstrap(
        sample,
        _statistic(values, regressor),
        n_resamples=0,
        bootstrap_result=resampled,
        confidence_level=_expanded(level, len(sample[0])),
        paired=regressor is not None,
        vectorized=True,
        method="BCa",
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _expanded(level: float, cases: int) -> float:
    """Level of the bootstrap interval that has the wanted coverage for few cases.

    Hesterberg (2015), What Teachers Should Know About the Bootstrap, The American Statistician 69, 371-386.
    """
    quantile = np.sqrt(cases / (cases - 1)) * student_t.ppf((1 + level) / 2, cases - 1)
    return float(1 - 2 * norm.sf(quantile))


def bootstrap_p(
    values: np.ndarray, draws: int = 10_000, seed: int = 0, regressor: np.ndarray | None = None, null: float = 0.0
) -> float:
    """Two-sided p of the mean (or slope) against ``null``: twice the smaller bootstrap tail, the sample counted in.

    NaN and refusals as in `bca_interval`, whose resamples it shares for the same draws and seed.
    """
    sample = _sample(values, regressor)
    if is_constant(values) or any(is_constant(part) for part in sample):
        return np.nan
    resampled = _resample(sample, values, regressor, draws, seed).bootstrap_distribution
    if is_constant(resampled):
        return np.nan
    tail = min(np.count_nonzero(resampled <= null), np.count_nonzero(resampled >= null))
    return min(1.0, 2 * (1 + tail) / (draws + 1))


def sign_flip(values: np.ndarray, draws: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of a mean of zero, by flipping the sign of whole cases (paired contrasts).

    Exact where all flips are fewer than ``draws``. NaN where all values are alike; refusals as in `bca_interval`.
    """
    (values,) = _sample(values, None)
    if is_constant(values):
        return np.nan
    test = permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def permutation_p(values: np.ndarray, regressor: np.ndarray, draws: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of a slope of zero, by permuting the regressor over cases: exact where it says nothing of the values.

    All permutations where they are fewer than ``draws``. NaN where all values or all regressors are alike; refusals as
    in `bca_interval`.
    """
    sample = _sample(values, regressor)
    if any(is_constant(part) for part in sample):
        return np.nan
    test = permutation_test(
        (sample[1],),
        lambda permuted, axis=-1: _slope(sample[0], permuted, axis),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=draws,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def mcnemar_p(values: np.ndarray) -> float:
    """Exact two-sided p that as many cases change for the better as for the worse (McNemar 1947).

    A case counts by the sign of its value; cases without a change are left out. NaN where no case changes; refusals as
    in `bca_interval`.
    """
    (values,) = _sample(values, None)
    better, worse = int((values > 0).sum()), int((values < 0).sum())
    if not better + worse:
        return np.nan
    return float(mcnemar([[0, better], [worse, 0]], exact=True).pvalue)


def tost(values: np.ndarray, smallest_effect: float) -> float:
    """p of two one-sided t tests: a small p says the mean lies within +- ``smallest_effect``.

    NaN where all values are alike; refusals as in `bca_interval`, and a smallest effect that is not positive.
    """
    (values,) = _sample(values, None)
    if not smallest_effect > 0:
        raise Refused("tost", "smallest_effect", smallest_effect, "a positive number")
    if is_constant(values):
        return np.nan
    return float(DescrStatsW(values).ttost_mean(-smallest_effect, smallest_effect)[0])


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p-values, in the order given; empty in, empty out.

    Raises
    ------
    Refused
        A p-value that is NaN or outside [0, 1].
    """
    p_values = np.asarray(p_values, float)
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise Refused("holm", "p_values", p_values.tolist(), "numbers from 0 to 1")
    return multipletests(p_values, method="holm")[1] if p_values.size else p_values


def _sample(values: np.ndarray, regressor: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """What is resampled: values, with their regressor; of grids, the numbers of the cases."""
    sample = tuple(np.asarray(part, float) for part in (values, regressor) if part is not None)
    for name, part in zip(("values", "regressor"), sample, strict=False):
        if part.ndim not in ((1, 3) if len(sample) == 1 else (1,)) or len(part) != len(sample[0]):
            raise Refused("statistics", name, f"shape {part.shape}", "one number (or grid) a case")
        if len(part) < LEAST_CASES:
            raise Refused("statistics", name, f"{len(part)} cases", f"at least {LEAST_CASES} cases")
        if not np.isfinite(part).all():
            raise Refused("statistics", name, "NaN or infinity", "finite numbers only")
    return sample if sample[0].ndim == 1 else (np.arange(len(sample[0])),)


def _statistic(values: np.ndarray, regressor: np.ndarray | None):
    if regressor is not None:
        return _slope
    grids = np.asarray(values, float)
    if grids.ndim == 1:
        return np.mean

    def share_difference(cases: np.ndarray, axis: int = -1) -> np.ndarray:
        # Mean over the cases drawn, as how often each was: (..., case) numbers to (..., step, frame).
        counts = (cases[..., None] == np.arange(len(grids))).sum(-2) / cases.shape[-1]
        shares = grid_shares(np.tensordot(counts, grids, axes=1))
        return shares[..., 0] - shares[..., 1]

    return share_difference


def _slope(values: np.ndarray, regressor: np.ndarray, axis: int = -1) -> np.ndarray:
    centred = regressor - regressor.mean(axis=axis, keepdims=True)
    spread = (centred**2).sum(axis=axis)
    # A resample of cases of one difficulty has no slope of its own; the least-norm solution is 0.
    return np.divide(
        (values * centred).sum(axis=axis), spread, out=np.zeros_like(spread), where=spread > 1e-12, dtype=float
    )


def _resample(sample: tuple[np.ndarray, ...], values: np.ndarray, regressor: np.ndarray | None, draws: int, seed: int):
    # The percentile method only draws; bca_interval takes its resamples, so that a degenerate draw is seen first.
    return bootstrap(
        sample,
        _statistic(values, regressor),
        n_resamples=draws,
        batch=_BATCH,
        paired=regressor is not None,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
