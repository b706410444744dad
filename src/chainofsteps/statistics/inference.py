"""Intervals and tests with the case as the unit: cluster bootstrap, sign-flip permutation, TOST, Holm.

Values are one number a case (seeds already averaged), so resampling values is resampling cases with all that is nested
in them. Where the values are all alike there is nothing to resample: intervals and p-values are then NaN.

Cases are drawn *by design*: so many of each difficulty, or of each family. What differs between these strata is the
same in any other draw, so it is no part of an estimate's error. :func:`by_design` takes it out of the values before
they are resampled.
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


def estimate(values: np.ndarray) -> float:
    """Mean of the values (case,)."""
    return float(_sample(values)[0].mean())


def slope_parts(values: np.ndarray, regressor: np.ndarray) -> np.ndarray:
    """Least-squares slope of the values on a regressor, and how far each case bends it: the slope is the mean of these.

    Slope plus n times weight times residual: they spread as the slope does, whatever the values' own level, with the
    regressor taken as fixed, as difficulties are. 0 where all regressors are alike.

    Parameters
    ----------
    values, regressor : array (case,)

    Returns
    -------
    ndarray, (case,)
    """
    values, regressor = _sample(values, regressor)
    weights = _slope_weights(regressor)
    slope = (weights * values).sum()
    residual = values - values.mean() - slope * (regressor - regressor.mean())
    return slope + len(values) * weights * residual


def difference_parts(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What each case adds to the difference of two groups' means: the difference is the mean of these.

    Parameters
    ----------
    values, others : array (case,)
        Of the two groups; their numbers may differ.

    Returns
    -------
    ndarray, (case,)
        Those of the values, then those of the others.
    """
    total = len(values) + len(others)
    return np.concatenate([np.divide(values, len(values) / total), -np.divide(others, len(others) / total)])


def strata_of(labels: np.ndarray) -> np.ndarray:
    """Number of the stratum of each case (case,), from labels that sort; neighbours of few cases are put together.

    Inside fewer than `LEAST_CASES` cases no spread is measured, so such strata are collapsed (Cochran 1977, Sampling
    Techniques, 5A.12).
    """
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    number, held, numbers = 0, 0, np.zeros(len(counts), int)
    for index, count in enumerate(counts):
        numbers[index] = number
        held += count
        if held >= LEAST_CASES and counts[index + 1 :].sum() >= LEAST_CASES:
            number, held = number + 1, 0
    return numbers[place]


