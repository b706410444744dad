"""Intervals and tests with the case as the unit: cluster bootstrap, sign-flip permutation, TOST, Holm.

Values are one number a case (seeds already averaged), so resampling values is resampling cases with all that is nested
in them. Where the values are all alike there is nothing to resample: intervals and p-values are then NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap, norm, permutation_test
from scipy.stats import t as student_t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from chainofsteps.refusal import Refused

LEAST_CASES = 3
_BATCH = 1000  # resamples held in memory at a time


def estimate(values: np.ndarray, regressor: np.ndarray | None = None) -> float:
    """Mean of the values (case,), or their least-squares slope on a regressor (case,)."""
    return float(_statistic(regressor)(*_sample(values, regressor), axis=-1))


def is_constant(values: np.ndarray) -> bool:
    """Whether all cases are alike (to rounding), so that no interval and no test exist."""
    values = np.asarray(values, float)
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def bca_interval(
    values: np.ndarray, draws: int = 10_000, seed: int = 0, level: float = 0.95, regressor: np.ndarray | None = None
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987), expanded for few cases (Hesterberg 2015).

    A bootstrap distribution is as narrow as if the variance were divided by n and the quantiles were normal. Expanded,
    the interval of normal values is that of Student's t: its level is raised until z becomes t sqrt(n / (n - 1)).

    Parameters
    ----------
    values : array (case,)
        One value a case.
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
    if any(is_constant(part) for part in sample):
        return np.nan, np.nan
    resampled = _resample(sample, regressor, draws, seed)
    if is_constant(resampled.bootstrap_distribution):
        return np.nan, np.nan
    interval = bootstrap(
        sample,
        _statistic(regressor),
        n_resamples=0,
        bootstrap_result=resampled,
        confidence_level=_expanded(level, len(sample[0])),
        paired=regressor is not None,
        vectorized=True,
        method="BCa",
    ).confidence_interval
    return float(interval.low), float(interval.high)


def bca_intervals(
    statistic: Callable[[np.ndarray], np.ndarray], cases: int, draws: int = 10_000, seed: int = 0, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """As `bca_interval`, of several numbers at once, whatever is nested in a case.

    Parameters
    ----------
    statistic : callable
        Takes places of cases, int (..., case), gives numbers (k, ...).
    cases : int
        Number of cases, at least three.
    draws, seed, level
        As of `bca_interval`.

    Returns
    -------
    low, high : ndarray, (k,)
        NaN where all resamples are alike.
    """
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        interval = bootstrap(
            (np.arange(cases),),
            lambda places, axis=-1: statistic(places),
            n_resamples=draws,
            batch=_BATCH,
            confidence_level=_expanded(level, cases),
            vectorized=True,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return interval.low, interval.high


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
    if any(is_constant(part) for part in sample):
        return np.nan
    resampled = _resample(sample, regressor, draws, seed).bootstrap_distribution
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


def tost(values: np.ndarray, smallest_effect: float, draws: int = 10_000, seed: int = 0) -> float:
    """p of two one-sided tests: a small p says the mean lies within +- ``smallest_effect``.

    Each side is held against the distribution of t over resamples of the cases in place of Student's (bootstrap-t,
    Efron and Tibshirani 1993, chapter 12.5): Student's rejects too often on the long side of skewed values.

    NaN where all values are alike; refusals as in `bca_interval`, and a smallest effect that is not positive.
    """
    (values,) = _sample(values, None)
    if not smallest_effect > 0:
        raise Refused("tost", "smallest_effect", smallest_effect, "a positive number")
    if is_constant(values):
        return np.nan
    mean, error = _mean_and_error(values)
    means, errors = bootstrap(
        (values,),
        _mean_and_error,
        n_resamples=draws,
        batch=_BATCH,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).bootstrap_distribution
    # A resample of cases that are all alike is infinitely sure of its mean, right (0 / 0) or wrong.
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.nan_to_num((means - mean) / errors, nan=0.0, posinf=np.inf, neginf=-np.inf)
    below = np.count_nonzero(drawn <= (mean - smallest_effect) / error)
    above = np.count_nonzero(drawn >= (mean + smallest_effect) / error)
    return (1 + max(below, above)) / (draws + 1)


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
    sample = tuple(np.asarray(part, float) for part in (values, regressor) if part is not None)
    for name, part in zip(("values", "regressor"), sample, strict=False):
        if part.ndim != 1 or len(part) != len(sample[0]):
            raise Refused("statistics", name, f"shape {part.shape}", "one number a case")
        if len(part) < LEAST_CASES:
            raise Refused("statistics", name, f"{len(part)} cases", f"at least {LEAST_CASES} cases")
        if not np.isfinite(part).all():
            raise Refused("statistics", name, "NaN or infinity", "finite numbers only")
    return sample


def _statistic(regressor: np.ndarray | None):
    return np.mean if regressor is None else _slope


def _mean_and_error(values: np.ndarray, axis: int = -1) -> np.ndarray:
    error = values.std(axis=axis, ddof=1) / np.sqrt(values.shape[axis])
    return np.stack([values.mean(axis=axis), error])


def _slope(values: np.ndarray, regressor: np.ndarray, axis: int = -1) -> np.ndarray:
    centred = regressor - regressor.mean(axis=axis, keepdims=True)
    spread = (centred**2).sum(axis=axis)
    # A resample of cases of one difficulty has no slope of its own; the least-norm solution is 0.
    return np.divide(
        (values * centred).sum(axis=axis), spread, out=np.zeros_like(spread), where=spread > 1e-12, dtype=float
    )


def _resample(sample: tuple[np.ndarray, ...], regressor: np.ndarray | None, draws: int, seed: int):
    # The percentile method only draws; bca_interval takes its resamples, so that a degenerate draw is seen first.
    return bootstrap(
        sample,
        _statistic(regressor),
        n_resamples=draws,
        batch=_BATCH,
        paired=regressor is not None,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
