"""Maze: the yellow agent goes from the green cell to the red one, a room a frame.

Stands for the paper's mazes (C4 multi-path, C6 self-correction) and VBVR's maze tasks. 4 x 4 rooms joined by a uniform
spanning tree, so that exactly one way exists; difficulty is its length in rooms walked. The posterior is a point: the
plan is a function of the first frame.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.base import FRAMES

DIFFICULTY = "path length in moves"
DIFFICULTIES = (3, 4, 5, 6, 7, 8)
KINDS = ("disc-yellow",)
PROMPT = "the yellow agent walks through the maze from the green cell to the red cell"

_ROOMS = grid.GRID // 2
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def _cell(room: int) -> int:
    row, col = divmod(room, _ROOMS)
    return 2 * row * grid.GRID + 2 * col


def _neighbours(room: int) -> list[int]:
    row, col = divmod(room, _ROOMS)
    near = [(row + dr, col + dc) for dr, dc in _STEPS]
    return [r * _ROOMS + c for r, c in near if 0 <= r < _ROOMS and 0 <= c < _ROOMS]


def _spanning_tree(rng: np.random.Generator) -> set[frozenset[int]]:
    """Uniform spanning tree of the rooms (Aldous 1990, Broder 1989: first entries of a random walk)."""
    room = int(rng.integers(_ROOMS**2))
    seen, doors = {room}, set()
    while len(seen) < _ROOMS**2:
        near = _neighbours(room)
        step = near[int(rng.integers(len(near)))]
        if step not in seen:
            seen.add(step)
            doors.add(frozenset((room, step)))
        room = step
    return doors


def _distances(doors: set[frozenset[int]], start: int) -> dict[int, int]:
    """Moves from start to each room that can be reached, by breadth-first search."""
    far, frontier = {start: 0}, [start]
    for room in frontier:
        for near in _neighbours(room):
            if near not in far and frozenset((room, near)) in doors:
                far[near] = far[room] + 1
                frontier.append(near)
    return far


def _way(doors: set[frozenset[int]], start: int, goal: int) -> list[int]:
    """Rooms of a shortest way from start to goal."""
    far = _distances(doors, goal)
    if start not in far:
        raise ValueError("maze: the goal cannot be reached from the start")
    way = [start]
    while way[-1] != goal:
        near = [room for room in _neighbours(way[-1]) if frozenset((way[-1], room)) in doors]
        way.append(min(near, key=far.get))
    return way


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    while True:
        doors, start = _spanning_tree(rng), int(rng.integers(_ROOMS**2))
        goals = [room for room, far in _distances(doors, start).items() if far == difficulty]
        if goals:
            break
    goal = goals[int(rng.integers(len(goals)))]
    scene = np.full(grid.CELLS, "full-black", dtype="<U12")
    for room in range(_ROOMS**2):
        scene[_cell(room)] = grid.FLOOR
    for door in doors:
        scene[sum(_cell(room) for room in door) // 2] = grid.FLOOR
    scene[_cell(start)], scene[_cell(goal)] = "full-green", "full-red"
    return scene.reshape(grid.GRID, grid.GRID), {"start": _cell(start), "goal": _cell(goal)}


def _doors(scene: np.ndarray) -> set[frozenset[int]]:
    flat = scene.ravel()
    return {
        frozenset((room, near))
        for room in range(_ROOMS**2)
        for near in _neighbours(room)
        if flat[(_cell(room) + _cell(near)) // 2] == grid.FLOOR
    }


def _room(cell: int) -> int:
    row, col = divmod(cell, grid.GRID)
    return row // 2 * _ROOMS + col // 2


def _walk(rooms: list[int]) -> np.ndarray:
    """Plan that walks the rooms, a room a frame, and stays in the last."""
    stay = rooms + [rooms[-1]] * FRAMES
    return np.array([_cell(room) for room in stay[:FRAMES]], np.int16)


def solve(scene: np.ndarray, facts: dict) -> np.ndarray:
    return _walk(_way(_doors(scene), _room(facts["start"]), _room(facts["goal"])))


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """A move goes to an adjacent room through an open passage; waiting is allowed."""
    cells = {_cell(room) for room in range(_ROOMS**2)}
    doors = _doors(scene)
    return np.array(
        [
            a in cells and b in cells and (a == b or frozenset((_room(a), _room(b))) in doors)
            for a, b in itertools.pairwise(plan)
        ]
    )


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    return plan[-1] == facts["goal"]


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """Through a wall (any way that shuns the only right first door must); to another end along open passages."""
    start, goal = _room(facts["start"]), _room(facts["goal"])
    everywhere = {frozenset((room, near)) for room in range(_ROOMS**2) for near in _neighbours(room)}
    right_first = frozenset(_way(_doors(scene), start, goal)[:2])
    distance = _distances(_doors(scene), start)
    other = max((room for room in distance if room != goal and distance[room] < FRAMES), key=distance.get)
    return {
        "through": _walk(_way(everywhere - {right_first}, start, goal)),
        "wrong_answer": _walk(_way(_doors(scene), start, other)),
    }
