"""Bins: item after item is lifted from the queue and put into the bin of its colour.

Stands for the paper's sorting of objects (C7, perception before action). An item is lifted in one frame and put down in
the next; difficulty is the number of items, and at last black cells that mean nothing. The posterior is a point.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import FRAMES

DIFFICULTY = "number of items; 5: four, among black cells"
LEVELS = {"easy": (1,), "medium": (2, 3), "hard": (4, 5)}
# Three, so that any mixture of items is the mixture of one set of masses: colour has three channels.
_COLOURS = ("red", "green", "blue")
KINDS = tuple(f"disc-{colour}" for colour in _COLOURS)
PROMPT = "each item of the queue goes into the bin of its colour"
ANSWERS = 1
ONE_MOVER = False

_QUEUE_COL = 0
_AMONG_BLACK = 5
_BLACK = (1, 4)  # how many black cells: at least, and fewer than


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    scene = np.full((grid.GRID, grid.GRID), grid.FLOOR, dtype="<U12")
    # A bin is a grey cell with a sample of its colour to the right of it, so that the item in it can be seen.
    rows = rng.permutation(grid.GRID)[: len(_COLOURS)]
    col = int(rng.integers(3, grid.GRID - 1))
    bins = [int(row) * grid.GRID + col for row in rows]
    for kind, cell in enumerate(bins):
        scene.flat[cell], scene.flat[cell + 1] = "full-grey", f"full-{_COLOURS[kind]}"
    black = difficulty == _AMONG_BLACK
    count = difficulty - black
    items = [int(kind) for kind in rng.integers(len(_COLOURS), size=count)]
    top = int(rng.integers(grid.GRID - count + 1))
    queue = [(top + i) * grid.GRID + _QUEUE_COL for i in range(count)]
    for kind, cell in zip(items, queue, strict=True):
        scene.flat[cell] = f"small-{_COLOURS[kind]}"
    if black:
        free = np.flatnonzero((scene == grid.FLOOR) & (np.arange(grid.GRID) != _QUEUE_COL))
        scene.flat[rng.permutation(free)[: int(rng.integers(*_BLACK))]] = "full-black"
    return scene, {"items": items, "queue": queue, "bins": bins}


def _carry(items: list[int], queue: list[int], targets: list[int]) -> np.ndarray:
    """Absent, then each item at its place in the queue and at its target, a frame each, then absent again."""
    states = [grid.ABSENT]
    for kind, origin, target in zip(items, queue, targets, strict=True):
        states += [grid.join_state(kind, origin), grid.join_state(kind, target)]
    return np.array(states + [grid.ABSENT] * (FRAMES - len(states)), np.int16)


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    return [_carry(facts["items"], facts["queue"], [facts["bins"][kind] for kind in facts["items"]])]


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """In odd frames the next item is lifted where it lies; in even ones the same item is in some bin."""
    kinds, cells = np.divmod(np.asarray(plan), grid.STATES_PER_KIND)
    legal = np.ones(len(plan) - 1, bool)
    for frame in range(1, len(plan)):
        item, lifted = divmod(frame - 1, 2)
        if item >= len(facts["items"]):
            legal[frame - 1] = cells[frame] == grid.ABSENT
        elif lifted == 0:
            legal[frame - 1] = (kinds[frame], cells[frame]) == (facts["items"][item], facts["queue"][item])
        else:
            legal[frame - 1] = kinds[frame] == kinds[frame - 1] and cells[frame] in facts["bins"]
    return legal


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    """Every item was put into the bin of its colour."""
    put = np.asarray(plan)[2 : 2 * len(facts["items"]) + 1 : 2]
    return bool(np.array_equal(put, answers(scene, facts)[0][2 : 2 * len(facts["items"]) + 1 : 2]))


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """Into the bins without being lifted; into the bins of other colours."""
    right = [facts["bins"][kind] for kind in facts["items"]]
    wrong = [facts["bins"][(kind + 1) % len(facts["bins"])] for kind in facts["items"]]
    return {
        "through": _carry(facts["items"], right, right),
        "wrong_answer": _carry(facts["items"], facts["queue"], wrong),
    }
