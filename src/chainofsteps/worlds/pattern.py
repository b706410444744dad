"""Pattern: a row of items repeats with a period; the missing one drops into the gap, a cell a frame.

Stands for the paper's size pattern (C4, superposition) and VBVR's pattern tasks. Items differ in size and colour;
difficulty is the period. Cases are drawn so that one filler only agrees with every period up to 4 that the visible
items allow: the posterior is a point.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.base import FRAMES

DIFFICULTY = "period of the sequence"
DIFFICULTIES = (2, 3, 4)
KINDS = ("disc-red", "small-red", "disc-green", "small-green", "disc-blue", "small-blue")
PROMPT = "the missing item of the repeating pattern drops into the gap"


def _fillers(row: list[str], gap: int) -> set[str]:
    """Items that complete the row to a sequence of some period up to 4."""
    found = set()
    for period in DIFFICULTIES:
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


def _plan(kind: int, cells: list[int]) -> np.ndarray:
    """Absent in the first frame, then through the cells, then at rest in the last."""
    stay = cells + [cells[-1]] * FRAMES
    return np.array([grid.ABSENT] + [grid.join_state(kind, cell) for cell in stay[: FRAMES - 1]], np.int16)


def _column(facts: dict) -> list[int]:
    return [row * grid.GRID + facts["gap"] for row in range(facts["row"] + 1)]


def solve(scene: np.ndarray, facts: dict) -> np.ndarray:
    return _plan(_answer(scene, facts), _column(facts))


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
    return {"through": _plan(kind, along), "wrong_answer": _plan((kind + 1) % len(KINDS), _column(facts))}
