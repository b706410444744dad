"""Maze: the yellow agent goes from the green cell to the red one, a room a frame.

Stands for the paper's mazes (C4 multi-path, C6 self-correction) and VBVR's maze tasks. 4 x 4 rooms joined by a uniform
spanning tree, so that exactly one way exists; difficulty is its length in rooms walked. The posterior is a point: the
plan is a function of the first frame.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import FRAMES, hold

DIFFICULTY = "path length in moves"
LEVELS = {"easy": (3, 4), "medium": (5, 6), "hard": (7, 8)}
KINDS = ("disc-yellow",)
PROMPT = "the yellow agent walks through the maze from the green cell to the red cell"
ANSWERS = 1
ONE_MOVER = True

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


def _ways(doors: set[frozenset[int]], start: int, goal: int) -> list[list[int]]:
    """Rooms of every shortest way from start to goal."""
    far = _distances(doors, goal)
    if start not in far:
        raise ValueError("maze: the goal cannot be reached from the start")
    ways = [[start]]
    for _ in range(far[start]):
        ways = [
            [*way, near]
            for way in ways
            for near in _neighbours(way[-1])
            if frozenset((way[-1], near)) in doors and far[near] < far[way[-1]]
        ]
    return ways


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    while True:
        doors, start = _spanning_tree(rng), int(rng.integers(_ROOMS**2))
        goals = [room for room, far in _distances(doors, start).items() if far == difficulty]
        if goals:
            return paint(doors, start, goals[int(rng.integers(len(goals)))])


def draw_with_loop(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    """Scene and facts of a maze with one loop and two shortest ways to the goal."""
    while True:
        doors, start = _spanning_tree(rng), int(rng.integers(_ROOMS**2))
        walls = [door for door in _all_doors() if door not in doors]
        doors.add(walls[int(rng.integers(len(walls)))])
        far = _distances(doors, start)
        goals = [room for room in far if far[room] == difficulty and len(_ways(doors, start, room)) == 2]
        if goals:
            return paint(doors, start, goals[int(rng.integers(len(goals)))])


def paint(doors: set[frozenset[int]], start: int, goal: int) -> tuple[np.ndarray, dict]:
    """Scene and facts of a maze."""
    scene = np.full(grid.CELLS, "full-black", dtype="<U12")
    for room in range(_ROOMS**2):
        scene[_cell(room)] = grid.FLOOR
    for door in doors:
        scene[sum(_cell(room) for room in door) // 2] = grid.FLOOR
    scene[_cell(start)], scene[_cell(goal)] = "full-green", "full-red"
    return scene.reshape(grid.GRID, grid.GRID), {"start": _cell(start), "goal": _cell(goal)}


def _all_doors() -> list[frozenset[int]]:
    return [frozenset((room, near)) for room in range(_ROOMS**2) for near in _neighbours(room) if room < near]


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
    return hold([_cell(room) for room in rooms])


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    return [_walk(way) for way in _ways(_doors(scene), _room(facts["start"]), _room(facts["goal"]))]


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
    """Through a wall (any way that shuns the middle door of every right one must); to another end."""
    start, goal, doors = _room(facts["start"]), _room(facts["goal"]), _doors(scene)
    middle = {frozenset(way[len(way) // 2 - 1 : len(way) // 2 + 1]) for way in _ways(doors, start, goal)}
    distance = _distances(doors, start)
    other = max((room for room in distance if room != goal and distance[room] < FRAMES), key=distance.get)
    return {
        "through": _walk(_ways(set(_all_doors()) - middle, start, goal)[0]),
        "wrong_answer": _walk(_ways(doors, start, other)[0]),
    }
