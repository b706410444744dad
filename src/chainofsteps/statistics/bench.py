"""What is estimated of the cases of a bench, and what cannot be where there is no symbolic truth.

Values are one a case, seeds averaged; intervals are over cases. Estimands of latents are those of the worlds. Where
those ask for a score, they get the agreement with the ground truth's motion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import xarray as xr

from chainofsteps.refusal import NotMeasured, Refused
from chainofsteps.statistics import estimands as of_worlds
from chainofsteps.statistics import experiment_estimands as of_experiments
from chainofsteps.statistics.estimands import GIVEN_FRAME
from chainofsteps.statistics.inference import LEAST_CASES, is_constant, mean_interval

ALL = "mean"  # in place of a case: the row of a mean and its interval
PLANTED = "planted"

# Estimand -> why a bench does not define it.
UNDEFINED = {
    "E0 gain_of_steps": "no plan is read, so none is right or wrong; see E0 gain_of_agreement",
    "E7 entropy_fall": "no mass over states is read; see E7 candidates_fall",
    "E7 early_branch_score": "no mass over states is read",
    "E8 correction_balance": "no frame is right or wrong",
    "E9": "what stands still and what is to be done are not known apart",
    "E10": "no hidden state is known",
    "E11": "no variable is known that a probe could ask for, nor an answer that a swap could flip",
    "E12 ensemble_gain": "no answer is right or wrong",
    "E13 order_difference": "no answer is right or wrong; E1 is given for each order that was sampled",
}
_FIRST = "not defined without the first clean estimate"
_WAITS = "frames that wait for their turn hold noise and no estimate"


def evaluations_of(features: xr.Dataset) -> int:
    """Network evaluations of a run, the last of which is always decoded."""
    return int(features["step"][-1]) + 1


def frames_of(features: xr.Dataset) -> int:
    """Video frames of a run, also where only chosen ones were decoded."""
    return int(features.attrs.get("frames_made", features.sizes["frame"]))


def gain_of_agreement(features: xr.Dataset) -> xr.DataArray:
    """E0's analogue: agreement with the ground truth at the last step less that of the first; over ``case``.

    Raises
    ------
    Refused
        Frames take turns, or the first step was not decoded.
    """
    agreement = _from_first(_joint(features))["agreement"]
    return (agreement.isel(step=-1, drop=True) - agreement.isel(step=0, drop=True)).mean("seed")


def sequentiality(features: xr.Dataset) -> xr.DataArray:
    """E1, as in the worlds, in steps and frames of the run; where only some are decoded a frame commits at one of them.

    Raises
    ------
    Refused
        The first step was not decoded, so that what had committed before the first that was would look as if together;
        fewer than two free frames were; see :func:`chainofsteps.statistics.estimands.sequentiality`.
    """
    kappa = of_worlds.sequentiality(_from_first(features).reindex(step=range(evaluations_of(features))))
    # Its slope is over the frames' own numbers, but it is scaled to as many free frames as are there.
    scaled, free = (frames - 1 for frames in (features.sizes["frame"], frames_of(features)))
    return kappa * ((free - 1) / (scaled - 1))


def last_agreement(features: xr.Dataset) -> xr.DataArray:
    """Agreement of the finished video with the ground truth; over ``case``."""
    return features["agreement"].isel(step=-1, drop=True).mean("seed")


def candidates_first(features: xr.Dataset) -> xr.DataArray:
    """E7's analogue: candidates in the first clean estimate, mean over free frames; over ``case``; as E0."""
    return _candidates(_from_first(_joint(features)), 0)


def candidates_last(features: xr.Dataset) -> xr.DataArray:
    """The same in the finished video."""
    return _candidates(features, -1)


def candidates_fall(features: xr.Dataset) -> xr.DataArray:
    """The first less the last."""
    return candidates_first(features) - candidates_last(features)


def planted_lead(dataset: xr.Dataset) -> xr.DataArray:
    """E5's analogue: how much more the frames after a planted ground truth come to agree with it than those before it.

    Of the free frames' agreement, (later - earlier) with the ground truth planted, less the same with the run's own
    content under the same noise; frames that the plant writes are left out. Over ``case``.

    Raises
    ------
    NotMeasured
        Nothing was planted, or no free frame is on one of the sides.
    """
    side, free = dataset["side"], dataset["frame"] > GIVEN_FRAME
    agreement = dataset["frame_agreement"].mean("seed")

    def lead(kind: str) -> xr.DataArray:
        arms = np.flatnonzero((dataset["kind"] == kind).values & (dataset["scope"] == PLANTED).values)
        here, sides = agreement.isel(arm=arms), side.isel(arm=arms)
        later, earlier = (here.where((sides == sign) & free).mean("frame") for sign in (1, -1))
        both = (later - earlier).dropna("arm")
        if not both.sizes["arm"]:
            raise NotMeasured("bench.plant", "at_frames", "none with free frames on both sides", "a frame inside")
        return both.mean("arm")

    return lead("plant") - lead("resample")


