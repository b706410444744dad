"""Per-case values of the estimands that need no intervention: E0, E1, E7, E8 and E13 (commitment part).

Each function takes features datasets and gives one value a case; seeds are averaged inside the case, because the
case is the unit of inference. Frame 0 is given; the F *free* frames are those after it. S is the number of network
evaluations (length of ``step``): evaluations, not scheduler steps, are the clock that both sampling orders share.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from chainofsteps.refusal import Refused
from chainofsteps.statistics import experiment_estimands
from chainofsteps.statistics.experiment_estimands import GIVEN_FRAME
from chainofsteps.worlds import STATES_PER_KIND

_SURE = 0.01


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

    Frames are video frames. For the shipped VAE each is a latent frame of its own. Elsewhere a latent frame holds
    several, which are denoised together, so that latent frames in turn give (F - 1) / F for neither count of frames
    (2 / 3 for eight video frames in two latent frames): the bound of the control must be settled anew there.

    Raises
    ------
    Refused
        ``commitment_step`` is missing, has other dims, leaves [0, S), or has fewer than two free frames.
    """
    tau = _commitment(features, least_free=2)
    free = tau.sizes["frame"]
    centred = tau["frame"] - tau["frame"].mean()
    slope = (tau * centred).sum("frame") / (centred**2).sum()
    return (slope * (free - 1) / features.sizes["step"]).mean("seed")


def mean_commitment(features: xr.Dataset) -> xr.DataArray:
    """E13: how far into its own run a free frame commits, averaged over free frames; over ``case``.

    A frame's own run is the evaluations at which it is active: (tau_f - first of them) / number of them. In joint order
    that is tau_f / S. In the frame-by-frame order it leaves out the wait for earlier frames, which the order forces. It
    is 1 or more where a frame still changes after its own run.

    Raises
    ------
    Refused
        ``commitment_step`` or ``active`` is missing or has other dims, a free frame is never active, or one commits
        before it is first active.
    """
    tau = _commitment(features, least_free=1)
    own = _active_frames(features).sel(frame=tau["frame"])
    evaluations = own.sum("step")
    if not (evaluations > 0).all():
        raise Refused(_name(features), "active", "a free frame that is never active", "every free frame active")
    since_active = tau - own.argmax("step")
    if (since_active < 0).any():
        raise Refused(_name(features), "commitment_step", "before the frame is first active", "from there on")
    return (since_active / evaluations).mean(["frame", "seed"])


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


def entropy_fall(features: xr.Dataset) -> xr.DataArray:
    """E7 (C4): entropy of the mass over states in the first clean estimate less that in the last, over ``case``.

    In bit, mean over free frames. In joint order only, where every frame has a clean estimate at every evaluation.
    """
    entropy = _variable(features, "entropy", {"case", "seed", "step", "frame"})
    entropy = entropy.sel(frame=entropy["frame"] > GIVEN_FRAME)
    return (entropy.isel(step=0, drop=True) - entropy.isel(step=-1, drop=True)).mean(["frame", "seed"])


def early_branch_score(features: xr.Dataset) -> xr.DataArray:
    """E7 (C4): how well the masses of the first clean estimate foretell the state taken, over ``case``.

    In free frames whose two heaviest cells of the first clean estimate hold some mass, and of which one is the cell
    that the finished video holds: 1 + log2 of its share of the two masses, in bit. 1 where the branch taken had all the
    mass, 0 for a coin, negative where the mass lay on the branch not taken. Shares are held within `_SURE` of 0 and 1.
    Cases without such a frame are left out.
    """
    mass = _variable(features, "occupancy", {"case", "seed", "step", "frame", "row", "col"}).isel(step=0)
    mass = mass.transpose("case", "seed", "frame", "row", "col").values
    mass = mass.reshape(*mass.shape[:3], -1)
    taken = _variable(features, "plan", {"case", "seed", "step", "frame"}).isel(step=-1)
    taken = taken.transpose("case", "seed", "frame").values
    cell = np.where(taken < 0, -1, taken % STATES_PER_KIND)
    two = np.argsort(mass, axis=-1)[..., -2:]
    masses = np.take_along_axis(mass, two, axis=-1)
    chosen = two == cell[..., None]
    asked = chosen.any(-1) & (masses[..., 0] > 0) & (features["frame"].values > GIVEN_FRAME)
    share = (masses * chosen).sum(-1) / np.where(asked, masses.sum(-1), 1)
    score = 1 + np.log2(np.clip(share, _SURE, 1 - _SURE))
    count = asked.sum((1, 2))
    values = xr.DataArray((score * asked).sum((1, 2)) / np.maximum(count, 1), {"case": features["case"]}, ("case",))
    return values.isel(case=count > 0)


def correction_balance(features: xr.Dataset) -> xr.DataArray:
    """E8 (C6): of all changes of a free frame between right and wrong from step to step, how many more set it right.

    (wrong to right - right to wrong) / (both together), in [-1, 1], over seeds, steps and free frames; 0 where nothing
    changes; over ``case``.
    """
    right = _variable(features, "frame_correct", {"case", "seed", "step", "frame"})
    change = right.sel(frame=right["frame"] > GIVEN_FRAME).astype(int).diff("step")
    mended, spoilt = ((change == sign).sum(["seed", "step", "frame"]) for sign in (1, -1))
    return (mended - spoilt) / np.maximum(mended + spoilt, 1)


PER_CASE: dict[str, Callable[..., xr.DataArray]] = {
    "gain_of_steps": gain_of_steps,
    "sequentiality": sequentiality,
    "mean_commitment": mean_commitment,
    "difficulty_slope": mean_commitment,
    "success": success,
    "order_difference": order_difference,
    "entropy_fall": entropy_fall,
    "early_branch_score": early_branch_score,
    "correction_balance": correction_balance,
    **experiment_estimands.PER_CASE,
}


def _right(features: xr.Dataset) -> xr.DataArray:
    return (_variable(features, "correct", {"case", "seed", "step"}) == 1).astype(float)


def _active_frames(features: xr.Dataset) -> xr.DataArray:
    """Whether the latent frame that holds the video frame is active, over (step, frame)."""
    active = _variable(features, "active", {"step", "latent_frame"}).transpose("step", "latent_frame")
    frame, last_frame, last_latent = features["frame"], features.sizes["frame"] - 1, active.sizes["latent_frame"] - 1
    # Causal video VAEs: latent frame 0 holds frame 0 alone, each later one an equal share of the others.
    latent_of_frame = np.ceil(frame.values * last_latent / last_frame).astype(int)
    return xr.DataArray(active.values[:, latent_of_frame] == 1, {"frame": frame}, ("step", "frame"))


def _commitment(features: xr.Dataset, least_free: int) -> xr.DataArray:
    tau = _variable(features, "commitment_step", {"case", "seed", "frame"})
    tau = tau.sel(frame=tau["frame"] > GIVEN_FRAME).astype(float)
    if tau.sizes["frame"] < least_free:
        given, accepted = f"{tau.sizes['frame']} free frames", f"at least {least_free} free frames"
        raise Refused(_name(features), "frame", given, accepted)
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
