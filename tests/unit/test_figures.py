"""Figures: what is drawn is what the dataset holds."""

from __future__ import annotations

import numpy as np
import xarray as xr

from chainofsteps.figures.correctness import correctness_map


def test_a_frame_that_waits_is_neither_right_nor_wrong_on_the_map():
    """Two streams, three steps, two frames: frame 1 waits at step 0, is half right at step 1 and right at step 2."""
    plan = np.array([[[[5, -1], [5, 6], [5, 7]]], [[[5, -1], [5, 7], [5, 7]]]])
    correct = np.array([[[[1, 0], [1, 0], [1, 1]]], [[[1, 0], [1, 1], [1, 1]]]], np.int8)
    dims = ("case", "seed", "step", "frame")
    features = xr.Dataset(
        {"plan": (dims, plan), "frame_correct": (dims, correct)},
        coords={"step": range(3), "frame": range(2)},
        attrs={"family": "maze"},
    )
    cells = correctness_map({"frame_by_frame": features}).axes[0].collections[0].get_array().reshape(2, 3)
    assert np.ma.getmaskarray(cells).tolist() == [[False] * 3, [True, False, False]]
    assert cells[0].tolist() == [1, 1, 1] and cells[1, 1:].tolist() == [0.5, 1]
