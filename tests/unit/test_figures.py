"""Figures: what is drawn is what the dataset holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from seaborn.algorithms import bootstrap

from chainofsteps.figures.correctness import correctness_map
from chainofsteps.figures.style import bootstrap_interval
from chainofsteps.figures.success import success_by_level


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


def test_success_is_drawn_over_the_steps_of_the_last_frame():
    """Joint: every step of the run. Frame by frame, 2 steps a frame: the last 2 of 16, when the video is whole."""
    runs = {"joint": (4, [0.0, 0.25, 0.5, 1.0]), "in_turn": (16, [0.0] * 14 + [0.5, 0.75])}
    parts = [
        pd.DataFrame(
            {"family": "maze", "level": "easy", "order": order, "step": range(steps), "n": 8, "success": solved}
        )
        for order, (steps, solved) in runs.items()
    ]
    orders = {"joint": {"order": "joint", "steps": 4}, "in_turn": {"order": "frame_by_frame", "steps": 2}}
    figure = success_by_level({"mini": pd.concat(parts, ignore_index=True)}, {"mini": orders})
    drawn = [line.get_xydata() for line in figure.subfigs[0].axes[0].lines if len(line.get_xydata())]
    assert drawn[0] == pytest.approx(np.array([[0.25, 0], [0.5, 0.25], [0.75, 0.5], [1, 1]]))
    assert drawn[1] == pytest.approx(np.array([[0.5, 0.5], [1, 0.75]]))


@pytest.mark.parametrize("count", [2, 19, 64, 129])
def test_intervals_are_those_that_seaborn_draws(count):
    values = pd.Series(np.random.default_rng(count).random(count))
    theirs = np.percentile(bootstrap(values, n_boot=1000, seed=1), (2.5, 97.5))
    assert np.array_equal(bootstrap_interval(values), theirs)
