"""Tic-tac-toe with a fork: two squares complete a line of discs, and either is right.

The variant of :mod:`chainofsteps.worlds.tic_tac_toe` with two answers: the posterior is one half each.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import tic_tac_toe
from chainofsteps.worlds.tic_tac_toe import (
    DIFFICULTY,
    KINDS,
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

LEVELS = {"easy": (3,), "medium": (4,), "hard": (5,)}
ANSWERS = 2


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    return tic_tac_toe.draw_with(rng, difficulty, ANSWERS)
