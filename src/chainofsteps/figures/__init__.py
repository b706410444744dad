"""Seaborn figures, one function each: datasets in, a matplotlib Figure out."""

from chainofsteps.figures.commitment import commitment_by_frame
from chainofsteps.figures.correctness import correctness_map, success_by_step
from chainofsteps.figures.strips import clean_estimate_strip
from chainofsteps.figures.training import training_curves

__all__ = [
    "clean_estimate_strip",
    "commitment_by_frame",
    "correctness_map",
    "success_by_step",
    "training_curves",
]
