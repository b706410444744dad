"""What went wrong in a case that was not solved: where its plan left the right one, and what other seeds did."""

from __future__ import annotations

import numpy as np
import xarray as xr

from chainofsteps.readout.cases import case_of
from chainofsteps.readout.features import WAITING
from chainofsteps.worlds import grid


def worst_streams(features: xr.Dataset, count: int) -> list[tuple[str, int]]:
    """The streams whose final plan is farthest from right.

    Parameters
    ----------
    features : Dataset
        By the ``features`` schema.
    count : int
        At most so many, a case once.

    Returns
    -------
    list of (case id, seed)
        Only streams that failed; by the frames that are right in the end, fewest first, then in the dataset's order.
    """
    failed = features["correct"].isel(step=-1) < 1
    right = features["frame_correct"].isel(step=-1).sum("frame").where(failed, np.inf)
    worst = right.argmin("seed")
    order = np.argsort(right.min("seed").values, kind="stable")
    chosen = [index for index in order if np.isfinite(right.values[index].min())][:count]
    return [(str(features["case"].values[i]), int(features["seed"].values[int(worst[i])])) for i in chosen]


def explain_failure(cases: xr.Dataset, features: xr.Dataset, case_id: str, seed: int) -> dict[str, object]:
    """When and where a failed stream went wrong.

    Parameters
    ----------
    cases, features : Dataset
        By their schemas.
    case_id : str
    seed : int
        A stream that failed.

    Returns
    -------
    dict
        ``case``, ``difficulty``, ``seed``; ``frame``: the first that is wrong in the end; ``step``: the first from
        which on it is wrong without a break (that of its first clean estimate, if it never was right); ``was_right``:
        whether the whole plan was right at any step; ``held`` and ``right``: the state read in that frame at that step,
        and the nearest answer's, in words; ``broken``: the parts of the score that are not full in the end;
        ``other_seeds``: how many of them solve the case, and of how many. ``frame``, ``step``, ``held`` and ``right``
        are None where every frame is right and the video failed otherwise (two movers in a frame).
    """
    stream = features.sel(case=case_id, seed=seed)
    case = case_of(cases, case_id)
    wrong = stream["frame_correct"].values == 0
    frames = np.flatnonzero(wrong[-1])
    # A plan whose frames are all right can still be refused, for two movers in a picture: then no frame is to blame.
    frame = int(frames[0]) if len(frames) else None
    step = None
    if frame is not None:
        right_at = np.flatnonzero(~wrong[:, frame])
        step = int(right_at[-1]) + 1 if len(right_at) else _first_seen(stream["plan"].values[:, frame])
    final = stream["plan"].values[-1]
    nearest = case.answers[(case.answers == final).sum(1).argmax()]
    others = features["correct"].sel(case=case_id).isel(step=-1).drop_sel(seed=seed)
    parts = ("reaches_goal", "legal_moves", "start_kept", "frames_consistent")
    return {
        "case": case_id,
        "difficulty": case.difficulty,
        "seed": seed,
        "frame": frame,
        "step": step,
        "was_right": bool((stream["correct"] == 1).any()),
        "held": None if frame is None else _in_words(int(stream["plan"].values[step, frame]), case.kinds),
        "right": None if frame is None else _in_words(int(nearest[frame]), case.kinds),
        "broken": [part for part in parts if float(stream[part].isel(step=-1)) < 1],
        "other_seeds": (int((others == 1).sum()), others.sizes["seed"]),
    }


def _first_seen(states: np.ndarray) -> int:
    """First step at which a frame has a clean estimate."""
    return int(np.flatnonzero(states != WAITING)[0])


def _in_words(state: int, kinds: tuple[str, ...]) -> str:
    """A state as a glyph and its row and column."""
    kind, cell = grid.split_state(state)
    if cell == grid.ABSENT:
        return "no mover"
    row, col = divmod(cell, grid.GRID)
    return f"{kinds[kind]} in row {row}, column {col}"