def by_design(values: np.ndarray, strata: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Values without what differs between strata, around the same mean, and the degrees of freedom of their spread.

    The mean over cases of a stratified draw has the variance sum(n_h s_h^2) / n^2 over its strata (Cochran 1977, 5.3).
    Deviations from the means of the strata, each times sqrt(n_h / (n_h - 1)), have as many cases, and a mean of that
    variance when they are drawn with replacement.

    Parameters
    ----------
    values : array (case,)
    strata : array of int (case,), optional
        As of `strata_of`; one stratum where it is None.

    Returns
    -------
    ndarray, (case,)
    float
        Degrees of freedom by Satterthwaite (1946, Biometrics Bulletin 2): cases less strata where these are alike, and
        hardly more than those of a stratum that holds most of the spread. NaN where nothing spreads.
    """
    (values,) = _sample(values)
    strata = np.zeros(len(values), int) if strata is None else np.asarray(strata)
    if strata.shape != values.shape:
        raise Refused("statistics", "strata", f"shape {strata.shape}", "one number a case")
    counts = np.bincount(strata)
    if counts.min() < 2:
        raise Refused("statistics", "strata", "a stratum of one case", "at least 2 cases, to see them spread")
    deviation = values - (np.bincount(strata, values) / counts)[strata]
    spread = deviation * np.sqrt(counts / (counts - 1))[strata]
    variances = np.bincount(strata, spread**2)
    with np.errstate(invalid="ignore"):
        freedom = variances.sum() ** 2 / (variances**2 / (counts - 1)).sum()
    return values.mean() + spread, float(freedom)


def is_constant(values: np.ndarray) -> bool:
    """Whether all cases are alike (to rounding), so that no interval and no test exist."""
    values = np.asarray(values, float)
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def mean_interval(
    values: np.ndarray, draws: int = 10_000, seed: int = 0, level: float = 0.95, strata: np.ndarray | None = None
) -> tuple[float, float]:
    """Interval of the mean, each end the further one of two: a bootstrap's and Student's.

    The bootstrap's is bias-corrected and accelerated (BCa, Efron 1987), widened for few cases: its distribution has
    normal quantiles where few cases need Student's, so both ends are moved from the mean by t / z. (Raising the level
    instead, as Hesterberg 2015 does, asks for quantiles that lie beyond all draws where strata leave few degrees of
    freedom.) Neither of the two is wide enough everywhere: Student's falls short on the long side of skewed values, BCa
    where a few large values on both sides look skewed by chance (docs/calibration.md).

    Parameters
    ----------
    values : array (case,)
        One value a case; of a slope or a difference, its parts.
    draws, seed : int
        Number of resamples, and the seed that fixes them.
    level : float
        Coverage of each of the two, in (0, 1).
    strata : array of int (case,), optional
        See `by_design`.

    Returns
    -------
    low, high : float
        NaN, NaN where all values are alike inside their strata, or where the resamples are.

    Raises
    ------
    Refused
        NaN, fewer than three cases, strata of another length, level outside (0, 1).
    """
    spread, freedom = by_design(values, strata)
    if not 0 < level < 1:
        raise Refused("mean_interval", "level", level, "a number between 0 and 1")
    if is_constant(spread):
        return np.nan, np.nan
    # The percentile method only draws, so that degenerate resamples are seen first.
    given = {"statistic": np.mean, "vectorized": True}
    resampled = bootstrap(
        (spread,), n_resamples=draws, batch=_BATCH, method="percentile", rng=np.random.default_rng(seed), **given
    )
    if is_constant(resampled.bootstrap_distribution):
        return np.nan, np.nan
    interval = bootstrap(
        (spread,), n_resamples=0, bootstrap_result=resampled, confidence_level=level, method="BCa", **given
    ).confidence_interval
    mean, quantile = spread.mean(), (1 + level) / 2
    times = student_t.ppf(quantile, freedom)
    wider, student = times / norm.ppf(quantile), times * spread.std() / np.sqrt(len(spread))
    low = min(mean + wider * (interval.low - mean), mean - student)
    high = max(mean + wider * (interval.high - mean), mean + student)
    return float(low), float(high)


def bca_intervals(
    statistic: Callable[[np.ndarray], np.ndarray], cases: int, draws: int = 10_000, seed: int = 0, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """BCa intervals of several numbers at once, whatever is nested in a case; strata are left in.

    Their level is raised until z becomes t sqrt(n / (n - 1)) (Hesterberg 2015, What Teachers Should Know About the
    Bootstrap, The American Statistician 69, 371-386), so that shares stay shares.

    Parameters
    ----------
    statistic : callable
        Takes places of cases, int (..., case), gives numbers (k, ...).
    cases : int
        Number of cases, at least three.
    draws, seed, level
        As of `mean_interval`.

    Returns
    -------
    low, high : ndarray, (k,)
        NaN where all resamples are alike.
    """
    quantile = np.sqrt(cases / (cases - 1)) * student_t.ppf((1 + level) / 2, cases - 1)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        interval = bootstrap(
            (np.arange(cases),),
            lambda places, axis=-1: statistic(places),
            n_resamples=draws,
            batch=_BATCH,
            confidence_level=float(1 - 2 * norm.sf(quantile)),
            vectorized=True,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return interval.low, interval.high


def bootstrap_p(
    values: np.ndarray, draws: int = 10_000, seed: int = 0, null: float = 0.0, strata: np.ndarray | None = None
) -> float:
    """Two-sided p of the mean against ``null``: twice the smaller tail.

    Tails as of `tost`; NaN and refusals as in `mean_interval`.
    """
    below, above = _tails(values, null, null, draws, seed, strata)
    return float(np.minimum(1.0, 2 * np.minimum(below, above)))


def sign_flip(values: np.ndarray, draws: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of a mean of zero, by flipping the sign of whole cases (paired contrasts).

    Exact where all flips are fewer than ``draws``. NaN where all values are alike; refusals as in `mean_interval`.
    """
    (values,) = _sample(values)
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
    in `mean_interval`.
    """
    values, regressor = _sample(values, regressor)
    if is_constant(values) or is_constant(regressor):
        return np.nan
    weights = _slope_weights(regressor)
    test = permutation_test(
        (weights,),
        lambda permuted, axis=-1: (values * permuted).sum(axis=axis),
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
    in `mean_interval`.
    """
    (values,) = _sample(values)
    better, worse = int((values > 0).sum()), int((values < 0).sum())
    if not better + worse:
        return np.nan
    return float(mcnemar([[0, better], [worse, 0]], exact=True).pvalue)


