"""Maze with a fork: two ways to the goal are equally short, either is right, and they stay apart for some moves.

The variant of :mod:`chainofsteps.worlds.maze_loop` whose two answers differ in at least `APART` frames. In most loops
of the parent the ways part for one room alone: a plan that is planted there has no frame on either side of it to lead.
"""

from __future__ import annotations

import numpy as np

from chainofsteps.worlds import maze, maze_loop

LEVELS = {"easy": (4,), "medium": (5, 6), "hard": (7,)}
APART = 3


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    while True:
        scene, facts = maze.draw_with_loop(rng, difficulty)
        one, other = maze.answers(scene, facts)
        if (one != other).sum() >= APART:
            return scene, facts


def __getattr__(name: str) -> object:
    """All else is the parent's."""
    return getattr(maze_loop, name)
