"""Layers (E10, E11; C7, C8): what each block's tokens hold, by depth and step, in runs that nothing disturbs."""

from __future__ import annotations

import numpy as np
import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps import worlds
from chainofsteps.analysis.energy import object_ratio, token_energy
from chainofsteps.analysis.probes import probe, split_groups
from chainofsteps.analysis.similarity import debiased_cka_of_pairs
from chainofsteps.experiments.arms import (
    CLEAN,
    Arm,
    Run,
    carry_out,
    cases_in,
    make_run,
    outcome_dataset,
    run_settings,
    world_name,
)
from chainofsteps.sampling.blocks import BlockMoment

VARIABLES = ("static", "plan", "hidden")
NOT_ASKED = -1.0


class BlockRecorder:
    """Observer: the tokens that chosen blocks put out at chosen steps, in the positive guidance pass.

    Attributes
    ----------
    hidden : dict
        (step, layer) -> ndarray of float32, (stream, latent_frame, row, col, channel).
    """

    def __init__(self, steps: list[int], streams: int):
        self._steps, self._streams = set(steps), streams
        self.hidden: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, moment: BlockMoment) -> None:
        """Keep what a moment shows."""
        if moment.index not in self._steps or moment.context != "cond":
            return
        key, tokens = (moment.index, moment.layer), moment.hidden.float().cpu().numpy()
        whole = self.hidden.setdefault(key, np.zeros((self._streams, *tokens.shape[1:]), np.float32))
        whole[moment.streams] = tokens


