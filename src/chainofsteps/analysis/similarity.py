"""How alike two representations of the same samples are: linear CKA."""

from __future__ import annotations

import numpy as np

from chainofsteps.refusal import Refused

_LEAST_SAMPLES = 4
# Of representations of unit size: above what rounding leaves of 0, below what a million features of noise have.
_NOTHING = 1e-12


def linear_cka(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear centred kernel alignment (Kornblith et al. 2019, arXiv:1905.00414, in its feature-space form).

    Invariant to rotation, isotropic scaling and offset of either representation. Biased upwards where samples are few.

    Parameters
    ----------
    x, y : ndarray, (..., sample, feature)
        Leading axes broadcast; the numbers of features may differ.

    Returns
    -------
    ndarray, (...), in [0, 1]
        1 for the same representation; 0 where either does not vary at all.

    Raises
    ------
    Refused
        Numbers of samples differ, or not all values are finite.
    """
    x, y = (_standardised(each) for each in _checked(x, y))
    return _ratio(_squared(x, y), _squared(x, x), _squared(y, y))


def debiased_cka(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear CKA from the unbiased estimator of HSIC (Song et al. 2012; Nguyen et al. 2021, arXiv:2010.15327).

    Around 0 for independent representations, however few the samples; may be slightly negative.

    Parameters
    ----------
    x, y : ndarray, (..., sample, feature)
        At least four samples. As in `linear_cka`.

    Returns
    -------
    ndarray, (...), in [-1, 1]
        0 where either does not vary at all, or has no unbiased HSIC with itself either: all samples equally far from
        each other, or all but one the same.

    Raises
    ------
    Refused
        As `linear_cka`, or fewer than four samples.
    """
    x, y = _checked(x, y)
    _refuse_few(x)
    x, y = (_standardised(each) for each in (x, y))
    return _ratio(_unbiased_hsic(x, y), _unbiased_hsic(x, x), _unbiased_hsic(y, y))


def debiased_cka_of_pairs(x: np.ndarray) -> np.ndarray:
    """`debiased_cka` of each pair of several representations, each of which is compared with itself once alone.

    Parameters
    ----------
    x : ndarray, (..., representation, sample, feature)

    Returns
    -------
    ndarray, (..., representation, representation)
        Symmetric.

    Raises
    ------
    Refused
        As `debiased_cka`.
    """
    x, _ = _checked(x, x)
    _refuse_few(x)
    x = _standardised(x)
    count = x.shape[-3]
    hsic = np.empty((*x.shape[:-3], count, count))
    for one in range(count):
        for other in range(one, count):
            hsic[..., one, other] = hsic[..., other, one] = _unbiased_hsic(x[..., one, :, :], x[..., other, :, :])
    own = np.diagonal(hsic, axis1=-2, axis2=-1)
    return _ratio(hsic, *np.broadcast_arrays(own[..., :, None], own[..., None, :]))


def _refuse_few(x: np.ndarray) -> None:
    if x.shape[-2] < _LEAST_SAMPLES:
        raise Refused("similarity", "samples", x.shape[-2], f"at least {_LEAST_SAMPLES}")


def _checked(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape[-2] != y.shape[-2]:
        raise Refused("similarity", "samples", f"{x.shape[-2]} and {y.shape[-2]}", "the same number in both")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise Refused("similarity", "values", "NaN or infinity", "finite numbers")
    return x, y


def _standardised(x: np.ndarray) -> np.ndarray:
    """Centred and of Frobenius norm 1, so that nothing hangs on units; exactly 0 where the samples are all the same."""
    # The mean alone would leave its rounding error of a constant, which then were scaled up to norm 1.
    x = x - x[..., :1, :]
    x = x - x.mean(-2, keepdims=True)
    size = np.linalg.norm(x, axis=(-2, -1), keepdims=True)
    return np.divide(x, size, out=np.zeros_like(x), where=size > 0)


def _squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared Frobenius norm of X'Y: the trace of the product of the two Gram matrices, without making them."""
    return (np.einsum("...np,...nq->...pq", x, y, optimize=True) ** 2).sum((-1, -2))


def _unbiased_hsic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Unbiased HSIC of the Gram matrices K = XX' and L = YY' with their diagonals set to 0, times n (n - 3).

    tr(KL), 1'K1 and 1'KL1 of the zeroed matrices follow from features alone: the full ones less their diagonals.
    """
    n = x.shape[-2]
    diagonal_k, diagonal_l = (x**2).sum(-1), (y**2).sum(-1)
    # Row sums; those of the full matrices are 0, since x and y are centred.
    sums_k, sums_l = -diagonal_k, -diagonal_l
    trace = _squared(x, y) - (diagonal_k * diagonal_l).sum(-1)
    totals = sums_k.sum(-1) * sums_l.sum(-1) / ((n - 1) * (n - 2))
    crossed = (sums_k * sums_l).sum(-1) * 2 / (n - 2)
    return trace + totals - crossed


def _ratio(both: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    size = np.sqrt(np.maximum(one, 0) * np.maximum(other, 0))
    varies = (one > _NOTHING) & (other > _NOTHING)
    return np.divide(both, size, out=np.zeros_like(size), where=varies)
