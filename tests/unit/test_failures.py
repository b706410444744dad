"""Failures: which streams are the worst, and when they went wrong, on plans that are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.readout.failures import explain_failure, worst_streams
from chainofsteps.readout.features import WAITING, extract_features

STEPS = 4


@pytest.fixture(scope="module")
def cases():
    return case_dataset("maze", "pilot", 40, 3)


def features_of(cases, plans, active=None):
    """Features of streams that show these plans, (case, seed, step, frame)."""
    shown = [
        [[case_of(cases, case_id).render(plan) for plan in steps] for steps in streams]
        for case_id, streams in zip(cases["case"].values, plans, strict=True)
    ]
    dims, shape = ("step", "latent_frame"), (plans.shape[2], plans.shape[3])
    trajectories = xr.Dataset(
        {
            "difficulty": cases["difficulty"],
            "clean_estimate": (("case", "seed", "step", "frame", "y", "x", "channel"), np.array(shown)),
            "active": (dims, np.ones(shape, np.int8) if active is None else active),
            "sigma": (dims, np.ones(shape, np.float32)),
            "timestep": (dims, np.ones(shape, np.float32)),
        },
        coords={"case": cases["case"], "seed": [5, 6], "step": np.arange(shape[0]), "frame": np.arange(shape[1])},
    )
    return extract_features(cases, trajectories)


def right_plans(cases):
    """Every stream right at every step."""
    return np.repeat(np.repeat(cases["plan"].values[:, None, None], 2, 1), STEPS, 2).copy()


def test_solved_streams_are_no_failures(cases):
    assert worst_streams(features_of(cases, right_plans(cases)), 5) == []


def test_the_worst_come_first_and_a_case_once(cases):
    plans = right_plans(cases)
    start = plans[:, 0, 0, 0]
    plans[0, 1, -1, -1] = start[0]  # one frame wrong
    plans[2, 0, -1, 4:] = start[2]  # more wrong
    plans[2, 1, -1, 1:] = start[2]  # most wrong, the same case
    features = features_of(cases, plans)
    ids = cases["case"].values
    assert worst_streams(features, 5) == [(ids[2], 6), (ids[0], 6)]
    assert worst_streams(features, 1) == [(ids[2], 6)]


def test_a_plan_that_was_right_and_went_wrong(cases):
    plans = right_plans(cases)
    wrong = int(plans[0, 0, 0, 0])
    plans[0, 1, 2:, 2] = wrong
    found = explain_failure(cases, features_of(cases, plans), str(cases["case"].values[0]), 6)
    row, col = divmod(wrong, 8)
    assert (found["frame"], found["step"], found["was_right"]) == (2, 2, True)
    assert found["held"] == f"disc-yellow in row {row}, column {col}"
    right = divmod(int(cases["plan"].values[0, 2]), 8)
    assert found["right"] == "disc-yellow in row {}, column {}".format(*right)
    assert found["broken"] == ["legal_moves"]
    assert found["other_seeds"] == (1, 1)


def test_a_plan_that_never_was_right(cases):
    plans = right_plans(cases)
    plans[0, :, :, 1:] = plans[0, 0, 0, 0]
    found = explain_failure(cases, features_of(cases, plans), str(cases["case"].values[0]), 5)
    assert (found["frame"], found["step"], found["was_right"]) == (1, 0, False)
    assert "reaches_goal" in found["broken"] and found["other_seeds"] == (0, 1)


def test_a_frame_that_waited_went_wrong_at_its_first_estimate(cases):
    plans = right_plans(cases)
    plans[0, 0, :, 3] = plans[0, 0, 0, 0]
    active = np.zeros((STEPS, 9), np.int8)
    active[0, 1:3] = active[1, 3] = active[2, 4:] = 1
    features = features_of(cases, plans, active)
    assert features["plan"].values[0, 0, 0, 3] == WAITING
    found = explain_failure(cases, features, str(cases["case"].values[0]), 5)
    assert (found["frame"], found["step"]) == (3, 1)
