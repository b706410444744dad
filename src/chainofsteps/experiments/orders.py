"""Orders (E13, E14; C11, C12): what success follows when frames take turns, steps are few, or frames are few."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps import worlds
from chainofsteps.experiments.arms import (
    Arm,
    Outcome,
    Run,
    carry_out,
    cases_in,
    make_run,
    outcome_dataset,
    run_settings,
    timetable,
)
from chainofsteps.readout.features import agreement

_UNREAD = -1


def plan_orders(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> list[Run]:
    """The runs of this experiment: one for each order and number of steps, and for each smaller number of frames.

    Arguments as `run_orders`. The first one, joint order with the most steps, stands for the clean arm.
    """
    return plan_runs(pipe, cases_in(cases), model, settings, seeds, batch)


def plan_runs(
    pipe: WanImageToVideoPipeline, drawn: list[worlds.Case], model: dict, settings: dict, seeds: list[int], batch: int
) -> list[Run]:
    """As `plan_orders`, of a list of cases."""
    most = max(settings["orders"]["joint"])
    wanted = [("joint", most, model["frames"])]
    wanted += [
        (order, steps, model["frames"])
        for order, counts in settings["orders"].items()
        for steps in counts
        if (order, steps) != ("joint", most)
    ]
    wanted += [("joint", most, frames) for frames in settings["frames"]]
    runs = []
    for order, steps, frames in wanted:
        loop = run_settings(model, order, steps, batch, frames)
        evaluations = len(timetable(pipe, loop).active)
        coordinates = {"sampling_order": order, "steps": steps, "frames_made": frames, "evaluations": evaluations}
        runs.append(make_run(drawn, seeds, [Arm(f"{order}, {steps} steps, {frames} frames", coordinates)], loop))
    return runs


def run_orders(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> xr.Dataset:
    """Make the same videos in several orders, with fewer steps, and with fewer frames.

    A video of fewer frames than a solution has no score; ``beginning_correct`` asks whether what there is of it is the
    beginning of a right answer.

    Parameters
    ----------
    pipe, cases, model, seeds, batch
        As :func:`chainofsteps.experiments.erasure.run_erasure`.
    settings : dict
        ``orders``: numbers of steps by order, ``joint`` among them; ``frames``: numbers of video frames.

    Returns
    -------
    Dataset
        By the ``orders`` schema.
    """
    runs = plan_orders(pipe, cases, model, settings, seeds, batch)
    outcomes = [carry_out(pipe, run, title=cases.attrs["family"]) for run in runs]
    frames = outcomes[0].plan.shape[-1]
    joined = Outcome(
        torch.zeros(0),
        np.concatenate([_padded(outcome.plan, frames, _UNREAD) for outcome in outcomes], axis=2),
        np.concatenate([outcome.correct for outcome in outcomes], axis=2),
        np.concatenate([_padded(outcome.frame_correct, frames, 0) for outcome in outcomes], axis=2),
        outcomes[0].others,
    )
    run = dataclasses.replace(runs[0], arms=[arm for each in runs for arm in each.arms])
    begins = [outcome.frame_correct[:, :, 0].all(-1) for outcome in outcomes]
    clean = [
        agreement(outcomes[0].plan[number, :, 0, : part.plan.shape[-1]], case.answers[:, : part.plan.shape[-1]]).all(-1)
        for part in outcomes
        for number, case in enumerate(run.cases)
    ]
    clean_begins = np.reshape(clean, (len(outcomes), len(run.cases), len(run.seeds)))
    return outcome_dataset(
        run,
        joined,
        cases,
        settings,
        beginning_correct=(("case", "seed", "arm"), np.stack(begins, axis=-1).astype(np.int8)),
        clean_begins=(("case", "seed", "arm"), np.moveaxis(clean_begins, 0, -1).astype(np.int8)),
    )


def _padded(values: np.ndarray, frames: int, fill: int) -> np.ndarray:
    """Values (..., frame) with as many frames as the longest video."""
    missing = [(0, 0)] * (values.ndim - 1) + [(0, frames - values.shape[-1])]
    return np.pad(values, missing, constant_values=fill)
