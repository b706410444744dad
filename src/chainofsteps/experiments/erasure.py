"""Erasure (E2, E3, E4, E6; C1, C2, C3): what is lost when parts of the step x frame grid are overwritten with noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps.analysis.similarity import debiased_cka, linear_cka
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
from chainofsteps.sampling.interventions import StateIntervention
from chainofsteps.sampling.loop import Moment
from chainofsteps.sampling.orders import Order


def erasure_arms(settings: dict, order: Order) -> tuple[list[Arm], np.ndarray]:
    """Arms of the experiment, and what each erases.

    Parameters
    ----------
    settings : dict
        ``steps`` S; ``kinds``, each at one of ``at_steps`` in all free frames and in one of ``at_frames`` at all steps;
        ``cells``: ``kinds``, ``steps`` and ``frames`` of the grid, all pairs; ``doses``: for each of ``counts`` k as
        many ``sets`` of k random steps and of k random frames, of each of its ``kinds``, no two of which share any
        while there are enough; ``seed`` of noise and sets.
    order : Order
        As the loop takes it. A step is a frame's own: "all frames at a step" are erased together in joint order, and
        each in its own turn otherwise. Where S is the number of free frames, one step is as large a dose as one frame.

    Returns
    -------
    list of Arm
        The clean one first. Coordinates: ``kind``, ``scope``.
    ndarray of int8, (arm, step, latent_frame)
        1 where the arm erases.
    """
    steps, seed = range(settings["steps"]), settings["seed"]
    free = np.flatnonzero(order.active.any(axis=0)).tolist()
    parts: list[tuple[str, str, str, list[int], list[int]]] = [(CLEAN, CLEAN, CLEAN, [], [])]
    for kind in settings["kinds"]:
        parts += [(f"{kind} step {step}", kind, "step", [step], free) for step in settings["at_steps"]]
        parts += [(f"{kind} frame {frame}", kind, "frame", list(steps), [frame]) for frame in settings["at_frames"]]
    parts += [
        (f"{kind} step {step} frame {frame}", kind, "cell", [step], [frame])
        for kind in settings["cells"]["kinds"]
        for step in settings["cells"]["steps"]
        for frame in settings["cells"]["frames"]
    ]
    rng, doses = np.random.default_rng(seed), settings["doses"]
    for count in doses["counts"]:
        sets = zip(*(_random_sets(rng, of, count, doses["sets"]) for of in (steps, free)), strict=True)
        for number, (some_steps, some_frames) in enumerate(sets):
            for kind in doses["kinds"]:
                parts.append((f"{kind} {count} steps, set {number}", kind, "steps", some_steps, free))
                parts.append((f"{kind} {count} frames, set {number}", kind, "frames", list(steps), some_frames))
    masks = np.stack([_mask(order, at_steps, frames) for *_, at_steps, frames in parts])
    arms = [
        Arm(name, {"kind": kind, "scope": scope}, _acting(kind, mask, seed))
        for (name, kind, scope, *_), mask in zip(parts, masks, strict=True)
    ]
    return arms, masks


def _random_sets(rng: np.random.Generator, of: Sequence[int], count: int, sets: int) -> list[list[int]]:
    """Random sets of ``count`` members each: parts of one permutation, and of another where it has no more of them."""
    whole = len(of) // count
    rounds = [rng.permutation(of)[: whole * count].reshape(whole, count) for _ in range(-(-sets // whole))]
    return [sorted(each.tolist()) for each in np.concatenate(rounds)[:sets]]


def _mask(order: Order, steps: list[int], frames: list[int]) -> np.ndarray:
    mask = np.zeros(order.active.shape, np.int8)
    for step in steps:
        for frame in frames:
            mask[own_evaluation(order, frame, step), frame] = 1
    return mask


def _acting(kind: str, mask: np.ndarray, seed: int) -> Callable[[int, int], tuple[StateIntervention, ...]]:
    """Interventions that erase what a mask says: one for all evaluations that erase the same frames."""
    interventions = tuple(
        StateIntervention(
            kind,
            tuple(np.flatnonzero((mask == row).all(axis=1)).tolist()),
            tuple(np.flatnonzero(row).tolist()),
            seed,
        )
        for row in np.unique(mask[mask.any(axis=1)], axis=0)
    )
    return lambda case, position: interventions


class Propagation:
    """Observer: how unlike the clean run each arm's clean estimate is, step after step (C3, E6).

    CKA is taken over positions (free latent frames x rows x columns) as samples and channels as features, for each
    case, seed and arm apart: the case stays the unit of inference.

    Attributes
    ----------
    biased, debiased : list of ndarray, (case, seed, arm)
        1 - CKA, one an evaluation.
    """

    def __init__(self, run: Run, free: list[int]):
        self._shape, self._free = run.shape, free
        self.biased: list[np.ndarray] = []
        self.debiased: list[np.ndarray] = []

    def __call__(self, moment: Moment) -> None:
        """Keep what a moment shows."""
        estimate = moment.clean_estimate[:, :, self._free].unflatten(0, self._shape)
        samples = estimate.flatten(4).transpose(3, 4).float().cpu().numpy()
        clean = samples[:, :, :1]
        self.biased.append(1 - linear_cka(clean, samples))
        self.debiased.append(1 - debiased_cka(clean, samples))


def frame_change(latents: torch.Tensor) -> np.ndarray:
    """How far each latent frame of each arm ended from that of the clean arm, relative to the clean frame's size.

    Parameters
    ----------
    latents : Tensor, (case, seed, arm, channel, latent_frame, row, col)
        The clean arm first.

    Returns
    -------
    ndarray, (case, seed, arm, latent_frame)
        Root mean square of the difference over root mean square of the clean frame.
    """
    axes = (3, 5, 6)
    clean = latents[:, :, :1]
    change = ((latents - clean) ** 2).mean(axes).sqrt() / (clean**2).mean(axes).sqrt()
    return change.cpu().numpy().astype(np.float32)


def others_lost(frame_correct: np.ndarray, erased: np.ndarray, order: Order) -> np.ndarray:
    """What an erasure costs other frames: share of right ones that the clean arm has and the arm has not.

    Asked are the free frames that the arm does not erase: an erased one may keep noise that no later step removes,
    whatever it held. Where it erases all of them at some step, those not erased at every step; where none is left, 0.

    Parameters
    ----------
    frame_correct : ndarray, (case, seed, arm, frame)
        The clean arm first; a right frame is 1, or one of a bench its agreement.
    erased : ndarray, (arm, step, latent_frame)
    order : Order

    Returns
    -------
    ndarray of float32, (case, seed, arm)
    """
    free, times = order.active.any(axis=0), erased.sum(axis=1)
    spared, outlasting = free & (times == 0), free & (times < order.active.sum(axis=0))
    asked = np.where(spared.any(axis=1, keepdims=True), spared, outlasting)
    kept = asked[:, latent_of_frame(frame_correct.shape[-1], asked.shape[1])]
    kept[:, 0] = False
    lost = frame_correct[:, :, :1].astype(float) - frame_correct
    return ((lost * kept).sum(-1) / np.maximum(kept.sum(-1), 1)).astype(np.float32)


def plan_erasure(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> list[Run]:
    """The runs of this experiment, one; arguments as `run_erasure`."""
    loop = run_settings(model, settings["order"], settings["steps"], batch)
    arms, _ = erasure_arms(settings, timetable(pipe, loop))
    return [make_run(cases_in(cases), seeds, arms, loop)]


def run_erasure(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> xr.Dataset:
    """Erase and look what becomes of the plan.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    cases : Dataset
        By the ``cases`` schema.
    model : dict
        Entry of config/models.yaml.
    settings : dict
        See `erasure_arms`.
    seeds : list of int
        Generation seeds.
    batch : int
        States that go through the network at once.

    Returns
    -------
    Dataset
        By the ``erasure`` schema.
    """
    (run,) = plan_erasure(pipe, cases, model, settings, seeds, batch)
    order = timetable(pipe, run.settings)
    propagation = Propagation(run, np.flatnonzero(order.active.any(axis=0)).tolist())
    levels = NoiseLevels()
    outcome = carry_out(pipe, run, [propagation, levels], title=cases.attrs["family"])
    _, erased = erasure_arms(settings, order)
    by_step = ("case", "seed", "arm", "step")
    return outcome_dataset(
        run,
        outcome,
        cases,
        settings,
        erased=(("arm", "step", "latent_frame"), erased),
        others_lost=(("case", "seed", "arm"), others_lost(outcome.frame_correct, erased, order)),
        sigma=levels.sigma,
        dissimilarity=(by_step, np.stack(propagation.biased, axis=-1).astype(np.float32)),
        dissimilarity_debiased=(by_step, np.stack(propagation.debiased, axis=-1).astype(np.float32)),
        frame_change=(("case", "seed", "arm", "latent_frame"), frame_change(outcome.latents)),
    )
