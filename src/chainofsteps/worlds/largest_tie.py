"""Largest with a tie: two bars are the longest, and either is right.

The variant of :mod:`chainofsteps.worlds.largest` with two answers: the posterior is one half each.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import largest

ANSWERS = 2


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    return largest.draw_with(rng, difficulty, ANSWERS)


def __getattr__(name: str) -> object:
    """All else is the parent's."""
    return getattr(largest, name)
