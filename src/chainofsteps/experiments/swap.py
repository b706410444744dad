"""Layer swap (E11; C9): what one block puts out comes from another scene; does the answer come with it?"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps import seeds as case_seeds
from chainofsteps import worlds
from chainofsteps.experiments.arms import (
    CLEAN,
    Arm,
    Outcome,
    Run,
    carry_out,
    cases_in,
    make_run,
    make_stream,
    outcome_dataset,
    run_settings,
)
from chainofsteps.refusal import Refused
from chainofsteps.sampling.decode import decode
from chainofsteps.sampling.interventions import BlockIntervention

DONORS = ("other_answer", "same_answer")
Donors = tuple[worlds.Case, worlds.Case]
_MOST_DRAWS = 20_000
# Cases of one difficulty look through the same scenes.
_draw = functools.lru_cache(maxsize=_MOST_DRAWS)(worlds.draw_case)


def _other_scenes(case: worlds.Case, purpose: str, first: int) -> Iterator[worlds.Case]:
    """Cases of the same difficulty and another scene, as they are drawn; refused where they do not suffice."""
    for index in range(first, first + _MOST_DRAWS):
        other = _draw(case.family, case_seeds.seed_of(purpose, index), case.difficulty)
        if not np.array_equal(other.scene, case.scene):
            yield other
    raise Refused(
        f"case {case.case_id}", "donors", f"none in {_MOST_DRAWS} draws", "scenes with the same and another end"
    )


def find_donors(case: worlds.Case, purpose: str, first: int) -> Donors:
    """Another scene of the same difficulty whose right answers end in other states, and one where they end in the same.

    Scenes that share some ends and not all are neither.

    Parameters
    ----------
    case : Case
    purpose : str
        Of the case; donors are drawn from the same block of seeds.
    first : int
        Index in the block to draw from, behind all cases in use.

    Returns
    -------
    tuple of Case
        In the order of `DONORS`.

    Raises
    ------
    Refused
        The world has no such scene among many drawn.
    """
    ends, found = _ends(case), {}
    for other in _other_scenes(case, purpose, first):
        others = _ends(other)
        if others == ends or not others & ends:
            found.setdefault(others == ends, other)
        if len(found) == len(DONORS):
            break
    return found[False], found[True]


def _ends(case: worlds.Case) -> frozenset[int]:
    """States in which the right answers of a case end."""
    return frozenset(case.answers[:, -1].tolist())


def stand_ins(case: worlds.Case, purpose: str, first: int) -> Donors:
    """As `find_donors`, two scenes however they end: what a run takes is known with them, and few need be drawn."""
    scenes = _other_scenes(case, purpose, first)
    one = next(scenes)
    return one, next(other for other in scenes if not np.array_equal(other.scene, one.scene))


def plan_swap(
    pipe: WanImageToVideoPipeline,
    cases: xr.Dataset,
    model: dict,
    settings: dict,
    seeds: list[int],
    batch: int,
    donors_of: Callable[[worlds.Case, str, int], Donors] = stand_ins,
) -> list[Run]:
    """The runs of this experiment, one; arguments as `run_swap`, and who the donors of a case are."""
    loop = run_settings(model, "joint", settings["steps"], batch)
    drawn = cases_in(cases)
    pairs = list(itertools.product(settings["layers"], settings["spans"], range(len(DONORS))))
    behind = len(drawn) * len(seeds) * (1 + len(pairs))

    def swapping(layer: int, span: list[int], donor: int) -> Arm:
        steps = tuple(range(span[0], span[1] + 1))

        def interventions(case: int, position: int) -> tuple[BlockIntervention, ...]:
            stream = position // (1 + len(pairs))
            source = behind + stream * len(DONORS) + donor
            return (
                BlockIntervention((layer,), steps, (source,), passes=tuple(settings["passes"]), part=settings["part"]),
            )

        coordinates = {"swapped_layer": layer, "first_step": span[0], "last_step": span[1], "donor": DONORS[donor]}
        return Arm(f"layer {layer} steps {span[0]}-{span[1]} {DONORS[donor]}", coordinates, interventions)

    arms = [
        Arm(CLEAN, {"swapped_layer": -1, "first_step": -1, "last_step": -1, "donor": CLEAN}),
        *itertools.starmap(swapping, pairs),
    ]
    run = make_run(drawn, seeds, arms, loop)
    for case in drawn:
        donors = donors_of(case, cases.attrs["purpose"], settings["donors_from"])
        # With the case's own noise: a velocity is noise less video, and of another noise the difference would stay.
        run.streams.extend(
            dataclasses.replace(make_stream(donor, seed), seed=make_stream(case, seed).seed)
            for seed in seeds
            for donor in donors
        )
    return [run]


def run_swap(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> xr.Dataset:
    """Swap the tokens of one block at one step or several and look how the video ends.

    Parameters
    ----------
    pipe, cases, model, seeds, batch
        As :func:`chainofsteps.experiments.erasure.run_erasure`.
    settings : dict
        ``steps``; ``part`` of a block's output; ``layers`` and ``spans`` (first and last step), all pairs; ``passes``
        of guidance; ``donors_from``, index of the first donor in the block of case seeds.

    Returns
    -------
    Dataset
        By the ``swap`` schema.
    """
    (run,) = plan_swap(pipe, cases, model, settings, seeds, batch, find_donors)
    donors = [find_donors(case, cases.attrs["purpose"], settings["donors_from"]) for case in run.cases]
    others = [donor for pair in donors for _ in seeds for donor in pair]
    outcome = carry_out(pipe, run, others=others, title=cases.attrs["family"])
    final = _last_states(pipe, run, outcome, donors)
    ends = outcome.others[:, -1].reshape(len(run.cases), len(seeds), len(DONORS))
    which = np.array([0 if arm.name == CLEAN else _donor_of(arm) for arm in run.arms])
    by_arm = ("case", "seed", "arm")
    return outcome_dataset(
        run,
        outcome,
        cases,
        settings,
        flips=(by_arm, (final != final[:, :, :1]).astype(np.int8)),
        takes_donors_end=(by_arm, (final == ends[:, :, which]).astype(np.int8)),
        clean_takes_donors_end=(by_arm, (final[:, :, :1] == ends[:, :, which]).astype(np.int8)),
    )


def _donor_of(arm: Arm) -> int:
    return DONORS.index(arm.coordinates["donor"])


def _last_states(pipe: WanImageToVideoPipeline, run: Run, outcome: Outcome, donors: Sequence[Donors]) -> np.ndarray:
    """State in which each video ends, (case, seed, arm), read in the scene that it shows.

    That is the case's own or the donor's, whichever is nearer to the last frame: with all tokens of a donor at all
    steps the free frames are the donor's picture, in which the case's scene finds movers that are none.
    """
    final = outcome.plan[..., -1].copy()
    # Decoded once more, since an outcome keeps latents alone.
    videos = decode(pipe, outcome.latents.flatten(0, 2), run.settings["batch"])
    frames = videos.reshape(*run.shape, *videos.shape[1:])[:, :, :, -1]
    for number, case in enumerate(run.cases):
        for place, arm in enumerate(run.arms):
            if arm.name != CLEAN:
                donor = donors[number][_donor_of(arm)]
                for seed, frame in enumerate(frames[number, :, place]):
                    if _distance(frame, donor) < _distance(frame, case):
                        final[number, seed, place] = donor.read(frame).plan
    return final


def _distance(frame: np.ndarray, case: worlds.Case) -> float:
    """Mean absolute difference of a frame, uint8 (32, 32, 3), and the scene of a case without its mover."""
    (still,) = case.render(np.array([worlds.ABSENT]))
    return float(np.abs(frame.astype(int) - still).mean())
