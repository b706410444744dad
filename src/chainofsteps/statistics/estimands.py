"""Per-case values of the estimands E0, E1 and E13 (commitment part).

Each function takes features datasets and gives one value a case; seeds are averaged inside the case, because the
case is the unit of inference. Frame 0 is given; the F *free* frames are those after it. S is the number of network
evaluations (length of ``step``): evaluations, not scheduler steps, are the clock that both sampling orders share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from chainofsteps.refusal import Refused

GIVEN_FRAME = 0


def gain_of_steps(features: xr.Dataset) -> xr.DataArray:
    """E0: P(right at the last step) - P(right in the first clean estimate), in [-1, 1], over ``case``.

    Raises
    ------
    Refused
        ``correct`` is missing, has other dims, or is not a number.
    """
    right = _right(features)
    return (right.isel(step=-1, drop=True) - right.isel(step=0, drop=True)).mean("seed")


def success(features: xr.Dataset) -> xr.DataArray:
    """Share of seeds whose plan is right (``correct == 1``) at the last step, in [0, 1], over ``case``."""
    return _right(features).isel(step=-1, drop=True).mean("seed")


def sequentiality(features: xr.Dataset) -> xr.DataArray:
    """E1: kappa, the slope of the commitment step on the free frame, times (F - 1) / S; over ``case``.

    0 where all frames commit together. Frames that commit strictly in turn, each in its own S / F evaluations, give
    (F - 1) / F, since the last frame begins to commit S / F evaluations before the end.

    Raises
    ------
    Refused
        ``commitment_step`` is missing, has other dims, leaves [0, S), or has fewer than two free frames.
    """
    tau = _commitment(features)
    free = tau.sizes["frame"]
    if free < 2:
        raise Refused(_name(features), "frame", f"{free} free frames", "at least 2 free frames")
    centred = tau["frame"] - tau["frame"].mean()
    slope = (tau * centred).sum("frame") / (centred**2).sum()
    return (slope * (free - 1) / features.sizes["step"]).mean("seed")


def mean_commitment(features: xr.Dataset) -> xr.DataArray:
    """E13: mean commitment step of the free frames as a share of the run (divided by S), over ``case``."""
    return _commitment(features).mean(["frame", "seed"]) / features.sizes["step"]


def order_difference(features: xr.Dataset, reference: xr.Dataset) -> xr.DataArray:
    """E13: success under one sampling order minus success under the reference order, paired over ``case``.

    Raises
    ------
    Refused
        The two datasets do not hold the same cases and seeds.
    """
    for dim in ("case", "seed"):
        given, accepted = features[dim].values, reference[dim].values
        if set(given.tolist()) != set(accepted.tolist()):
            raise Refused(
                _name(features), dim, f"{len(given)} values", f"the {len(accepted)} values of {_name(reference)}"
            )
    return success(features) - success(reference).sel(case=features["case"])


@dataclass(frozen=True)
class Estimand:
    """How an estimand of ``claims.yaml`` is computed.

    Parameters
    ----------
    per_case : callable
        Features datasets, one an experiment of the claim and in its order, to values over ``case``.
    experiments : int
        How many datasets ``per_case`` takes.
    slope_on : str or None
        Case variable on which the values are regressed; None where the estimate is their mean.
    """

    per_case: Callable[..., xr.DataArray]
    experiments: int = 1
    slope_on: str | None = None


ESTIMANDS = {
    "gain_of_steps": Estimand(gain_of_steps),
    "sequentiality": Estimand(sequentiality),
    "mean_commitment": Estimand(mean_commitment),
    "difficulty_slope": Estimand(mean_commitment, slope_on="difficulty"),
    "success": Estimand(success),
    "order_difference": Estimand(order_difference, experiments=2),
}


def _right(features: xr.Dataset) -> xr.DataArray:
    return (_variable(features, "correct", {"case", "seed", "step"}) == 1).astype(float)


def _commitment(features: xr.Dataset) -> xr.DataArray:
    tau = _variable(features, "commitment_step", {"case", "seed", "frame"})
    tau = tau.sel(frame=tau["frame"] > GIVEN_FRAME).astype(float)
    steps = features.sizes["step"]
    if not ((tau >= 0) & (tau < steps)).all():
        raise Refused(
            _name(features), "commitment_step", f"{float(tau.min()):g} to {float(tau.max()):g}", f"0 to {steps - 1}"
        )
    return tau


def _variable(features: xr.Dataset, name: str, dims: set[str]) -> xr.DataArray:
    if name not in features:
        raise Refused(_name(features), name, "no such variable", f"dims {', '.join(sorted(dims))}")
    variable = features[name]
    if set(variable.dims) != dims:
        raise Refused(_name(features), name, f"dims {', '.join(map(str, variable.dims))}", ", ".join(sorted(dims)))
    if 0 in variable.shape:
        raise Refused(_name(features), name, f"shape {variable.shape}", "no empty dim")
    if np.isnan(variable.values).any():
        raise Refused(_name(features), name, "NaN", "numbers only")
    return variable


def _name(features: xr.Dataset) -> str:
    return "/".join(str(features.attrs.get(key, "?")) for key in ("model_id", "experiment", "family")) + " features"
