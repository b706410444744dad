"""Read every step of every trajectory: which plan does the clean estimate hold, how sure, and since when."""

from __future__ import annotations

import numpy as np
import xarray as xr

from chainofsteps import worlds
from chainofsteps.readout.cases import case_of

BRANCHES = 4
WAITING = -1
_PARTS = ("correct", "reaches_goal", "legal_moves", "start_kept", "frames_consistent")


def commitment_step(plan: np.ndarray) -> np.ndarray:
    """First step from which the state no longer changes (tau_f of estimands.md).

    Parameters
    ----------
    plan : ndarray of int, (..., step, frame)

    Returns
    -------
    ndarray of int16, (..., frame)
        0 when the first clean estimate already held the final state.
    """
    differs = plan != plan[..., -1:, :]
    steps = plan.shape[-2]
    last_other = np.where(differs.any(-2), steps - 1 - np.argmax(differs[..., ::-1, :], axis=-2), -1)
    return (last_other + 1).astype(np.int16)


def state_masses(mass: np.ndarray) -> np.ndarray:
    """Distribution over states, the absent mover last.

    Parameters
    ----------
    mass : ndarray, (..., kinds, row, col)

    Returns
    -------
    ndarray, (..., kinds * cells + 1), that sums to 1
    """
    flat = mass.reshape(*mass.shape[:-3], -1)
    absent = np.clip(1 - flat.sum(-1, keepdims=True), 0, 1)
    return np.concatenate([flat, absent], axis=-1)


def state_entropy(masses: np.ndarray) -> np.ndarray:
    """Entropy of a distribution over states, in bits; (..., state) -> (...)."""
    logs = np.log2(masses, out=np.zeros_like(masses), where=masses > 0)
    return np.maximum(-(masses * logs).sum(-1), 0)


def waiting_frames(active: np.ndarray, frames: int) -> np.ndarray:
    """Where the sampler has not touched a video frame yet.

    Parameters
    ----------
    active : ndarray, (step, latent_frame)
        Latent frame 0 is given and never waits.
    frames : int
        Video frames.

    Returns
    -------
    ndarray of bool, (step, frame)
    """
    touched = np.maximum.accumulate(active.astype(bool), axis=0)
    touched[:, 0] = True
    return ~touched[:, latent_of_frame(frames, active.shape[1])]


def latent_of_frame(frames: int, latent_frames: int) -> np.ndarray:
    """Latent frame that each video frame is decoded from: the first stands alone, the others share theirs evenly."""
    return np.ceil(np.arange(frames) * (latent_frames - 1) / (frames - 1)).astype(int)


def agreement(plan: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Where a plan holds the states of the right answer that it agrees with in most frames.

    Parameters
    ----------
    plan : ndarray of int, (..., frame)
    answers : ndarray of int, (answer, frame)

    Returns
    -------
    ndarray of bool, (..., frame)
    """
    agrees = plan[..., None, :] == answers
    nearest = agrees.sum(-1).argmax(-1)[..., None, None]
    return np.take_along_axis(agrees, nearest, axis=-2)[..., 0, :]


def read_case(case: worlds.Case, clean_estimate: np.ndarray, waiting: np.ndarray) -> dict[str, np.ndarray]:
    """Features of all streams of one case.

    Parameters
    ----------
    case : Case
    clean_estimate : ndarray of uint8, (seed, step, frame, 32, 32, 3)
    waiting : ndarray of bool, (step, frame)
        Frames that still are the initial noise: they have no clean estimate, and the plan there is ``WAITING``.

    Returns
    -------
    dict
        Arrays over (seed, step, ...), named as in the features schema; masses and errors are 0 where a frame waits.
    """
    reading = case.read(clean_estimate)
    plan = np.where(waiting, WAITING, reading.plan).astype(np.int16)
    masses = state_masses(reading.mass)
    scores = [
        [worlds.score(case, plan, count) for plan, count in zip(plans, counts, strict=True)]
        for plans, counts in zip(plan, reading.mover_count, strict=True)
    ]
    read = ~waiting
    return {
        "occupancy": reading.occupancy.clip(0, 1) * read[..., None, None],
        "plan": plan,
        "mover_count": reading.mover_count * read,
        "scene_error": reading.scene_error * read,
        "entropy": state_entropy(masses).astype(np.float32) * read,
        "branch_mass": np.sort(masses, axis=-1)[..., : -BRANCHES - 1 : -1].astype(np.float32) * read[..., None],
        "frame_correct": agreement(plan, case.answers).astype(np.int8),
        "commitment_step": commitment_step(plan),
        **{part: np.array([[s[part] for s in row] for row in scores], np.float32) for part in _PARTS},
    }


def extract_features(cases: xr.Dataset, trajectories: xr.Dataset) -> xr.Dataset:
    """Features dataset of a trajectories dataset.

    Parameters
    ----------
    cases, trajectories : Dataset
        By their schemas (:mod:`chainofsteps.datasets`); every case of the trajectories is in the cases.

    Returns
    -------
    Dataset
        By the features schema, without root attributes of its own.
    """
    waiting = waiting_frames(trajectories["active"].values, trajectories.sizes["frame"])
    parts = [
        read_case(case_of(cases, case_id), trajectories["clean_estimate"].sel(case=case_id).values, waiting)
        for case_id in trajectories["case"].values
    ]
    lead = {
        "occupancy": ("case", "seed", "step", "frame", "row", "col"),
        "branch_mass": ("case", "seed", "step", "frame", "branch"),
        "commitment_step": ("case", "seed", "frame"),
        **{part: ("case", "seed", "step") for part in _PARTS},
    }
    variables = {
        name: (lead.get(name, ("case", "seed", "step", "frame")), np.stack([part[name] for part in parts]))
        for name in parts[0]
    }
    kept = trajectories[["difficulty", "sigma", "timestep", "active"]]
    features = xr.Dataset(variables, coords={n: trajectories[n] for n in ("case", "seed", "step", "frame")})
    return features.merge(kept).assign_attrs(trajectories.attrs)
