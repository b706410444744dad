"""Tic-tac-toe: a yellow mark drops into the square that completes a line of discs.

Stands for the paper's tic-tac-toe (C4, candidate moves). One player has discs, the other small squares; difficulty is
the number of empty squares, the candidates, and at last black cells beside the marks that mean nothing. One square
alone completes a line of discs: the posterior is a point.
"""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.worlds import grid
from chainofsteps.worlds.motion import column_down, enter

DIFFICULTY = "empty squares; 7: six, among black cells"
LEVELS = {"easy": (2, 3), "medium": (4, 5, 6), "hard": (7,)}
KINDS = ("disc-yellow",)
PROMPT = "the yellow mark drops into the square that completes a line of three discs"
ANSWERS = 1
ONE_MOVER = True

_COLOURS = ("red", "green", "blue", "black")
_PLACES = (1, 4, 7)  # row and column of the cell of a square that holds its mark; 2 and 5 are the lines
_LINES = (
    *(tuple(3 * row + col for col in range(3)) for row in range(3)),
    *(tuple(3 * row + col for row in range(3)) for col in range(3)),
    (0, 4, 8),
    (2, 4, 6),
)
_EMPTY, _DISC, _SMALL = range(3)
_AMONG_BLACK = 7
_BLACK = (1, 4)  # how many black cells: at least, and fewer than
# In the squares, but in no column that a mark falls through.
_BESIDE = [row * grid.GRID + col for row in (0, 1, 3, 4, 6, 7) for col in (0, 3, 6)]


def winning_squares(board: np.ndarray) -> list[int]:
    """Empty squares that complete a line of discs; ``board`` holds 0 empty, 1 disc, 2 small, over (9,)."""
    return sorted(
        {
            square
            for line in _LINES
            for square in line
            if board[square] == _EMPTY and sum(board[other] == _DISC for other in line) == 2
        }
    )


def _is_won(board: np.ndarray) -> bool:
    return any(board[a] == board[b] == board[c] != _EMPTY for a, b, c in _LINES)


def draw_board(rng: np.random.Generator, empty: int, winning: int) -> np.ndarray:
    """A board that nobody has won, with so many empty and so many winning squares."""
    while True:
        board = np.zeros(9, int)
        filled = rng.permutation(9)[empty:]
        board[filled] = rng.integers(_DISC, _SMALL + 1, size=len(filled))
        if not _is_won(board) and len(winning_squares(board)) == winning:
            return board


def _cell(square: int) -> int:
    row, col = divmod(square, 3)
    return _PLACES[row] * grid.GRID + _PLACES[col]


def paint_board(board: np.ndarray, disc: str, small: str) -> np.ndarray:
    """Scene of a board with the glyphs of the two players."""
    scene = np.full((grid.GRID, grid.GRID), grid.FLOOR, dtype="<U12")
    scene[[2, 5]] = scene[:, [2, 5]] = "full-black"
    for square, mark in enumerate(board):
        if mark != _EMPTY:
            scene.flat[_cell(square)] = disc if mark == _DISC else small
    return scene


def draw(rng: np.random.Generator, difficulty: int) -> tuple[np.ndarray, dict]:
    return draw_with(rng, difficulty, ANSWERS, _BLACK)


def draw_with(
    rng: np.random.Generator, difficulty: int, winning: int, black_cells: tuple[int, int]
) -> tuple[np.ndarray, dict]:
    """Scene and facts of a board with so many winning squares; ``black_cells`` as `_BLACK`."""
    black = difficulty == _AMONG_BLACK
    board = draw_board(rng, difficulty - black, winning)
    disc, small = (_COLOURS[int(colour)] for colour in rng.integers(len(_COLOURS), size=2))
    scene = paint_board(board, f"disc-{disc}", f"small-{small}")
    if black:
        scene.flat[rng.permutation(_BESIDE)[: int(rng.integers(*black_cells))]] = "full-black"
    return scene, {}


def _board(scene: np.ndarray) -> np.ndarray:
    marks = (str(scene.flat[_cell(square)]).split("-")[0] for square in range(9))
    return np.array([{"full": _EMPTY, "disc": _DISC, "small": _SMALL}[mark] for mark in marks])


def _drop(square: int) -> np.ndarray:
    row, col = divmod(square, 3)
    return enter(0, column_down(_PLACES[col], _PLACES[row]))


def answers(scene: np.ndarray, facts: dict) -> list[np.ndarray]:
    return [_drop(square) for square in winning_squares(_board(scene))]


def legal_moves(scene: np.ndarray, facts: dict, plan: np.ndarray) -> np.ndarray:
    """The mark enters at the top of a column of squares, falls a cell a frame and rests in an empty square."""
    board = _board(scene)
    allowed = {(grid.ABSENT, grid.ABSENT)}
    for col in _PLACES:
        column = column_down(col, _PLACES[-1])
        allowed |= {(grid.ABSENT, column[0]), *itertools.pairwise(column)}
    allowed |= {(_cell(square), _cell(square)) for square in range(9) if board[square] == _EMPTY}
    return np.array([(int(a), int(b)) in allowed for a, b in itertools.pairwise(plan)])


def reaches_goal(scene: np.ndarray, facts: dict, plan: np.ndarray) -> bool:
    return int(plan[-1]) in {_cell(square) for square in winning_squares(_board(scene))}


def control_plans(scene: np.ndarray, facts: dict, plan: np.ndarray) -> dict[str, np.ndarray]:
    """Up from the lower edge instead of down; into a square that completes nothing."""
    board = _board(scene)
    row, col = divmod(int(plan[-1]), grid.GRID)
    rising = [r * grid.GRID + col for r in range(grid.GRID - 1, row - 1, -1)]
    other = next(square for square in range(9) if board[square] == _EMPTY and square not in winning_squares(board))
    return {"through": enter(0, rising), "wrong_answer": _drop(other)}
