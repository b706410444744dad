"""Reappearance: a disc leaves over the nearest edge, stays away, and is back at its place in frame 6.

Stands for the paper's circle that leaves and returns (C5, working memory). Small squares stay where they are;
difficulty is the number of frames out of sight, and at last a crowd of squares. The posterior is a point: edge and
timing follow from the place.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import FRAMES

DIFFICULTY = "frames out of sight; 6: five, in a crowd of squares"
LEVELS = {"easy": (1,), "medium": (3, 5), "hard": (6,)}
KINDS = ("disc-red", "disc-green", "disc-blue")
PROMPT = "the disc leaves the picture over the nearest edge and returns to its place"
ANSWERS = 1
ONE_MOVER = True

_HOME_FRAME = 6
_SQUARES = ("small-red", "small-green", "small-blue")
_FEW, _CROWD = (2, 6), (12, 16)  # how many squares there are: at least, and fewer than
_IN_CROWD = 6


def _tracks(home: int) -> list[list[int]]:
    """Cells from home to each of the four edges, both included, the shortest way first."""
    row, col = divmod(home, grid.GRID)
    return sorted(
        (
            [r * grid.GRID + col for r in range(row, -1, -1)],
            [r * grid.GRID + col for r in range(row, grid.GRID)],
            [row * grid.GRID + c for c in range(col, -1, -1)],
            [row * grid.GRID + c for c in range(col, grid.GRID)],
        ),
        key=len,
    )


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    away, squares = (difficulty - 1, _CROWD) if difficulty == _IN_CROWD else (difficulty, _FEW)
    moves = (_HOME_FRAME + 1 - away) // 2
    homes = [home for home in range(grid.CELLS) if len(_tracks(home)[0]) == moves and len(_tracks(home)[1]) > moves]
    home = homes[int(rng.integers(len(homes)))]
    scene = np.full(grid.CELLS, grid.FLOOR, dtype="<U12")
    free = [cell for cell in range(grid.CELLS) if cell not in _tracks(home)[0]]
    for cell in rng.permutation(free)[: int(rng.integers(*squares))]:
        scene[cell] = _SQUARES[int(rng.integers(len(_SQUARES)))]
    return scene.reshape(grid.GRID, grid.GRID), {"home": home, "kind": int(rng.integers(len(KINDS)))}


def _there_and_back(kind: int, out: list[int], back: list[int]) -> np.ndarray:
    away = _HOME_FRAME + 1 - len(out) - len(back)
    cells = out + [grid.ABSENT] * away + back
    cells += [back[-1]] * (FRAMES - len(cells))
    return np.array([grid.join_state(kind, cell) for cell in cells], np.int16)


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    track = _tracks(facts["home"])[0]
    return [_there_and_back(facts["kind"], track, track[::-1])]


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """Out over the nearest edge, absent, back over the same edge, then at rest; a cell a frame, no waiting before."""
    cell = np.asarray(plan) % grid.STATES_PER_KIND
    track = _tracks(facts["home"])[0] + [grid.ABSENT]
    outward = set(itertools.pairwise(track))
    inward = {(b, a) for a, b in outward}
    legal, been_away = [], False
    for a, b in itertools.pairwise(cell):
        been_away |= bool(a == grid.ABSENT)
        rest = (track[0], track[0]) if been_away else None
        move = (int(a), int(b))
        legal.append(move in (inward if been_away else outward) or move == (grid.ABSENT, grid.ABSENT) or move == rest)
    return np.array(legal)


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    """Home, in its own colour, from frame 6 on, after having been away."""
    home = grid.join_state(facts["kind"], facts["home"])
    return bool(np.all(plan[_HOME_FRAME:] == home) and np.any(plan == grid.ABSENT))


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """Across the picture to a farther edge; back in another place."""
    near, far = _tracks(facts["home"])[0], _tracks(facts["home"])[1]
    across = far[: len(near) + 1]
    elsewhere = [(cell + grid.GRID * (grid.GRID // 2)) % grid.CELLS for cell in near]
    return {
        "through": _there_and_back(facts["kind"], across, across[::-1]),
        "wrong_answer": _there_and_back(facts["kind"], near, elsewhere[::-1]),
    }
