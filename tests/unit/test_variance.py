"""Shares of variance on data whose components are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.mixed_linear_model import MixedLM

from chainofsteps.statistics import inference, variance

DRAWS = 400


def nested(case, seed, frame, cases=60, seeds=3, frames=8, rng_seed=0):
    """Normal values with these standard deviations."""
    rng = np.random.default_rng(rng_seed)
    return (
        case * rng.normal(size=(cases, 1, 1))
        + seed * rng.normal(size=(cases, seeds, 1))
        + frame * rng.normal(size=(cases, seeds, frames))
    )


def shares_of(values):
    return variance.nested_shares(variance.case_moments(values), *values.shape[1:])


def test_nested_shares_are_those_that_were_put_in():
    shares = np.mean([shares_of(nested(2, 1, 2, rng_seed=i)) for i in range(50)], axis=0)
    assert shares == pytest.approx([4 / 9, 1 / 9, 4 / 9], abs=0.05)


def test_nested_shares_are_those_of_restricted_maximum_likelihood():
    values = nested(2, 1, 2)
    index = pd.MultiIndex.from_product([range(n) for n in values.shape], names=["case", "seed", "frame"])
    table = pd.Series(values.ravel(), index, name="value").reset_index()
    fit = MixedLM.from_formula(
        "value ~ 1", table, groups="case", re_formula="1", vc_formula={"seed": "0 + C(seed)"}
    ).fit()
    components = np.array([fit.cov_re.iloc[0, 0], fit.vcomp[0], fit.scale])
    assert shares_of(values) == pytest.approx(components / components.sum(), abs=1e-3)


@settings(max_examples=50)
@given(st.integers(2, 9), st.integers(2, 4), st.integers(2, 9), st.integers(0, 1000))
def test_nested_shares_sum_to_one_and_know_no_unit(cases, seeds, frames, rng_seed):
    values = nested(1, 1, 1, cases, seeds, frames, rng_seed)
    shares = shares_of(values)
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()
    assert shares_of(3 * values + 7) == pytest.approx(shares)


def test_a_chain_varies_within_its_streams_and_what_is_alike_nowhere():
    assert shares_of(np.broadcast_to(np.arange(8.0), (5, 2, 8))).tolist() == [0, 0, 1]
    assert shares_of(np.ones((5, 2, 8))).tolist() == [0, 0, 0]


def test_intervals_of_several_numbers_are_those_of_each():
    values = np.random.default_rng(3).normal(size=(30, 2))
    lows, highs = inference.bca_intervals(lambda cases: np.moveaxis(values[cases].mean(-2), -1, 0), 30, DRAWS, 5)
    for column, low, high in zip(values.T, lows, highs, strict=True):
        # The two widen for few cases in ways of their own.
        assert inference.mean_interval(column, DRAWS, 5) == pytest.approx((low, high), abs=0.05)


def test_the_interval_of_a_share_holds_the_truth():
    held = 0
    for i in range(60):
        moments = variance.case_moments(nested(2, 1, 2, rng_seed=100 + i))
        low, high = inference.bca_intervals(
            lambda cases, moments=moments: variance.nested_shares(moments[cases], 3, 8), 60, DRAWS, i
        )
        held += low[0] <= 4 / 9 <= high[0]
    assert held >= 51  # .95 of 60, less 3 errors


def features(values):
    dims = ("case", "seed", "frame")
    return xr.Dataset(
        {"commitment_step": (dims, values)},
        {"frame": range(values.shape[2])},
        {"experiment": "joint", "family": "maze"},
    )


def test_the_given_frame_is_left_out_and_one_seed_says_nothing():
    values = nested(1, 1, 1, cases=12)
    values[:, :, 0] = 1000
    table = variance.variance_table([features(values)], "erase", DRAWS)
    assert list(table) == list(variance.COLUMNS) and table["part"].tolist() == ["case", "seed", "frame"]
    assert table["share"].to_numpy() == pytest.approx(shares_of(values[:, :, 1:]))
    assert ((table["ci_low"] <= table["share"]) & (table["share"] <= table["ci_high"])).all()
    assert variance.variance_table([features(values[:, :1])], "erase", DRAWS).empty
    assert variance.variance_table([features(values[:2])], "erase", DRAWS).empty
