"""Tic-tac-toe with a fork: two squares complete a line of discs, and either is right.

The variant of :mod:`chainofsteps.worlds.tic_tac_toe` with two answers: the posterior is one half each.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import tic_tac_toe

LEVELS = {"easy": (3,), "medium": (4, 5), "hard": (7,)}
ANSWERS = 2

_BLACK = (3, 6)  # with fewer, as the parent has them, the hard level is not hard


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    return tic_tac_toe.draw_with(rng, difficulty, ANSWERS, _BLACK)


def __getattr__(name: str) -> object:
    """All else is the parent's."""
    return getattr(tic_tac_toe, name)
