"""Success by step: counts, intervals, and a model that is known to do nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chainofsteps import worlds
from chainofsteps.readout import success
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.success import success_table
from chainofsteps.refusal import Refused


@given(
    by_step=arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 6))),
    unfollowed=arrays(bool, st.integers(0, 20)),
)
def test_the_table_counts_the_unfollowed_at_the_last_step_only(by_step, unfollowed):
    table = success_table(by_step, unfollowed)
    assert table["step"].tolist() == list(range(by_step.shape[1]))
    assert (table["n"][:-1] == len(by_step)).all() and table["n"].iloc[-1] == len(by_step) + len(unfollowed)
    assert table["success"].iloc[-1] == pytest.approx(np.concatenate([by_step[:, -1], unfollowed]).mean())
    assert np.allclose(table["success"][:-1], by_step[:, :-1].mean(0))
    assert ((table["ci_low"] <= table["success"] + 1e-9) & (table["success"] <= table["ci_high"] + 1e-9)).all()
    assert table["ci_low"].between(0, 1).all() and table["ci_high"].between(0, 1).all()


def test_the_interval_is_wilsons():
    """8 of 10: .490 to .943 (Wilson 1927; the example of Newcombe 1998 for 81 of 263 is .255 to .366)."""
    row = success_table(np.array([[1]] * 8 + [[0]] * 2, bool), np.zeros(0, bool)).iloc[0]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.490, 0.943), abs=1e-3)
    row = success_table(np.array([[1]] * 81 + [[0]] * 182, bool), np.zeros(0, bool)).iloc[0]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.255, 0.366), abs=1e-3)


def test_a_level_draws_its_difficulties_only():
    for level, difficulties in worlds.family("maze").LEVELS.items():
        cases = case_dataset("maze", "pilot", 0, 12, level)
        assert set(cases["difficulty"].values) == set(difficulties)


def test_measured_by_level_and_order(monkeypatch):
    """Streams that show the truth at all steps of the hard level, and the given frame for ever at the others."""

    def videos(cases):
        solved = set(cases["difficulty"].values) <= set(worlds.family("maze").LEVELS["hard"])
        still = np.repeat(cases["first_frame"].values[:, None], cases.sizes["frame"], axis=1)
        return (cases["ground_truth"].values if solved else still)[:, None]

    def trajectories(pipe, cases, model, order, seeds, batch):
        steps = order["steps"]
        dims = ("step", "latent_frame")
        by_step = np.repeat(videos(cases)[:, :, None], steps, axis=2)
        return (
            cases[["difficulty"]]
            .assign(
                clean_estimate=(("case", "seed", "step", "frame", "y", "x", "channel"), by_step),
                active=(dims, np.ones((steps, 9), np.int8)),
                sigma=(dims, np.ones((steps, 9), np.float32)),
                timestep=(dims, np.ones((steps, 9), np.float32)),
            )
            .assign_coords(seed=seeds, step=np.arange(steps), frame=np.arange(9))
        )

    monkeypatch.setattr(success, "sample_trajectories", trajectories)
    monkeypatch.setattr(success, "sample_videos", lambda pipe, cases, *rest: videos(cases))
    orders = {"joint": {"order": "joint", "steps": 3}, "short": {"order": "joint", "steps": 1}}
    table = success.measure_success(None, "maze", {}, orders, {"first": 0, "count": 5, "followed": 2}, 4)
    assert len(table) == 3 * (3 + 1)
    assert set(table["family"]) == {"maze"} and set(table["order"]) == set(orders)
    assert (table["success"] == (table["level"] == "hard")).all()
    assert table.loc[table["step"] == 2, "n"].tolist() == [5, 5, 5]
    assert set(table.loc[table["step"] < 2, "n"]) == {2}  # of the shorter order, its only step too


def test_more_cases_than_a_level_holds_are_refused_by_the_setting_that_asked(monkeypatch):
    monkeypatch.setattr("chainofsteps.worlds.pattern.LEVELS", {"easy": (2,)})
    monkeypatch.setattr("chainofsteps.readout.cases._MAX_DRAWS_A_CASE", 2)
    settings = {"first": 0, "count": 150, "followed": 10}
    with pytest.raises(Refused, match=r"^pattern: success\.count: given 150; accepted: at most \d+"):
        success.measure_success(None, "pattern", {}, {}, settings, 32)
