"""Pattern: a row of items repeats with a period; the missing one drops into the gap, a cell a frame.

Stands for the paper's size pattern (C4, superposition) and VBVR's pattern tasks. Items differ in size and colour;
difficulty is the period. Cases are drawn so that one filler only agrees with every period up to 4 that the visible
items allow: the posterior is a point.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import column_down, enter

DIFFICULTY = "period of the sequence"
LEVELS = {"easy": (2,), "medium": (3,), "hard": (4,)}
KINDS = ("disc-red", "small-red", "disc-green", "small-green", "disc-blue", "small-blue")
PROMPT = "the missing item of the repeating pattern drops into the gap"
ANSWERS = 1
ONE_MOVER = True

_PERIODS = (2, 3, 4)


def _fillers(row: list[str], gap: int) -> set[str]:
    """Items that complete the row to a sequence of some period up to 4."""
    found = set()
    for period in _PERIODS:
        classes = [{row[i] for i in range(phase, len(row), period) if i != gap} for phase in range(period)]
        if all(len(items) == 1 for items in classes):
            found |= classes[gap % period]
    return found


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    while True:
        motif = [KINDS[int(k)] for k in rng.integers(len(KINDS), size=difficulty)]
        row = [motif[i % difficulty] for i in range(grid.GRID)]
        gap = int(rng.integers(grid.GRID))
        smaller = [p for p in range(1, difficulty) if all(row[i] == row[i % p] for i in range(grid.GRID))]
        if not smaller and _fillers(row, gap) == {row[gap]}:
            break
    line = int(rng.integers(4, 7))
    scene = np.full((grid.GRID, grid.GRID), grid.FLOOR, dtype="<U12")
    scene[line] = row
    scene[line, gap] = grid.FLOOR
    return scene, {"row": line, "gap": gap}


def _answer(scene: np.ndarray, facts: dict) -> int:
    (item,) = _fillers(list(scene[facts["row"]]), facts["gap"])
    return KINDS.index(str(item))


def _column(facts: dict) -> list[int]:
    return column_down(facts["gap"], facts["row"])


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    return [enter(_answer(scene, facts), _column(facts))]


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """The item enters at the top of the gap's column, falls a cell a frame and rests in the gap."""
    _kind, cell = np.divmod(plan, grid.STATES_PER_KIND)
    column = _column(facts)
    allowed = {(grid.ABSENT, grid.ABSENT), (grid.ABSENT, column[0]), (column[-1], column[-1])}
    allowed |= set(itertools.pairwise(column))
    return np.array([(int(a), int(b)) in allowed for a, b in itertools.pairwise(cell)])


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    return plan[-1] == grid.join_state(_answer(scene, facts), _column(facts)[-1])


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """Along the row through the other items; the right way with the wrong item."""
    kind = _answer(scene, facts)
    first = facts["row"] * grid.GRID
    along = list(range(first, first + facts["gap"] + 1))
    if facts["gap"] == 0:
        along = list(range(first + grid.GRID - 1, first - 1, -1))
    return {"through": enter(kind, along), "wrong_answer": enter((kind + 1) % len(KINDS), _column(facts))}
