"""Maze with a loop: two ways to the goal are equally short, and either is right.

The variant of :mod:`chainofsteps.worlds.maze` with two answers: the posterior is one half each.
"""

from chainofsteps.worlds.maze import (
    DIFFICULTY,
    KINDS,
    ONE_MOVER,
    PROMPT,
    answers,
    control_plans,
    legal_moves,
    reaches_goal,
)
from chainofsteps.worlds.maze import draw_with_loop as draw

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

LEVELS = {"easy": (3,), "medium": (4, 5), "hard": (6, 7)}
ANSWERS = 2
