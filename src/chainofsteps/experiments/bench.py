"""Cases of a bench under the interventions that need no symbolic truth: E2 to E6 and E14.

Arms and measures of latents are those of the worlds (:mod:`chainofsteps.experiments.erasure`). What a video is worth is
its agreement with the ground truth's motion, in place of a score of its plan. Cases go through one after another, since
the videos of all of them would fill the memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps import datasets
from chainofsteps.experiments.arms import (
    Arm,
    NoiseLevels,
    Run,
    make_latents,
    make_run,
    own_evaluation,
    run_settings,
    timetable,
    videos_of,
)
from chainofsteps.experiments.erasure import Propagation, erasure_arms, frame_change, others_lost
from chainofsteps.experiments.orders import plan_runs
from chainofsteps.readout.bench import frame_agreement, video_agreement
from chainofsteps.readout.features import latent_of_frame
from chainofsteps.sampling.decode import encode
from chainofsteps.sampling.interventions import StateIntervention
from chainofsteps.sampling.orders import Order

PLANTED = "planted"
TruthOf = Callable[[str], np.ndarray]


@dataclass(frozen=True, eq=False)
class GivenCase:
    """What a stream needs of a case of a bench.

    Attributes
    ----------
    case_id : str
    seed : int
    prompt : str
    first_frame : ndarray of uint8, (y, x, channel)
    """

    case_id: str
    seed: int
    prompt: str
    first_frame: np.ndarray


def given_cases(cases: xr.Dataset) -> list[GivenCase]:
    """Cases of a dataset by the ``bench_cases`` schema."""
    names = ("case", "case_seed", "prompt", "first_frame")
    rows = zip(*(cases[name].values for name in names), strict=True)
    return [GivenCase(str(case_id), int(seed), str(prompt), picture) for case_id, seed, prompt, picture in rows]


def plant_arms(settings: dict, order: Order, latents: np.ndarray, seed: int) -> tuple[list[Arm], np.ndarray]:
    """Arms that write the ground truth into one latent frame, each beside its base rate.

    Parameters
    ----------
    settings : dict
        ``at_steps`` and ``at_frames``, all pairs.
    order : Order
    latents : Tensor, (channel, latent_frame, row, col)
        Of the ground truth.
    seed : int
        Of the noise.

    Returns
    -------
    list of Arm
        Coordinates as of :func:`chainofsteps.experiments.erasure.erasure_arms`: ``kind`` ``plant``, or ``resample``
        for the run's own content under the same noise.
    ndarray of int8, (arm, evaluation, latent_frame)
    """
    arms, masks = [], []
    for step, frame in itertools.product(settings["at_steps"], settings["at_frames"]):
        place = own_evaluation(order, frame, step)
        mask = np.zeros(order.active.shape, np.int8)
        mask[place, frame] = 1
        for kind in ("plant", "resample"):
            given = {"latents": latents} if kind == "plant" else {}
            acts = (StateIntervention(kind, (place,), (frame,), seed, **given),)
            arms.append(
                Arm(
                    f"{PLANTED} {kind} step {step} frame {frame}",
                    {"kind": kind, "scope": PLANTED},
                    lambda case, position, acts=acts: acts,
                )
            )
            masks.append(mask)
    return arms, np.array(masks, np.int8).reshape(-1, *order.active.shape)


def intervene(
    pipe: WanImageToVideoPipeline,
    cases: xr.Dataset,
    model: dict,
    settings: dict,
    seeds: list[int],
    batch: int,
    truth_of: TruthOf,
    grid: tuple[int, int],
) -> xr.Dataset:
    """Erase, and plant the ground truth, and look what becomes of latents and motion.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    cases : Dataset
        By the ``bench_cases`` schema.
    model : dict
        Entry of config/models.yaml.
    settings : dict
        ``erasure``: see :func:`chainofsteps.experiments.erasure.erasure_arms`; ``plant``: see `plant_arms`.
    seeds : list of int
        Generation seeds.
    batch : int
        States that go through the network at once.
    truth_of : callable
        Case id -> ground truth, uint8 (frame, y, x, channel), of the model's frames and pixels.
    grid : tuple of int
        Rows and columns of cells of the maps.

    Returns
    -------
    Dataset
        By the ``bench_interventions`` schema; attributes of the model are the caller's to add.
    """
    erasure = settings["erasure"]
    loop = run_settings(model, erasure["order"], erasure["steps"], batch)
    order = timetable(pipe, loop)
    free = np.flatnonzero(order.active.any(axis=0)).tolist()
    arms, erased = erasure_arms(erasure, order)
    parts: list[dict[str, np.ndarray]] = []
    for case in given_cases(cases):
        truth = truth_of(case.case_id)
        planting, planted = plant_arms(settings["plant"], order, encode(pipe, truth[None], 1)[0], erasure["seed"])
        run, written = make_run([case], seeds, [*arms, *planting], loop), np.concatenate([erased, planted])
        propagation, levels = Propagation(run, free), NoiseLevels()
        latents = make_latents(pipe, run, [propagation, levels], title=case.case_id)
        agreements, by_frame = [], []
        for video in videos_of(pipe, run, latents):
            agreements.append(video_agreement(video, truth, *grid))
            by_frame.append(frame_agreement(video, truth, *grid))
        frames = np.reshape(by_frame, (*run.shape, -1))
        parts.append(
            {
                "agreement": np.reshape(agreements, run.shape),
                "frame_agreement": frames,
                "others_lost": others_lost(frames, written, order),
                "dissimilarity": np.stack(propagation.biased, axis=-1),
                "dissimilarity_debiased": np.stack(propagation.debiased, axis=-1),
                "frame_change": frame_change(latents.unflatten(0, run.shape)),
            }
        )
    last = {"frame_agreement": "frame", "frame_change": "latent_frame"}
    last |= dict.fromkeys(("dissimilarity", "dissimilarity_debiased"), "step")
    dims = {name: ("case", "seed", "arm", *([last[name]] if name in last else [])) for name in parts[0]}
    return _dataset(
        run,
        cases,
        settings,
        {name: (dims[name], _joined(parts, name)) for name in dims}
        | {
            "erased": (("arm", "step", "latent_frame"), written),
            "side": (("arm", "frame"), _sides(run, written, frames.shape[-1])),
            "sigma": levels.sigma,
        },
    )


def fewer_frames_and_steps(
    pipe: WanImageToVideoPipeline,
    cases: xr.Dataset,
    model: dict,
    settings: dict,
    seeds: list[int],
    batch: int,
    truth_of: TruthOf,
    grid: tuple[int, int],
) -> xr.Dataset:
    """Make the same videos with fewer steps and with fewer frames.

    A video of fewer frames is held against the beginning of the ground truth, as the clean arm's first frames are.

    Parameters
    ----------
    pipe, cases, model, seeds, batch, truth_of, grid
        As `intervene`.
    settings : dict
        See :func:`chainofsteps.experiments.orders.run_orders`.

    Returns
    -------
    Dataset
        By the ``bench_orders`` schema.
    """
    parts: list[dict[str, np.ndarray]] = []
    for case in given_cases(cases):
        truth = truth_of(case.case_id)
        runs = plan_runs(pipe, [case], model, settings, seeds, batch)
        columns: dict[str, list[np.ndarray]] = {"agreement": [], "clean_begins": []}
        clean: list[np.ndarray] = []
        for run in runs:
            frames = run.settings["frames"]
            videos = list(videos_of(pipe, run, make_latents(pipe, run, title=case.case_id)))
            clean = clean or videos
            columns["agreement"].append(_agreements(run, videos, truth[:frames], grid))
            begins = [video[:frames] for video in clean]
            columns["clean_begins"].append(_agreements(run, begins, truth[:frames], grid))
        parts.append({name: np.concatenate(column, axis=2) for name, column in columns.items()})
    whole = make_run(runs[0].cases, seeds, [arm for run in runs for arm in run.arms], runs[0].settings)
    variables = {name: (("case", "seed", "arm"), _joined(parts, name)) for name in parts[0]}
    return _dataset(whole, cases, settings, variables)


def _sides(run: Run, written: np.ndarray, frames: int) -> np.ndarray:
    """Where each frame stands to the one that an arm plants, int8 (arm, frame)."""
    planted = np.array([arm.coordinates["scope"] == PLANTED for arm in run.arms])
    at = written.any(1).argmax(-1)
    sides = np.sign(latent_of_frame(frames, written.shape[2]) - at[:, None])
    return (sides * planted[:, None]).astype(np.int8)


def _agreements(run: Run, videos: Sequence[np.ndarray], truth: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    return np.reshape([video_agreement(video, truth, *grid) for video in videos], run.shape)


def _joined(parts: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    return np.concatenate([part[name] for part in parts]).astype(np.float32)


def _dataset(run: Run, cases: xr.Dataset, settings: dict, variables: dict) -> xr.Dataset:
    names = run.arms[0].coordinates
    return xr.Dataset(
        {
            "difficulty": cases["difficulty"],
            "family": ("case", np.full(cases.sizes["case"], cases.attrs["family"], object)),
            **variables,
        },
        coords={
            "case": cases["case"],
            "seed": np.array(run.seeds, np.int64),
            "arm": np.array([arm.name for arm in run.arms], object),
            **{name: ("arm", np.array([arm.coordinates[name] for arm in run.arms])) for name in names},
        },
        attrs=datasets.attributes(
            {"settings": settings, "run": run.settings, "seeds": run.seeds, "cases": cases.attrs["config_hash"]},
            family=cases.attrs["family"],
            purpose=cases.attrs["purpose"],
            order=run.settings["order"],
        ),
    )
