"""Pattern among grey cells, which mean nothing.

The variant of :mod:`chainofsteps.worlds.pattern` with enough different pictures for the shortest period, too.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import grid, pattern

_MOST_GREY = 4


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    scene, facts = pattern.draw(rng, difficulty)
    cells = [(row, col) for row in range(grid.GRID) for col in range(grid.GRID)]
    free = [(row, col) for row, col in cells if row != facts["row"] and col != facts["gap"]]
    for place in rng.permutation(free)[: int(rng.integers(_MOST_GREY + 1))]:
        scene[tuple(place)] = "full-grey"
    return scene, facts


def __getattr__(name: str) -> object:
    """All else is the parent's."""
    return getattr(pattern, name)
