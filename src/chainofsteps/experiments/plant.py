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

PLANS = 2


def plans_to_plant(case: worlds.Case) -> np.ndarray:
    """Two plans of one first frame: both right where a case has two answers; else the answer, and one that ends wrong.

    One of the two is what the clean run shows, or near it, and planting it is the control of planting the other.

    Returns
    -------
    ndarray of int16, (2, frame)
    """
    answers = case.answers
    if len(answers) >= PLANS:
        return answers[:PLANS]
    return check_pair(case, np.stack([answers[0], worlds.control_plans(case)["wrong_answer"]]).astype(np.int16))


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


def plan_plant(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> list[Run]:
    """The runs of this experiment, one; arguments as `run_plant`."""
    loop = run_settings(model, settings["order"], settings["steps"], batch)
    order = timetable(pipe, loop)
    drawn = cases_in(cases)
    videos = np.concatenate([[case.render(plan) for plan in plans_to_plant(case)] for case in drawn])
    latents = encode(pipe, videos, batch).unflatten(0, (len(drawn), PLANS))
    nowhere = {"planted": -1, "planted_step": -1, "planted_frame": -1, "written": CLEAN}
    arms = [Arm(CLEAN, nowhere)]
    for step, frame in itertools.product(settings["at_steps"], settings["at_frames"]):
        at = own_evaluation(order, frame, step)
        # The base rate: the same frame, step and noise with the run's own content. One object: it is run once.
        base = (StateIntervention("resample", (at,), (frame,), settings["seed"]),)
        for number in range(PLANS):
            coordinates = {"planted": number, "planted_step": step, "planted_frame": frame}
            planting = _planting(latents[:, number], at, frame, settings["seed"])
            place = f"step {step} frame {frame}"
            arms.append(Arm(f"plan {number} {place}", coordinates | {"written": "plan"}, planting))
            arms.append(
                Arm(
                    f"no plan {number} {place}",
                    coordinates | {"written": "resample"},
                    lambda case, position, base=base: base,
                )
            )
    return [make_run(drawn, seeds, arms, loop)]


def _planting(
    latents: torch.Tensor, evaluation: int, frame: int, seed: int
) -> Callable[[int, int], tuple[StateIntervention, ...]]:
    of_case = [StateIntervention("plant", (evaluation,), (frame,), seed, latents=each) for each in latents]
    return lambda case, position: (of_case[case],)


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
        where frames take turns: once it is finished, so that nothing overwrites it) and ``at_frames``, all pairs;
        ``seed`` of the noise.

    Returns
    -------
    Dataset
        By the ``plant`` schema.
    """
    (run,) = plan_plant(pipe, cases, model, settings, seeds, batch)
    outcome = carry_out(pipe, run, title=cases.attrs["family"])
    plans = np.stack([plans_to_plant(case) for case in run.cases])
    planted = np.array([max(arm.coordinates["planted"], 0) for arm in run.arms])
    at = np.array([arm.coordinates["planted_frame"] for arm in run.arms])
    of_frame = latent_of_frame(outcome.plan.shape[-1], timetable(pipe, run.settings).active.shape[1])
    planted_plan = plans[:, None, planted]  # (case, 1, arm, frame)
    by_frame = ("case", "seed", "arm", "frame")
    return outcome_dataset(
        run,
        outcome,
        cases,
        settings,
        answers=("case", np.array([len(case.answers) for case in run.cases], np.int16)),
        side=(("arm", "frame"), np.sign(of_frame - at[:, None]).astype(np.int8)),
        follows=(by_frame, (outcome.plan == planted_plan).astype(np.int8)),
        differs=(by_frame, (outcome.plan[:, :, :1] != planted_plan).astype(np.int8)),
    )