OF_FEATURES: dict[str, Callable[[xr.Dataset], xr.DataArray]] = {
    "E0 gain_of_agreement": gain_of_agreement,
    "E1 sequentiality": sequentiality,
    "E7 candidates_first": candidates_first,
    "E7 candidates_last": candidates_last,
    "E7 candidates_fall": candidates_fall,
    "last_agreement": last_agreement,
}
OF_ERASURES: dict[str, Callable[[xr.Dataset, str], xr.DataArray]] = {
    "E2 step_damage": of_experiments.step_damage,
    "E2 step_minus_frame": of_experiments.step_minus_frame,
    "E3 step_minus_frame_share": of_experiments.step_minus_frame_share,
    "E4 direction_of_damage": of_experiments.direction_of_damage,
    "E6 early_persistence": of_experiments.early_persistence,
    "E6 sensitivity_peak": of_experiments.sensitivity_peak,
}


def bench_table(
    features: dict[str, xr.Dataset], interventions: xr.Dataset, orders: xr.Dataset, draws: int, seed: int
) -> pd.DataFrame:
    """Every estimand of a bench: a row a case, a row of the mean, or a row that says why there is none.

    Parameters
    ----------
    features : dict
        Sampling experiment -> dataset by the ``bench_features`` schema.
    interventions, orders : Dataset
        By the ``bench_interventions`` and ``bench_orders`` schemas.
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``estimand``, ``experiment``, ``setting``, ``case`` (`ALL` in rows of means), ``value``, ``ci_low``,
        ``ci_high``, ``n``, ``reason``.
    """
    rows: list[dict[str, object]] = []
    for name, experiment, setting, values_of in _asked(features, interventions, orders):
        head = {"estimand": name, "experiment": experiment, "setting": setting}
        try:
            values = values_of()
        except Refused as refusal:
            rows.append(head | {"case": ALL, "n": 0, "reason": str(refusal)})
            continue
        per_case = zip(values["case"].values.astype(str), values.values.astype(float), strict=True)
        rows += [head | {"case": case, "value": value, "n": 1} for case, value in per_case]
        rows.append(head | {"case": ALL} | _mean(values.values.astype(float), draws, seed))
    for name, reason in UNDEFINED.items():
        rows.append({"estimand": name, "case": ALL, "n": 0, "reason": f"not defined for a bench: {reason}"})
    columns = ["estimand", "experiment", "setting", "case", "value", "ci_low", "ci_high", "n", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _asked(
    features: dict[str, xr.Dataset], interventions: xr.Dataset, orders: xr.Dataset
) -> Iterator[tuple[str, str, str, Callable[[], xr.DataArray]]]:
    for experiment, dataset in features.items():
        for name, function in OF_FEATURES.items():
            yield name, experiment, _decoded(dataset), lambda function=function, dataset=dataset: function(dataset)
    scored = interventions.rename(agreement="correct", frame_agreement="frame_correct")
    erased = interventions["kind"].values[
        (interventions["erased"] == 1).any(("step", "latent_frame")).values & (interventions["scope"] != PLANTED).values
    ]
    for kind in dict.fromkeys(erased.astype(str)):
        for name, function in OF_ERASURES.items():
            yield name, "interventions", kind, lambda function=function, kind=kind: function(scored, kind)
    yield "E5 planted_lead", "interventions", "plant", lambda: planted_lead(interventions)
    made = orders.rename(agreement="correct").assign(beginning_correct=orders["agreement"])
    whole = made["frames_made"].max().item()
    joint = (made["sampling_order"] == "joint").values & (made["frames_made"] == whole).values
    for steps in sorted(set(made["steps"].values[joint].tolist()))[:-1]:
        yield "E14 steps_loss", "orders", f"{steps} steps", lambda n=steps: of_experiments.steps_loss(made, n)
    for frames in sorted(set(made["frames_made"].values.tolist()) - {whole}):
        yield "E14 frames_loss", "orders", f"{frames} frames", lambda n=frames: of_experiments.frames_loss(made, n)


def _mean(values: np.ndarray, draws: int, seed: int) -> dict[str, object]:
    row: dict[str, object] = {"value": values.mean() if len(values) else np.nan, "n": len(values)}
    if len(values) < LEAST_CASES:
        return row | {"reason": f"no interval: {len(values)} cases, at least {LEAST_CASES} needed"}
    if is_constant(values):
        return row | {"reason": "no interval: all cases are alike"}
    low, high = mean_interval(values, draws, seed)
    return row | {"ci_low": low, "ci_high": high}


def _candidates(features: xr.Dataset, step: int) -> xr.DataArray:
    counts = features["candidates"].isel(step=step, drop=True)
    return counts.sel(frame=counts["frame"] > GIVEN_FRAME).mean(["frame", "seed"])


def _decoded(features: xr.Dataset) -> str:
    """What is to be known of a run that was not decoded at every step and in every frame."""
    made = {"step": evaluations_of(features), "frame": frames_of(features)}
    counts = [f"{features.sizes[dim]} of {count} {dim}s" for dim, count in made.items() if features.sizes[dim] < count]
    return f"{' and '.join(counts)} decoded" if counts else ""


def _from_first(features: xr.Dataset) -> xr.Dataset:
    """The same features, if their first step is that of the run."""
    first = int(features["step"][0])
    if first:
        raise Refused(features.attrs["experiment"], "decoded_steps", f"{first} and later: {_FIRST}", "0 among them")
    return features


def _joint(features: xr.Dataset) -> xr.Dataset:
    """The same features, of an order in which every frame has an estimate at every step."""
    if features.attrs["order"] != "joint":
        raise Refused(features.attrs["experiment"], "order", f"{features.attrs['order']}: {_WAITS}", "joint")
    return features
