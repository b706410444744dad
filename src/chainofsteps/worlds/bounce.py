"""Bounce: a ball flies through a walled room and is thrown back by the walls.

Stands for the paper's bouncing ball (C6, physical law). The ball moves along a row, a column or a diagonal, a cell a
frame; where it was before the given frame is marked. Difficulty is the number of bounces, a corner being two. The
posterior is a point.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import FRAMES

DIFFICULTY = "bounces"
LEVELS = {"easy": (1,), "medium": (2, 3), "hard": (4, 5)}
KINDS = ("disc-red", "disc-green", "disc-blue")
PROMPT = "the ball flies on and bounces off the black walls"
ANSWERS = 1
ONE_MOVER = True

_WALL, _BEFORE = "full-black", "small-grey"
_SIZES = (3, 8)  # least and greatest height and width of the room


def fly(room: list[int], place: list[int], speed: list[int]) -> tuple[list[int], int]:
    """Cells of a flight, one a frame, and how often it bounces.

    Parameters
    ----------
    room : list of int
        Row, column, height and width of the free cells.
    place, speed : list of int
        Row and column inside the room in the given frame, and their change a frame, each -1, 0 or 1.
    """
    row, col, *size = room
    place, speed, bounces = list(place), list(speed), 0
    cells = [(row + place[0]) * grid.GRID + col + place[1]]
    for _ in range(FRAMES - 1):
        for axis in (0, 1):
            if not 0 <= place[axis] + speed[axis] < size[axis]:
                speed[axis], bounces = -speed[axis], bounces + 1
            place[axis] += speed[axis]
        cells.append((row + place[0]) * grid.GRID + col + place[1])
    return cells, bounces


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    while True:
        size = [int(n) for n in rng.integers(_SIZES[0], _SIZES[1] + 1, size=2)]
        row, col = (int(rng.integers(grid.GRID - n + 1)) for n in size)
        place = [int(rng.integers(n)) for n in size]
        speed = [int(s) for s in rng.integers(-1, 2, size=2)]
        before = [p - s for p, s in zip(place, speed, strict=True)]
        inside = all(0 <= p < n for p, n in zip(before, size, strict=True))
        cells, bounces = fly([row, col, *size], place, speed)
        # A flight that is its own reverse would look right when played backwards.
        if any(speed) and inside and bounces == difficulty and cells != cells[::-1]:
            break
    scene = np.full((grid.GRID, grid.GRID), _WALL, dtype="<U12")
    scene[row : row + size[0], col : col + size[1]] = grid.FLOOR
    scene[row + before[0], col + before[1]] = _BEFORE
    facts = {"room": [row, col, *size], "place": place, "speed": speed, "kind": int(rng.integers(len(KINDS)))}
    return scene, facts


def _flight(facts: dict, speed: list[int]) -> np.ndarray:
    cells, _ = fly(facts["room"], facts["place"], speed)
    return np.array([grid.join_state(facts["kind"], cell) for cell in cells], np.int16)


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    return [_flight(facts, facts["speed"])]


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """A move inside the room that keeps its direction, or turns it where a wall stands in the way."""
    row, col, *size = facts["room"]
    speed, legal = list(facts["speed"]), []
    for a, b in itertools.pairwise(np.asarray(plan) % grid.STATES_PER_KIND):
        here, there = (np.array(divmod(int(cell), grid.GRID)) - (row, col) for cell in (a, b))
        for axis in (0, 1):
            if not 0 <= here[axis] + speed[axis] < size[axis]:
                speed[axis] = -speed[axis]
        legal.append(bool(np.all(there - here == speed)))
    return np.array(legal)


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    """The last two places: in small rooms the flight comes back to its start."""
    return np.array_equal(plan[-2:], answers(scene, facts)[0][-2:])


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """On through the walls and in again on the other side; off in a wrong direction."""
    corner, place, speed = (np.array(part) for part in (facts["room"][:2], facts["place"], facts["speed"]))
    wrapped = (corner + place + np.arange(FRAMES)[:, None] * speed) % grid.GRID
    through = np.array([grid.join_state(facts["kind"], r * grid.GRID + c) for r, c in wrapped], np.int16)
    through[-1] = plan[-1]
    speeds = ([-facts["speed"][0], facts["speed"][1]], [facts["speed"][0], -facts["speed"][1]])
    wrong = next((w for w in (_flight(facts, list(s)) for s in speeds) if w[-1] != plan[-1]), None)
    if wrong is None:
        wrong = np.append(plan[:-1], plan[-2])
    return {"through": through, "wrong_answer": wrong}
