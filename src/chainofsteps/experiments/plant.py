"""Plant test (E5): does a frame that holds another plan lead the others, and which?"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps import worlds
from chainofsteps.experiments.arms import (
    CLEAN,
    Arm,
    NoiseLevels,
    Run,
    carry_out,
    cases_in,
    make_run,
    outcome_dataset,
    own_evaluation,
    run_settings,
    timetable,
)
from chainofsteps.readout.features import latent_of_frame
from chainofsteps.refusal import Refused
from chainofsteps.sampling.decode import encode
from chainofsteps.sampling.interventions import StateIntervention
from chainofsteps.sampling.orders import Order

PLANS = 2


def plans_to_plant(case: worlds.Case) -> np.ndarray:
    """Two plans of one first frame: both right where a case has two answers; else the answer, and one that ends wrong.

    One of the two is what the clean run shows, or near it, and planting it is the control of planting the other.

    Returns
    -------
    ndarray of int16, (2, frame)
    """
    plans = case.answers[:PLANS]
    if len(plans) < PLANS:
        plans = np.stack([plans[0], worlds.control_plans(case)["wrong_answer"]]).astype(np.int16)
    return check_pair(case, plans)


def check_pair(case: worlds.Case, plans: np.ndarray) -> np.ndarray:
    """Refuse plans that do not start from the case's own first frame.

    Raises
    ------
    Refused
    """
    for plan in plans:
        if plan[0] != case.plan[0]:
            raise Refused(f"case {case.case_id}", "planted plan", f"first state {plan[0]}", f"{case.plan[0]}")
    return plans


def planted_frame(plans: np.ndarray, latent_frames: int, after: int) -> int:
    """Latent frame that plans are planted in: so many after the first in which they differ.

    Parameters
    ----------
    plans : ndarray of int, (2, frame)
    latent_frames, after : int

    Returns
    -------
    int
        It may lie behind the last frame, where nothing is planted.
    """
    first = int((plans[0] != plans[1]).argmax())
    return int(latent_of_frame(plans.shape[1], latent_frames)[first]) + after


def _place(order: Order, frame: int, step: int) -> tuple[int, int] | None:
    """(evaluation, latent frame) of a plant; None where no frame is behind it, or none is left to follow."""
    if frame >= order.active.shape[1] - 1:
        return None
    finished_last = _is_finished(order, frame, step) and bool(order.active[-1, frame])
    return None if finished_last else (own_evaluation(order, frame, step), frame)


def _is_finished(order: Order, frame: int, step: int) -> bool:
    """Whether all of a frame's own evaluations are over at a step of its own."""
    return step == order.active[:, frame].sum()


def encode_plans(pipe: WanImageToVideoPipeline, cases: list[worlds.Case], batch: int) -> torch.Tensor:
    """Latents of what is planted in each case, (case, plan, channel, latent_frame, row, col)."""
    videos = np.concatenate([[case.render(plan) for plan in plans_to_plant(case)] for case in cases])
    return encode(pipe, videos, batch).unflatten(0, (len(cases), PLANS))


def blank_latents(pipe: WanImageToVideoPipeline, cases: list[worlds.Case], batch: int) -> torch.Tensor:
    """As `encode_plans`, of nothing: what a run takes is known with them, and none need be encoded."""
    return torch.zeros(len(cases), PLANS)


def plan_plant(
    pipe: WanImageToVideoPipeline,
    cases: xr.Dataset,
    model: dict,
    settings: dict,
    seeds: list[int],
    batch: int,
    latents_of: Callable[[WanImageToVideoPipeline, list[worlds.Case], int], torch.Tensor] = blank_latents,
) -> list[Run]:
    """The runs of this experiment, one; arguments as `run_plant`, and what is planted in the cases."""
    loop = run_settings(model, settings["order"], settings["steps"], batch)
    order = timetable(pipe, loop)
    drawn = cases_in(cases)
    pairs = [plans_to_plant(case) for case in drawn]
    latents = latents_of(pipe, drawn, batch)
    arms = [Arm(CLEAN, {"planted": -1, "planted_step": -1, "planted_after": -1, "written": CLEAN})]
    for step, after in itertools.product(settings["at_steps"], settings["frames_after"]):
        places = [_place(order, planted_frame(plans, order.active.shape[1], after), step) for plans in pairs]
        # The base rate: the same frame, step and noise with the run's own content. One object: it is run once. In a
        # finished frame no noise is left, so that it would be the clean run.
        base = [
            StateIntervention("resample", (place[0],), (place[1],), settings["seed"])
            if place and not _is_finished(order, place[1], step)
            else None
            for place in places
        ]
        where = f"step {step} frame +{after}"
        for number in range(PLANS):
            coordinates = {"planted": number, "planted_step": step, "planted_after": after}
            plant = [
                place and StateIntervention("plant", (place[0],), (place[1],), settings["seed"], latents=each)
                for place, each in zip(places, latents[:, number], strict=True)
            ]
            for name, what, of_case in (("plan", "plan", plant), ("no plan", "resample", base)):
                arms.append(Arm(f"{name} {number} {where}", coordinates | {"written": what}, _of_case(of_case)))
    return [make_run(drawn, seeds, arms, loop)]


def _of_case(interventions: list[StateIntervention | None]) -> Callable[[int, int], tuple[StateIntervention, ...]]:
    return lambda case, position: tuple(filter(None, [interventions[case]]))


def run_plant(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> xr.Dataset:
    """Plant a plan in one latent frame at one step and look which frames follow.

    Parameters
    ----------
    pipe, cases, model, seeds, batch
        As :func:`chainofsteps.experiments.erasure.run_erasure`.
    settings : dict
        ``order`` and ``steps`` S; ``at_steps`` (a frame's own, from 1, since at step 0 there is nothing but noise; S,
        where frames take turns: once it is finished, so that nothing overwrites it) and ``frames_after`` (how many
        frames after the first in which the two plans differ), all pairs; ``seed`` of the noise.

    Returns
    -------
    Dataset
        By the ``plant`` schema.
    """
    (run,) = plan_plant(pipe, cases, model, settings, seeds, batch, encode_plans)
    levels = NoiseLevels()
    outcome = carry_out(pipe, run, [levels], title=cases.attrs["family"])
    plans = np.stack([plans_to_plant(case) for case in run.cases])
    planted = np.array([max(arm.coordinates["planted"], 0) for arm in run.arms])
    order = timetable(pipe, run.settings)
    latent_frames = order.active.shape[1]
    where = [[max(arm.coordinates[key], 0) for key in ("planted_step", "planted_after")] for arm in run.arms]
    at = np.array([[planted_frame(pair, latent_frames, after) for _, after in where] for pair in plans])
    asked = [
        [_place(order, frame, step) is not None for frame, (step, _) in zip(frames, where, strict=True)]
        for frames in at
    ]
    of_frame = latent_of_frame(outcome.plan.shape[-1], latent_frames)
    planted_plan = plans[:, None, planted]  # (case, 1, arm, frame)
    differs = outcome.plan[:, :, :1] != planted_plan
    by_frame = ("case", "seed", "arm", "frame")
    return outcome_dataset(
        run,
        outcome,
        cases,
        settings,
        answers=("case", np.array([len(case.answers) for case in run.cases], np.int16)),
        sigma=levels.sigma,
        side=(("case", "arm", "frame"), np.sign(of_frame - at[..., None]).astype(np.int8)),
        follows=(by_frame, (outcome.plan == planted_plan).astype(np.int8)),
        differs=(by_frame, (differs & np.array(asked)[:, None, :, None]).astype(np.int8)),
    )
