"""How a mover's plan is made from the cells it passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainofsteps.worlds import grid

FRAMES = 9


def hold(states: Sequence[int]) -> np.ndarray:
    """Plan of the given states, a frame each; the last one stays.

    Returns
    -------
    ndarray of int16, (frame,)
    """
    return np.array([*states, *[states[-1]] * FRAMES][:FRAMES], np.int16)


def enter(kind: int, cells: Sequence[int]) -> np.ndarray:
    """Plan of a mover that is absent in the given frame, then passes the cells and stays in the last."""
    return hold([grid.ABSENT, *(grid.join_state(kind, cell) for cell in cells)])


def column_down(col: int, row: int) -> list[int]:
    """Cells of a column from the top edge to a row, both included."""
    return [r * grid.GRID + col for r in range(row + 1)]