def latent_plan(plan: np.ndarray, latent_frames: int) -> np.ndarray:
    """Plan (..., frame) at the last video frame of each latent frame, (..., latent_frame)."""
    frames = plan.shape[-1]
    return plan[..., np.arange(latent_frames) * (frames - 1) // (latent_frames - 1)]


def mover_tokens(plan: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Which token holds the mover.

    Parameters
    ----------
    plan : ndarray of int, (..., frame)
    rows, cols : int
        Of the token grid, which divides the world's.

    Returns
    -------
    ndarray of bool, (..., frame, row, col)
        Nowhere where the mover is absent or was not read.
    """
    cell = np.where(plan < 0, worlds.ABSENT, plan % worlds.STATES_PER_KIND)
    row, col = np.divmod(cell, worlds.GRID)
    here = (row[..., None, None] * rows // worlds.GRID == np.arange(rows)[:, None]) & (
        col[..., None, None] * cols // worlds.GRID == np.arange(cols)
    )
    return here & (cell != worlds.ABSENT)[..., None, None]


def occupied_tokens(scene: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Whether the last cell of each token's first row is anything but floor: in a maze, whether a wall stands there.

    Parameters
    ----------
    scene : ndarray of str, (8, 8)
    rows, cols : int
        Of the token grid, which divides the world's.

    Returns
    -------
    ndarray of bool, (row, col)
    """
    high, wide = worlds.GRID // rows, worlds.GRID // cols
    return scene[::high, wide - 1 :: wide] != worlds.FLOOR


def plan_layers(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> list[Run]:
    """The runs of this experiment, one; arguments as `run_layers`."""
    loop = run_settings(model, "joint", settings["steps"], batch)
    return [make_run(cases_in(cases), seeds, [Arm(CLEAN)], loop)]


def run_layers(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, settings: dict, seeds: list[int], batch: int
) -> xr.Dataset:
    """Energy, similarity and probes of block outputs.

    Three variables are asked of linear probes, on cases that the probe was not fitted on:

    ``static``
        whether a token's place in the scene is occupied (`occupied_tokens`);
    ``plan``
        whether the mover of the finished video stands in the token, in its frame;
    ``hidden``
        of which kind the mover is, from the mean token of a frame in which it is out of sight: only in worlds whose
        movers leave and come back.

    Parameters
    ----------
    pipe, cases, model, seeds, batch
        As :func:`chainofsteps.experiments.erasure.run_erasure`.
    settings : dict
        ``steps``; ``at_steps`` that are looked at; ``held_out``, share of the cases; ``seed`` of the split.

    Returns
    -------
    Dataset
        By the ``layers`` schema. The given frame, whose tokens hold no noise, is in ``energy`` alone. A variable that a
        world does not have, or has too little of to split, scores -1.
    """
    (run,) = plan_layers(pipe, cases, model, settings, seeds, batch)
    recorder = BlockRecorder(settings["at_steps"], len(run.streams))
    outcome = carry_out(pipe, run, block_observers=[recorder], title=cases.attrs["family"])
    layers = sorted({layer for _, layer in recorder.hidden})
    # (step, layer, stream, latent_frame, row, col, channel)
    hidden = np.stack([[recorder.hidden[step, layer] for layer in layers] for step in settings["at_steps"]])
    energy, free = token_energy(hidden), slice(1, None)
    rows, cols = hidden.shape[4:6]
    plan = latent_plan(outcome.plan.reshape(len(run.streams), -1), hidden.shape[3])
    movers = mover_tokens(plan, rows, cols)
    lead = ("case", "seed", "observed_step", "layer")
    scores = _probe_all(run, plan, hidden, movers, settings)
    return outcome_dataset(
        run,
        outcome,
        cases,
        settings,
        energy=((*lead, "latent_frame"), _by_stream(energy.mean((-1, -2)), run)),
        object_ratio=(lead, _by_stream(_ratios(energy[:, :, :, free], movers[:, free]), run)),
        similarity=(("world", "observed_step", "layer", "other_layer"), _similarity(hidden[:, :, :, free])[None]),
        **{
            name: (("world", "variable", "observed_step", "layer"), np.array(values, np.float32)[None])
            for name, values in scores.items()
        },
    ).assign_coords(
        world=np.array([world_name(run.cases[0])], object),
        observed_step=np.array(settings["at_steps"], np.int64),
        layer=np.array(layers, np.int64),
        depth=("layer", np.linspace(0, 1, len(layers), dtype=np.float32)),
        other_layer=np.array(layers, np.int64),
        variable=np.array(VARIABLES, object),
    )


def _by_stream(values: np.ndarray, run: Run) -> np.ndarray:
    """(step, layer, stream, ...) -> (case, seed, step, layer, ...)."""
    cases, seeds, _ = run.shape
    return np.moveaxis(values, 2, 0).reshape(cases, seeds, *values.shape[:2], *values.shape[3:]).astype(np.float32)


def _ratios(energy: np.ndarray, movers: np.ndarray) -> np.ndarray:
    """Object ratio (step, layer, stream), of all frames given; 0 where no mover was read."""
    energy, movers = energy.reshape(*energy.shape[:3], -1), movers.reshape(len(movers), -1)
    seen = movers.any(-1)
    ratios = np.zeros(energy.shape[:-1])
    ratios[..., seen] = object_ratio(energy[..., seen, :], movers[seen])
    return ratios


def _similarity(hidden: np.ndarray) -> np.ndarray:
    """Debiased CKA of each pair of layers, over the tokens of a stream, averaged over streams; (step, layer, layer)."""
    samples = hidden.reshape(*hidden.shape[:3], -1, hidden.shape[-1])
    return debiased_cka_of_pairs(samples.swapaxes(1, 2)).mean(1).astype(np.float32)


def _probe_all(
    run: Run, plan: np.ndarray, hidden: np.ndarray, movers: np.ndarray, settings: dict
) -> dict[str, list[list[list[float]]]]:
    """Score and control of each variable, step and layer."""
    rows, cols = movers.shape[-2:]
    stream_case = np.repeat(np.arange(len(run.cases)), len(run.seeds))
    occupied = np.stack([occupied_tokens(run.cases[number].scene, rows, cols) for number in stream_case])
    kinds = np.array([int(case.plan.max()) // worlds.STATES_PER_KIND for case in run.cases])[stream_case]
    there = plan != worlds.ABSENT
    away = ~there & np.maximum.accumulate(there, axis=1) & np.maximum.accumulate(there[:, ::-1], axis=1)[:, ::-1]
    away = away[:, 1:]  # the given frame tells whether the mover was there before, and is not asked
    free = hidden[:, :, :, 1:]
    shape = free.shape[2:6]

    def spread(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, shape).ravel()

    of_token = spread(stream_case[:, None, None, None])
    questions = {
        "static": (free.reshape(*free.shape[:2], -1, free.shape[-1]), spread(occupied[:, None]), of_token),
        "plan": (free.reshape(*free.shape[:2], -1, free.shape[-1]), movers[:, 1:].ravel(), of_token),
        "hidden": (
            free.mean((4, 5))[:, :, away],
            np.broadcast_to(kinds[:, None], away.shape)[away],
            np.broadcast_to(stream_case[:, None], away.shape)[away],
        ),
    }
    scores: dict[str, list] = {"probe_score": [], "probe_control": []}
    for variable in VARIABLES:
        features, labels, groups = questions[variable]
        asked = [[_ask(each, labels, groups, settings) for each in of_step] for of_step in features]
        scores["probe_score"].append([[score for score, _ in of_step] for of_step in asked])
        scores["probe_control"].append([[control for _, control in of_step] for of_step in asked])
    return scores


def _ask(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, settings: dict) -> tuple[float, float]:
    split = {"held_out": settings["held_out"], "seed": settings["seed"]}
    if len(np.unique(groups)) < 2:
        return NOT_ASKED, NOT_ASKED
    fitted, held = split_groups(labels, groups, **split)
    if len(np.unique(groups[fitted])) < 2 or len(np.unique(labels[held])) < 2:
        return NOT_ASKED, NOT_ASKED
    asked = probe(features, labels.astype(int), groups, **split)
    return asked.score, asked.control
