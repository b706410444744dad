"""Largest with a tie: two bars are the longest, and either is right.

The variant of :mod:`chainofsteps.worlds.largest` with two answers: the posterior is one half each.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import largest
from chainofsteps.worlds.largest import (
    DIFFICULTY,
    KINDS,
    LEVELS,
    ONE_MOVER,
    PROMPT,
    answers,
    control_plans,
    legal_moves,
    reaches_goal,
)

__all__ = [
    "ANSWERS",
    "DIFFICULTY",
    "KINDS",
    "LEVELS",
    "ONE_MOVER",
    "PROMPT",
    "answers",
    "control_plans",
    "draw",
    "legal_moves",
    "reaches_goal",
]

ANSWERS = 2


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    return largest.draw_with(rng, difficulty, ANSWERS)
