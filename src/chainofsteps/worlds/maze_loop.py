"""Maze with a loop: two ways to the goal are equally short, and either is right.

The variant of :mod:`chainofsteps.worlds.maze` with two answers: the posterior is one half each.
"""

from chainofsteps.worlds import maze

LEVELS = {"easy": (3,), "medium": (4, 5, 6), "hard": (7,)}
ANSWERS = 2
draw = maze.draw_with_loop


def __getattr__(name: str) -> object:
    """All else is the parent's."""
    return getattr(maze, name)
