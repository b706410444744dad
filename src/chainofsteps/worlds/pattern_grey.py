"""Pattern among grey cells, which mean nothing.

The variant of :mod:`chainofsteps.worlds.pattern` with enough different pictures for the shortest period, too; its
greatest difficulty has more of these cells.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import grid, pattern

DIFFICULTY = "period of the sequence; 5: four, among more grey cells"
LEVELS = {"easy": (2,), "medium": (3,), "hard": (4, 5)}

_FEW, _MANY = (0, 5), (5, 8)  # how many grey cells: at least, and fewer than
_AMONG_MANY = 5


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    many = difficulty == _AMONG_MANY
    scene, facts = pattern.draw(rng, difficulty - many)
    cells = [(row, col) for row in range(grid.GRID) for col in range(grid.GRID)]
    free = [(row, col) for row, col in cells if row != facts["row"] and col != facts["gap"]]
    for place in rng.permutation(free)[: int(rng.integers(*(_MANY if many else _FEW)))]:
        scene[tuple(place)] = "full-grey"
    return scene, facts


def __getattr__(name: str) -> object:
    """All else is the parent's."""
    return getattr(pattern, name)
