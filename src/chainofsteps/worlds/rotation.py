"""Rotation: a hand turns round a hub by the same angle in every frame.

Stands for the paper's repeated rotation (C4, superposition). The hand's end goes round a ring of 16 cells; where it
stood before the given frame is marked, so the angle is known. Black cells outside the ring mean nothing. Difficulty is
the angle in cells of the ring. The posterior is a point.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import FRAMES

DIFFICULTY = "angle a frame in sixteenths of a turn"
LEVELS = {"easy": (1,), "medium": (2, 3), "hard": (4, 5)}
KINDS = ("disc-red", "disc-green", "disc-blue")
PROMPT = "the disc turns round the hub by the same angle in every frame"
ANSWERS = 1
ONE_MOVER = True

_SIDE = 5
# No disc: decoded a little off, it would be read as the mover.
_HUBS = ("full-black", "full-yellow")
_BEFORE = "small-black"
_MOST_BLACK = 4


def ring(corner: int) -> list[int]:
    """The 16 cells round a 5 x 5 square with that upper left cell, clockwise."""
    row, col = divmod(corner, grid.GRID)
    last = _SIDE - 1
    places = [(0, i) for i in range(last)] + [(i, last) for i in range(last)]
    places += [(last, last - i) for i in range(last)] + [(last - i, 0) for i in range(last)]
    return [(row + r) * grid.GRID + col + c for r, c in places]


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    # In even rows and columns, so that the ring lies on the tokens of the network in one way.
    row, col = (2 * int(n) for n in rng.integers((grid.GRID - _SIDE) // 2 + 1, size=2))
    track = ring(row * grid.GRID + col)
    place, angle = int(rng.integers(len(track))), difficulty * (1 if rng.integers(2) else -1)
    scene = np.full(grid.CELLS, grid.FLOOR, dtype="<U12")
    inside = [(row + r) * grid.GRID + col + c for r in range(_SIDE) for c in range(_SIDE)]
    outside = np.setdiff1d(np.arange(grid.CELLS), inside)
    scene[rng.permutation(outside)[: int(rng.integers(_MOST_BLACK + 1))]] = "full-black"
    scene[track] = "full-grey"
    scene[(row + _SIDE // 2) * grid.GRID + col + _SIDE // 2] = _HUBS[int(rng.integers(len(_HUBS)))]
    before = track[(place - angle) % len(track)]
    scene[before] = _BEFORE
    facts = {"corner": row * grid.GRID + col, "now": track[place], "before": before}
    return scene.reshape(grid.GRID, grid.GRID), facts | {"kind": int(rng.integers(len(KINDS)))}


def _turning(facts: dict, angle: int) -> np.ndarray:
    track = ring(facts["corner"])
    places = (track.index(facts["now"]) + angle * np.arange(FRAMES)) % len(track)
    return np.array([grid.join_state(facts["kind"], track[place]) for place in places], np.int16)


def _angle(facts: dict) -> int:
    track = ring(facts["corner"])
    return track.index(facts["now"]) - track.index(facts["before"])


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    return [_turning(facts, _angle(facts))]


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """Each move turns by the angle between the mark and the given place."""
    cells = np.asarray(plan) % grid.STATES_PER_KIND
    right = _turning(facts | {"kind": 0}, _angle(facts))
    onward = dict(itertools.pairwise([*right, *_turning(facts | {"kind": 0, "now": int(right[-1])}, _angle(facts))]))
    return np.array([onward.get(int(a)) == int(b) for a, b in itertools.pairwise(cells)])


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    """The last two places: eight turns by an even angle end where they began."""
    return np.array_equal(plan[-2:], answers(scene, facts)[0][-2:])


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """Straight across the ring, back and forth; by a sixteenth of a turn too much."""
    angle = _angle(facts)
    other = _turning(facts, angle + 1)
    across = _turning(facts, len(ring(facts["corner"])) // 2)
    across[-1] = plan[-1]
    return {"through": across, "wrong_answer": other}
