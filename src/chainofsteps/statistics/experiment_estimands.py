"""Per-case values of the estimands that need interventions: E2 to E6, E11, E12, E14, and the score controls.

Each function takes datasets of experiments, by the schemas of :mod:`chainofsteps.datasets`, and the settings of a
claim, and gives one value a case; seeds are averaged inside the case. Damage is counted above the *floor*: what the
same arm costs, on average, cases that were solved in the first frame, where nothing is to be reasoned about. Estimands
of which :data:`chainofsteps.statistics.claims.ESTIMANDS` says so give the values of these cases, too, and the verdict
takes the difference, so that their spread is in its interval.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import xarray as xr

from chainofsteps.refusal import NotMeasured, Refused
from chainofsteps.statistics.claims import AGAINST

GIVEN_FRAME = 0
_DUST = 1e-12
SOLVED = ", solved"  # behind the family of a case that was solved in the first frame


def is_solved(dataset: xr.Dataset) -> np.ndarray:
    """Cases (case,) that were solved in the first frame."""
    return np.array([str(family).endswith(SOLVED) for family in dataset["family"].values], bool)


def step_damage(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """C1: score lost by erasing one step in all free frames, mean over steps; over ``case``, floor included."""
    return _score_lost(dataset).isel(arm=_arms(dataset, kind=kind, scope="step")).mean("arm")


def frames_lost(dataset: xr.Dataset) -> xr.DataArray:
    """Share of the free frames that is right in the clean arm less that of each arm, over (case, seed, arm).

    A frame that an erasure puts right is counted against those that it costs. Erased frames are asked like all others,
    so that arms which erase different ones are asked the same.
    """
    right = dataset["frame_correct"].astype(float).sel(frame=dataset["frame"] > GIVEN_FRAME).mean("frame")
    return right.isel(arm=0, drop=True) - right


def step_minus_frame(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """E2 (C1, C2): share of right frames lost by erasing one step, net, less that by one frame; over ``case``.

    Both arms are asked all free frames (`frames_lost`). Where there are as many steps as free frames both are the same
    dose. Floor included: what an erased frame loses whatever it held is lost in solved cases, too.
    """
    lost = frames_lost(dataset).mean("seed")
    steps, frames = (lost.isel(arm=_arms(dataset, kind=kind, scope=scope)).mean("arm") for scope in ("step", "frame"))
    return steps - frames


def damage_grid(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """Share of other right frames lost by erasing one (step, frame) cell, over (case, step, frame), floor included.

    Raises
    ------
    NotMeasured
        The cells that were erased are no full grid.
    """
    arms = _arms(dataset, kind=kind, scope="cell")
    erased = dataset["erased"].isel(arm=arms).values
    places = np.array([np.argwhere(mask)[0] for mask in erased])
    steps, frames = (np.unique(column) for column in places.T)
    if len(places) != len(steps) * len(frames) or len(np.unique(places, axis=0)) != len(places):
        raise NotMeasured(_name(dataset), "erased", f"{len(places)} cells", f"all {len(steps)} x {len(frames)} of them")
    lost = dataset["others_lost"].mean("seed").isel(arm=arms[np.lexsort(places.T[::-1])])
    grid = lost.transpose("case", "arm").values.reshape(-1, len(steps), len(frames))
    return xr.DataArray(grid, {"case": dataset["case"], "step": steps, "frame": frames}, ("case", "step", "frame"))


def grid_above_floor(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """As `damage_grid`, of the cases that are no floor, cell by cell above the mean of those that are."""
    grid, solved = damage_grid(dataset, kind), is_solved(dataset)
    rest = grid.isel(case=~solved)
    return rest - grid.isel(case=solved).mean("case") if solved.any() else rest


def grid_shares(grid: np.ndarray) -> np.ndarray:
    """Shares of the variance of a (step, frame) grid that its two effects and their interaction explain.

    Parameters
    ----------
    grid : ndarray, (..., step, frame)

    Returns
    -------
    ndarray, (3, ...)
        Step, frame, interaction, by the sums of squares of the balanced two-way layout; 0 where it does not vary.
    """
    centred = grid - grid.mean((-2, -1), keepdims=True)
    step, frame = np.broadcast_arrays(centred.mean(-1, keepdims=True), centred.mean(-2, keepdims=True))
    squares = np.stack([(part**2).sum((-2, -1)) for part in (step, frame, centred - step - frame)])
    total = squares.sum(0)
    return np.divide(squares, total, out=np.zeros_like(squares), where=total > _DUST)


def step_minus_frame_share(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """E3: share of what varies in a case's own grid of damage that goes by step, less that by frame; over ``case``.

    In [-1, 1]; a case that loses nothing, or as much by each cell, has no variance to share and is left out, and no
    floor is taken off: a share of what is lost is no damage. Of each case, not of their mean grid: there, frames that
    count in one case and not in the next would cancel. Of a square grid, where chance that is alike in all cells adds
    to both shares alike. Lost are other frames: what the erased one keeps of the noise goes with the step alone.

    Raises
    ------
    NotMeasured
        The grid has not as many steps as frames, or is not full.
    """
    grid = damage_grid(dataset, kind)
    if grid.sizes["step"] != grid.sizes["frame"]:
        given = f"cells of {grid.sizes['step']} steps and {grid.sizes['frame']} frames"
        raise NotMeasured(_name(dataset), "erased", given, "as many steps as frames")
    step, frame, rest = grid_shares(grid.values)
    values = xr.DataArray(step - frame, {"case": grid["case"]}, ("case",))
    return values.isel(case=step + frame + rest > 0)


def direction_of_damage(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """E4: how much more the frames after an erased one change than those before it, over ``case``.

    (later - earlier) / (later + earlier), in [-1, 1], of the change of the finished latents summed over pairs of free
    frames at equal distance from the erased one, mean over cells: 1 where damage goes forward only, 0 both ways alike.
    Each cell counts alike, however much it changes. Cells that change nothing are left out, and cases without another.
    """
    arms = _arms(dataset, kind=kind, scope="cell")
    change = dataset["frame_change"].mean("seed").transpose("case", "arm", "latent_frame").values
    erased, last = dataset["erased"].values, change.shape[-1] - 1
    later, earlier = np.zeros((2, len(change), len(arms)))
    for cell, arm in enumerate(arms):
        frame = int(np.argwhere(erased[arm])[0, 1])
        distances = np.arange(1, min(frame - 1, last - frame) + 1)
        later[:, cell] = change[:, arm, frame + distances].sum(-1)
        earlier[:, cell] = change[:, arm, frame - distances].sum(-1)
    total = later + earlier
    moved = total > 0
    ratio = np.divide(later - earlier, total, out=np.zeros_like(total), where=moved)
    count = moved.sum(-1)
    values = xr.DataArray(ratio.sum(-1) / np.maximum(count, 1), {"case": dataset["case"]}, ("case",))
    return values.isel(case=count > 0)


def early_persistence(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """C3, E6: how unlike the clean run's the last clean estimate is after an erasure in the first half; over ``case``.

    Root of 1 - CKA (debiased; 0 where chance makes it negative), mean over the steps of the first half at which all
    free frames were erased. 1 - CKA is quadratic in a small change of the estimate, its root as large as the change.
    Floor included: a still picture does not come back the same, either.
    """
    arms, steps = _step_arms(dataset, kind)
    early = arms[steps < dataset.sizes["step"] / 2]
    if not len(early):
        raise NotMeasured(_name(dataset), "erased", "no step of the first half", "at least one")
    dissimilarity = dataset["dissimilarity_debiased"].isel(step=-1, arm=early)
    return (dissimilarity.clip(min=0) ** 0.5).mean(["seed", "arm"])


def sensitivity_peak(dataset: xr.Dataset, kind: str) -> xr.DataArray:
    """C3, E6: score lost by erasing a step of the middle half of the run less that of the others; over ``case``.

    Floor included.
    """
    arms, steps = _step_arms(dataset, kind)
    count = dataset.sizes["step"]
    inner = (steps >= count / 4) & (steps < 3 * count / 4)
    if inner.all() or not inner.any():
        raise NotMeasured(
            _name(dataset), "erased", f"steps {sorted(steps.tolist())}", "steps inside and outside the middle"
        )
    lost = _score_lost(dataset)
    return lost.isel(arm=arms[inner]).mean("arm") - lost.isel(arm=arms[~inner]).mean("arm")


def plant_lead(dataset: xr.Dataset) -> xr.DataArray:
    """E5: how much more the frames behind a planted one take on its plan than those before it; over ``case``.

    Over pairs of free frames at equal distance from the planted one, in both of which the planted plan is not the clean
    run's: share of the later ones that hold the planted plan's state less that of the earlier ones; less the same where
    what the run itself holds there was written with the same noise (in a finished frame: nothing). Cases without such a
    pair are left out.
    """
    written = dataset["written"].values
    by_frame = ("case", "seed", "arm", "frame")
    follows, differs = (dataset[name].transpose(*by_frame).values == 1 for name in ("follows", "differs"))
    side, last = dataset["side"].transpose("case", "arm", "frame").values, dataset.sizes["frame"] - 1

    def lead(of: str) -> np.ndarray:
        taken, pairs = np.zeros((2, len(side)))
        for case, arm in itertools.product(range(len(side)), np.flatnonzero(written == of)):
            inside = np.flatnonzero(side[case, arm] == 0)
            if not len(inside):
                continue
            distances = np.arange(1, min(inside[0] - 1, last - inside[-1]) + 1)
            later, earlier = inside[-1] + distances, inside[0] - distances
            both = differs[case, :, arm, later] & differs[case, :, arm, earlier]
            follow = follows[case, :, arm, later].astype(int) - follows[case, :, arm, earlier]
            taken[case] += follow[both].sum()
            pairs[case] += both.sum()
        return np.divide(taken, pairs, out=np.full(len(side), np.nan), where=pairs > 0)

    values = xr.DataArray(lead("plan") - lead("resample"), {"case": dataset["case"]}, ("case",))
    return values.dropna("case")


def middle_swap(dataset: xr.Dataset, layers: list[int]) -> xr.DataArray:
    """C9, E11: flips by swaps of the named layers at the first step less those by swaps of the others; over ``case``.

    Flips by a donor that ends otherwise, less flips by one that ends alike.
    """
    first = (dataset["first_step"] == 0) & (dataset["last_step"] == 0)
    flips = dataset["flips"].mean("seed")

    def caused(wanted: xr.DataArray) -> xr.DataArray:
        other, same = (
            flips.isel(arm=np.flatnonzero((wanted & (dataset["donor"] == donor)).values))
            for donor in ("other_answer", "same_answer")
        )
        if not (other.sizes["arm"] and same.sizes["arm"]):
            raise NotMeasured(
                _name(dataset), "swapped_layer", f"layers {layers}", "layers inside and outside of those swapped"
            )
        return other.mean("arm") - same.mean("arm")

    named = dataset["swapped_layer"].isin(layers)
    return caused(first & named) - caused(first & ~named)


def object_rise(dataset: xr.Dataset) -> xr.DataArray:
    """C8, E11: energy of the mover's tokens over that of the others, late layers less early ones; over ``case``.

    At the first observed step, mean over the two halves of the depth. Cases in which no mover was read are left out.
    """
    ratio = dataset["object_ratio"].isel(observed_step=0).mean("seed").transpose("case", "layer")
    late = dataset["depth"].values >= 0.5
    rise = ratio.isel(layer=late).mean("layer") - ratio.isel(layer=~late).mean("layer")
    return rise.isel(case=(ratio > 0).all("layer").values)


def ensemble_gain(dataset: xr.Dataset, window: list[int], against: str) -> xr.DataArray:
    """C10, E12: score of averaging layers over seeds less that of what it is held against, over ``case``."""
    right = dataset["correct"].mean("seed")
    names = [str(name) for name in dataset["arm"].values]
    averaged = [place for place, name in enumerate(names) if name == f"average of layers {window[0]}-{window[1]}"]
    others = [place for place, name in enumerate(names) if name.startswith(AGAINST[against])]
    for found, field in ((averaged, f"layers {window[0]}-{window[1]}"), (others, AGAINST[against])):
        if not found:
            raise NotMeasured(_name(dataset), "arm", f"no average or other arm of {field}", ", ".join(names))
    # Of equal names the one of the most steps comes first.
    return right.isel(arm=averaged[0], drop=True) - right.isel(arm=others[0], drop=True)


def steps_loss(dataset: xr.Dataset, steps: int) -> xr.DataArray:
    """C12, E14: score with the most steps less that with fewer, joint order, all frames; over ``case``."""
    return _joint(dataset, _most_steps(dataset)) - _joint(dataset, steps)


def frames_loss(dataset: xr.Dataset, frames: int) -> xr.DataArray:
    """C11, E14: how much more often a right beginning is made where all frames are made; over ``case``."""
    arm = _one_arm(dataset, "frames_made", frames, (dataset["frames_made"] == frames).values)
    lost = dataset["clean_begins"].astype(float) - dataset["beginning_correct"]
    return lost.isel(arm=arm, drop=True).mean("seed")


def steps_minus_frames(dataset: xr.Dataset, steps: int, frames: int) -> xr.DataArray:
    """E14: what fewer steps lose less what fewer frames lose; over ``case``."""
    return steps_loss(dataset, steps) - frames_loss(dataset, frames)


def depth_difference(dataset: xr.Dataset, reference: xr.Dataset) -> xr.DataArray:
    """E13: gain of steps (most steps less one) of one model less that of another, on the same cases; over ``case``."""

    def gain(each: xr.Dataset) -> xr.DataArray:
        return _joint(each, _most_steps(each)) - _joint(each, 1)

    if set(dataset["case"].values.tolist()) != set(reference["case"].values.tolist()):
        raise Refused(_name(dataset), "case", "other cases", f"those of {_name(reference)}")
    return gain(dataset) - gain(reference).sel(case=dataset["case"])


def score_control(dataset: xr.Dataset) -> xr.DataArray:
    """1 where the score is 1 for the solution and less for every wrong plan, and the reader reads what was drawn.

    Of the ``score_controls`` dataset: solution drawn sharp, blurred and noisy; over ``case``.
    """
    truth = dataset["plan_kind"] == "ground_truth"
    scores = dataset["score"]
    sound = (scores.where(truth, 1) == 1).all("plan_kind") & (scores.where(~truth, 0) < 1).all("plan_kind")
    return (sound & (dataset["read_right"] == 1).all("disturbance")).astype(float)


PER_CASE: dict[str, Callable[..., xr.DataArray]] = {
    function.__name__: function
    for function in (
        step_damage,
        step_minus_frame,
        step_minus_frame_share,
        direction_of_damage,
        early_persistence,
        sensitivity_peak,
        plant_lead,
        middle_swap,
        object_rise,
        ensemble_gain,
        steps_loss,
        frames_loss,
        steps_minus_frames,
        depth_difference,
        score_control,
    )
}


def _score_lost(dataset: xr.Dataset) -> xr.DataArray:
    right = dataset["correct"].mean("seed")
    return right.isel(arm=0, drop=True) - right


def _arms(dataset: xr.Dataset, kind: str, scope: str) -> np.ndarray:
    found = np.flatnonzero((dataset["kind"] == kind).values & (dataset["scope"] == scope).values)
    if not len(found):
        raise NotMeasured(_name(dataset), "arm", f"no {scope} of kind {kind}", "at least one")
    return found


def _step_arms(dataset: xr.Dataset, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Arms that erase all free frames at one step, and which step."""
    arms = _arms(dataset, kind=kind, scope="step")
    steps = dataset["erased"].isel(arm=arms).any("latent_frame").argmax("step").values
    return arms, steps


def _most_steps(dataset: xr.Dataset) -> int:
    joint = _whole_joint(dataset)
    if not joint.any():
        raise NotMeasured(_name(dataset), "sampling_order", "no joint order", "one of all frames")
    return int(dataset["steps"].values[joint].max())


def _whole_joint(dataset: xr.Dataset) -> np.ndarray:
    whole = dataset["frames_made"].max()
    return ((dataset["sampling_order"] == "joint") & (dataset["frames_made"] == whole)).values


def _joint(dataset: xr.Dataset, steps: int) -> xr.DataArray:
    arm = _one_arm(dataset, "steps", steps, _whole_joint(dataset) & (dataset["steps"] == steps).values)
    return dataset["correct"].mean("seed").isel(arm=arm, drop=True)


def _one_arm(dataset: xr.Dataset, field: str, given: int, found: np.ndarray) -> int:
    if not found.any():
        accepted = ", ".join(map(str, sorted(set(dataset[field].values.tolist()))))
        raise NotMeasured(_name(dataset), field, given, accepted)
    return int(np.flatnonzero(found)[0])


def _name(dataset: xr.Dataset) -> str:
    return "/".join(str(dataset.attrs.get(key, "?")) for key in ("model_id", "experiment")) + " dataset"
