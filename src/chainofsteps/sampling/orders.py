"""In which order the latent frames are denoised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chainofsteps.refusal import Refused

_SHUFFLES = 1000  # permutations drawn, of which the one least correlated with time is taken


@dataclass(frozen=True, eq=False)
class Order:
    """A timetable: where each latent frame stands at each evaluation of the network.

    Attributes
    ----------
    name : str
        Key in `ORDERS`.
    step_index : ndarray of int, (evaluation, latent_frame)
        Index into the schedule of S steps before the evaluation: 0 is pure noise, S is clean.
    active : ndarray of bool, (evaluation, latent_frame)
        Whether the frame takes its next step at this evaluation.
    """

    name: str
    step_index: np.ndarray
    active: np.ndarray

    @property
    def groups(self) -> tuple[np.ndarray, ...]:
        """Latent frames that share a timetable, and so a scheduler; frames that never move are in no group."""
        timetables = np.concatenate([self.step_index, self.active])
        _, group = np.unique(timetables, axis=1, return_inverse=True)
        group = group.ravel()
        moving = self.active.any(axis=0)
        return tuple(np.flatnonzero(group == label) for label in np.unique(group[moving]))


def joint(latent_frames: int, steps: int) -> Order:
    """All latent frames together, one step an evaluation: the pipeline's own order.

    Parameters
    ----------
    latent_frames, steps : int
        F and S.

    Returns
    -------
    Order
        S evaluations.
    """
    _refuse_small("joint", latent_frames, 1, steps)
    step_index = np.repeat(np.arange(steps)[:, None], latent_frames, axis=1)
    return Order("joint", step_index, np.ones((steps, latent_frames), dtype=bool))


def frame_by_frame(latent_frames: int, steps: int) -> Order:
    """Each latent frame denoised fully before the next: Chain-of-Frames by construction.

    Latent frame 0 is given, hence clean from the start. Earlier frames stand clean, later ones as pure noise.

    Parameters
    ----------
    latent_frames, steps : int
        F (the given one included, at least 2) and S steps a frame.

    Returns
    -------
    Order
        (F - 1) * S evaluations.
    """
    return _staggered("frame_by_frame", np.arange(latent_frames - 1) * steps, steps)


def shuffled(latent_frames: int, steps: int) -> Order:
    """As `frame_by_frame`, but the latent frames take their turns in an order that has nothing to do with time.

    The control of the control: frames are in a chain, but not in that of time. The turns are a permutation drawn once
    for each number of frames, the one least correlated with time among those drawn.

    Parameters
    ----------
    latent_frames, steps : int
        F (the given one included, at least 2) and S steps a frame.

    Returns
    -------
    Order
        (F - 1) * S evaluations.
    """
    free = max(latent_frames - 1, 0)
    rng = np.random.default_rng(free)
    drawn = [rng.permutation(free) for _ in range(_SHUFFLES)]
    time = np.arange(free) - (free - 1) / 2
    turns = min(drawn, key=lambda turns: abs(time @ turns))
    return _staggered("shuffled", turns * steps, steps)


def pyramid(latent_frames: int, steps: int) -> Order:
    """Each latent frame one step behind the frame before it: between joint and frame by frame.

    The pyramid schedule of diffusion forcing (Chen et al. 2024, arXiv:2407.01392).

    Parameters
    ----------
    latent_frames, steps : int
        F (the given one included, at least 2) and S steps a frame.

    Returns
    -------
    Order
        S + F - 2 evaluations.
    """
    return _staggered("pyramid", np.arange(latent_frames - 1), steps)


def _staggered(name: str, start: np.ndarray, steps: int) -> Order:
    """Frames after the given one that take all their steps in a row, each from its own evaluation on."""
    _refuse_small(name, len(start) + 1, 2, steps)
    evaluation = np.arange(start.max() + steps)[:, None]
    # The given frame has been through before the first evaluation.
    start = np.concatenate([[-steps], start])[None]
    step_index = np.clip(evaluation - start, 0, steps)
    return Order(name, step_index, (evaluation >= start) & (evaluation < start + steps))


ORDERS: dict[str, Callable[[int, int], Order]] = {
    function.__name__: function for function in (joint, frame_by_frame, shuffled, pyramid)
}


def build_order(name: str, latent_frames: int, steps: int) -> Order:
    """The order of that name.

    Parameters
    ----------
    name : str
        Key in `ORDERS`.
    latent_frames, steps : int
        F (the given one included) and S.

    Returns
    -------
    Order

    Raises
    ------
    Refused
        Unknown name, or fewer frames or steps than the order needs.
    """
    if name not in ORDERS:
        raise Refused("sampling", "order", name, ", ".join(ORDERS))
    return ORDERS[name](latent_frames, steps)


def decoded_steps(experiment: dict, evaluations: int) -> list[int]:
    """Evaluations whose clean estimates are decoded: those that an experiment names, or all; the last is the video."""
    return sorted({*experiment.get("decoded_steps", range(evaluations)), evaluations - 1})


def decoded_frames(experiment: dict, frames: int) -> list[int]:
    """Video frames of the clean estimates that are read: those that an experiment names, or all."""
    return list(experiment.get("decoded_frames", range(frames)))


def kept_pictures(experiment: dict, evaluations: int, frames: int) -> int:
    """Pictures of a stream that are kept until they are read: of its clean estimates, and of the video left whole."""
    chosen = len(decoded_frames(experiment, frames))
    return len(decoded_steps(experiment, evaluations)) * chosen + frames * (chosen < frames)


def longest(orders: dict[str, dict]) -> list[str]:
    """Of orders by name, each with its ``order`` and ``steps``: the name of that with the most steps of each kind."""
    kinds = dict.fromkeys(given["order"] for given in orders.values())
    return [
        max((name for name in orders if orders[name]["order"] == kind), key=lambda name: orders[name]["steps"])
        for kind in kinds
    ]


def _refuse_small(name: str, latent_frames: int, least: int, steps: int) -> None:
    if latent_frames < least:
        raise Refused(f"order {name}", "latent_frames", latent_frames, f"at least {least}")
    if steps < 1:
        raise Refused(f"order {name}", "steps", steps, "at least 1")