def tost(
    values: np.ndarray, smallest_effect: float, draws: int = 10_000, seed: int = 0, strata: np.ndarray | None = None
) -> float:
    """p of two one-sided tests: a small p says the mean lies within +- ``smallest_effect``.

    Each side is held against the distribution of t over resamples of the cases (bootstrap-t, Efron and Tibshirani 1993,
    chapter 12.5; the sample counted in) and against Student's, and the larger p is taken: Student's rejects too often
    on the long side of skewed values, bootstrap-t where few cases hold most of the spread.

    NaN where all values are alike inside their strata; refusals as in `mean_interval`, and a smallest effect that is
    not positive.
    """
    if not smallest_effect > 0:
        raise Refused("tost", "smallest_effect", smallest_effect, "a positive number")
    return float(np.maximum(*_tails(values, smallest_effect, -smallest_effect, draws, seed, strata)))


def _tails(
    values: np.ndarray, below: float, above: float, draws: int, seed: int, strata: np.ndarray | None
) -> tuple[float, float]:
    """p of a mean that lies below a number, and of one that lies above another."""
    spread, freedom = by_design(values, strata)
    if is_constant(spread):
        return np.nan, np.nan
    mean, error = spread.mean(), spread.std() / np.sqrt(len(spread))
    means, errors = bootstrap(
        (spread,),
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
    # The resamples are of one stratum, whose t is narrower than that of several: the same tail of it is asked for.
    asked = (mean - np.array([below, above])) / error
    low, high = np.copysign(student_t.isf(student_t.sf(np.abs(asked), freedom), len(spread) - 1), asked)
    lower, upper = np.count_nonzero(drawn <= low), np.count_nonzero(drawn >= high)
    resampled = (1 + np.array([lower, upper])) / (draws + 1)
    student = student_t.cdf(asked[0], freedom), student_t.sf(asked[1], freedom)
    lower, upper = np.maximum(resampled, student)
    return float(lower), float(upper)


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


def _sample(values: np.ndarray, regressor: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    sample = tuple(np.asarray(part, float) for part in (values, regressor) if part is not None)
    for name, part in zip(("values", "regressor"), sample, strict=False):
        if part.ndim != 1 or len(part) != len(sample[0]):
            raise Refused("statistics", name, f"shape {part.shape}", "one number a case")
        if len(part) < LEAST_CASES:
            raise Refused("statistics", name, f"{len(part)} cases", f"at least {LEAST_CASES} cases")
        if not np.isfinite(part).all():
            raise Refused("statistics", name, "NaN or infinity", "finite numbers only")
    return sample


def _slope_weights(regressor: np.ndarray) -> np.ndarray:
    """Weights (case,) whose products with the values sum to the slope."""
    centred = regressor - regressor.mean()
    spread = (centred**2).sum()
    return centred / spread if spread > 1e-12 else np.zeros_like(centred)


def _mean_and_error(values: np.ndarray, axis: int = -1) -> np.ndarray:
    error = values.std(axis=axis, ddof=1) / np.sqrt(values.shape[axis])
    return np.stack([values.mean(axis=axis), error])
