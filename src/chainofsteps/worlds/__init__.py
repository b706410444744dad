"""Task families with known answers: draw, render, solve, read back, score."""

from chainofsteps.worlds.base import (
    Case,
    case_from_json,
    control_plans,
    difficulties,
    draw_case,
    families,
    family,
    score,
    solved,
)
from chainofsteps.worlds.grid import ABSENT, FLOOR, GLYPHS, GRID, SIZE, STATES_PER_KIND, Reading
from chainofsteps.worlds.motion import FRAMES

__all__ = [
    "ABSENT",
    "FLOOR",
    "FRAMES",
    "GLYPHS",
    "GRID",
    "SIZE",
    "STATES_PER_KIND",
    "Case",
    "Reading",
    "case_from_json",
    "control_plans",
    "difficulties",
    "draw_case",
    "families",
    "family",
    "score",
    "solved",
]
