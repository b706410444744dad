"""Ensemble (E12; C10): does averaging hidden states over seeds help, and more than what costs as much?"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps.experiments.arms import (
    CLEAN,
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
from chainofsteps.sampling.interventions import (
    BlockIntervention,
    EstimateIntervention,
    Intervention,
    StateIntervention,
)

_READ = ("plan", "correct", "frame_correct")
# Generation seeds of a stream's companions lie far from its own: generation seeds in use are small numbers.
_APART = 1_000_003


def vote(plans: np.ndarray, scores: np.ndarray) -> int:
    """First member whose whole plan (member, frame) is the most frequent one; of equals, the first seen."""
    held = [tuple(plan) for plan in plans.tolist()]
    return held.index(Counter(held).most_common(1)[0][0])


def best(plans: np.ndarray, scores: np.ndarray) -> int:
    """First member of the highest score (member,): an oracle, which knows the answer."""
    return int(scores.argmax())


def windows_of(settings: dict, layers: int) -> dict[str, tuple[int, ...]]:
    """Layers of each depth window by name, and as many of random layers as are asked for.

    Parameters
    ----------
    settings : dict
        ``windows``: lists of the first and last layer; ``random``: how many random sets of as many layers as the first
        window has; ``seed``.
    layers : int
        Of the network.
    """
    windows = {f"layers {first}-{last}": tuple(range(first, last + 1)) for first, last in settings["windows"]}
    rng = np.random.default_rng(settings["seed"])
    size = len(next(iter(windows.values())))
    for number in range(settings["random"]):
        windows[f"random layers {number}"] = tuple(sorted(rng.permutation(layers)[:size].tolist()))
    return windows


def plan_ensemble(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> list[Run]:
    """The runs of this experiment: members and their averages; one stream with as many evaluations; short members.

    Arguments as `run_ensemble`. In the first and last run the members stand first.
    """
    drawn, count, steps = cases_in(cases), settings["members"], settings["steps"]
    at_steps = tuple(settings["at_steps"])
    # The others are needed up to the last step at which they are averaged.
    equal = steps + (count - 1) * (max(at_steps) + 1)
    loops = [run_settings(model, "joint", number, batch) for number in (steps, equal, -(-equal // count))]
    free = tuple(np.flatnonzero(timetable(pipe, loops[0]).active.any(axis=0)).tolist())
    members = [
        Arm(CLEAN if number == 0 else f"member {number}", {"evaluations": steps}, seed_offset=_APART * number)
        for number in range(count)
    ]
    windows = windows_of(settings, len((pipe.transformer or pipe.transformer_2).blocks))

    def averaging(place: int, name: str, evaluations: int, make: Callable[..., Intervention]) -> Arm:
        def interventions(case: int, position: int) -> tuple[Intervention, ...]:
            first = position - place
            return (make(donors=tuple(range(first, first + count))),)

        return Arm(f"average of {name}", {"evaluations": evaluations}, interventions)

    makers = [(name, equal, partial(BlockIntervention, layers, at_steps)) for name, layers in windows.items()]
    makers.append(("clean estimates", equal, partial(EstimateIntervention, at_steps)))
    makers.append(("noise", steps, partial(StateIntervention, "average", (0,), free)))
    averages = [averaging(place, *maker) for place, maker in enumerate(makers, start=count)]
    alone = Arm(f"one stream, {equal} steps", {"evaluations": equal})
    arms = ([*members, *averages], [alone], members)
    return [make_run(drawn, seeds, each, loop) for each, loop in zip(arms, loops, strict=True)]


def run_ensemble(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> xr.Dataset:
    """Average over seeds in several ways, and choose among as many seeds, at stated network evaluations.

    Where hidden states are averaged, one stream alone goes on; the others run as they would, so that each layer of a
    window is averaged anew with theirs. Were all of them averaged with one another instead, they would be equal after
    the window's first layer and stay so: a window would be that layer alone.

    Parameters
    ----------
    pipe, cases, model, seeds, batch
        As :func:`chainofsteps.experiments.erasure.run_erasure`.
    settings : dict
        ``steps``, ``members``, ``at_steps`` of the averages (that of noise is of step 0), and what `windows_of` takes.

    Returns
    -------
    Dataset
        By the ``ensemble`` schema.
    """
    main, alone, short = plan_ensemble(pipe, cases, model, settings, seeds, batch)
    outcomes = [carry_out(pipe, run, title=cases.attrs["family"]) for run in (main, alone, short)]
    count = settings["members"]
    arms, parts = [*main.arms, *alone.arms], outcomes[:2]
    # With few steps for many members there is nothing shorter.
    lengths = {run.settings["steps"]: outcome for run, outcome in ((main, outcomes[0]), (short, outcomes[2]))}
    for steps, outcome in lengths.items():
        for name, pick in (("vote", vote), ("best", best)):
            arms.append(Arm(f"{name} of {count}, {steps} steps", {"evaluations": count * steps}))
            parts.append(picked(outcome, count, pick))
    joined = Outcome(
        torch.cat([part.latents for part in parts], dim=2),
        *(np.concatenate([getattr(part, name) for part in parts], axis=2) for name in _READ),
        outcomes[0].others,
    )
    return outcome_dataset(dataclasses.replace(main, arms=arms), joined, cases, settings)


def picked(outcome: Outcome, count: int, pick: Callable[[np.ndarray, np.ndarray], int]) -> Outcome:
    """One member of each case and seed.

    Parameters
    ----------
    outcome : Outcome
        Its first ``count`` arms are the members.
    count : int
    pick : callable
        (plans (member, frame), scores (member,)) -> position of the member.

    Returns
    -------
    Outcome
        Of one arm.
    """
    cases, seeds = outcome.correct.shape[:2]
    chosen = np.array(
        [
            [pick(outcome.plan[case, seed, :count], outcome.correct[case, seed, :count]) for seed in range(seeds)]
            for case in range(cases)
        ]
    )
    grid = np.arange(cases)[:, None, None], np.arange(seeds)[None, :, None], chosen[..., None]
    return Outcome(outcome.latents[grid], *(getattr(outcome, name)[grid] for name in _READ), outcome.others)
