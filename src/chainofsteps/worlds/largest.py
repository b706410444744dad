"""Largest: the yellow mark goes along the top to the longest bar and stays above it.

Stands for the paper's largest sector (C4, candidates). Bars of different lengths hang at different heights, so that
their ends do not tell their lengths; difficulty is how little the longest exceeds the next, and at last how many bars
there are that it exceeds by one. One bar alone is the longest: the posterior is a point.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import hold

DIFFICULTY = "4 less the margin, in cells, of the longest bar over the next; 4: margin 1 over each of more bars"
LEVELS = {"easy": (1,), "medium": (2, 3), "hard": (4,)}
KINDS = ("disc-yellow",)
PROMPT = "the yellow mark goes along the top to the longest bar"
ANSWERS = 1
ONE_MOVER = True

_COLOURS = ("red", "green", "blue", "black")
_TOP, _HEIGHT = 2, 6  # bars hang in rows 2 to 7; row 0 is the mark's way
_BARS, _MORE_BARS = (3, 6), (7, 8)
_WITH_MORE_BARS = 4


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    return draw_with(rng, difficulty, ANSWERS)


def draw_with(rng: np.random.Generator, difficulty: int, longest: int) -> tuple[np.ndarray, dict]:
    """Scene and facts with so many bars of the greatest length."""
    more = difficulty == _WITH_MORE_BARS
    margin, (fewest, most) = (1, _MORE_BARS) if more else (4 - difficulty, _BARS)
    bars = int(rng.integers(fewest, most + 1))
    greatest = int(rng.integers(margin + 1, _HEIGHT + 1))
    lengths = [greatest] * longest + [greatest - margin]
    shortest = greatest - margin if more else 1
    lengths += [int(rng.integers(shortest, greatest - margin + 1)) for _ in range(bars - len(lengths))]
    scene = np.full((grid.GRID, grid.GRID), grid.FLOOR, dtype="<U12")
    colour = f"full-{_COLOURS[int(rng.integers(len(_COLOURS)))]}"
    for col, length in zip(rng.permutation(grid.GRID)[:bars], rng.permutation(lengths), strict=True):
        top = _TOP + int(rng.integers(_HEIGHT - length + 1))
        scene[top : top + length, col] = colour
    far = [col for col in range(grid.GRID) if all(abs(col - goal) > 1 for goal in _longest(scene))]
    return scene, {"start": far[int(rng.integers(len(far)))]}


def _longest(scene: np.ndarray) -> list[int]:
    lengths = (scene[_TOP:] != grid.FLOOR).sum(0)
    return np.flatnonzero(lengths == lengths.max()).tolist()


def _walk(start: int, col: int) -> np.ndarray:
    return hold([*range(start, col, 1 if col > start else -1), col])


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    return [_walk(facts["start"], col) for col in _longest(scene)]


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """A cell a frame along the top row; waiting is allowed."""
    return np.array(
        [a < grid.GRID and b < grid.GRID and abs(int(a) - int(b)) <= 1 for a, b in itertools.pairwise(plan)]
    )


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    return int(plan[-1]) in _longest(scene)


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """Below the top row and up again; to a bar that is not the longest."""
    start, col = facts["start"], int(plan[-1])
    below = [cell + grid.GRID for cell in _walk(start, col)[:6]]
    shorter = [c for c in np.flatnonzero((scene[_TOP:] != grid.FLOOR).any(0)).tolist() if c not in _longest(scene)]
    return {"through": hold([start, *below, col]), "wrong_answer": _walk(start, shorter[0])}
