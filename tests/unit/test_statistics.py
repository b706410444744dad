"""Estimands, inference and verdicts on synthetic features whose truth is known."""

from __future__ import annotations

import copy
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chainofsteps.refusal import Refused
from chainofsteps.statistics import estimands, inference, verdicts

ROOT = Path(__file__).parents[2]
CLAIMS = yaml.safe_load((ROOT / "config/claims.yaml").read_text())["claims"]
FREE = 8
EVALUATIONS = {"joint": 20, "frame_by_frame": 24}
DRAWS = 2000


def features(
    experiment: str = "joint",
    *,
    family: str = "maze",
    cases: int = 60,
    seeds: int = 2,
    right_first: float = 0.3,
    right_last: float = 0.8,
    tau: np.ndarray | None = None,
    difficulty_effect: float = 0.0,
    rng_seed: int = 0,
) -> xr.Dataset:
    """Features with planted success rates and commitment steps (default: simultaneous jointly, in turn otherwise)."""
    rng = np.random.default_rng(rng_seed)
    steps = EVALUATIONS[experiment]
    frames = np.arange(FREE + 1)
    difficulty = 3 + np.arange(cases) % 6
    rate = np.linspace(right_first, right_last, steps)
    level = rng.random((cases, seeds, 1))  # one draw a run: rates differ along steps, runs stay themselves
    correct = np.where(level < rate, 1.0, 0.5)
    if tau is None:
        if experiment == "joint":
            planted = 6 + difficulty_effect * steps * (difficulty[:, None, None] - 5.5)
            tau = np.rint(planted + rng.normal(0, 1, (cases, seeds, 1)) + rng.normal(0, 0.5, (cases, seeds, FREE + 1)))
        else:
            tau = 3 * np.maximum(frames - 1, 0) + rng.integers(0, 3, (cases, seeds, FREE + 1))
    return xr.Dataset(
        {
            "correct": (("case", "seed", "step"), correct),
            "commitment_step": (("case", "seed", "frame"), np.clip(tau, 0, steps - 1).astype(int)),
        },
        coords={
            "case": [f"{family}-{i}" for i in range(cases)],
            "seed": np.arange(seeds),
            "step": np.arange(steps),
            "frame": frames,
            "difficulty": ("case", difficulty),
        },
        attrs={
            "model_id": "mini",
            "experiment": experiment,
            "order": experiment,
            "family": family,
            "purpose": "confirmatory",
        },
    )


def judged(*datasets: xr.Dataset, claims=CLAIMS) -> pd.DataFrame:
    return verdicts.judge(claims, datasets, seed=1, draws=DRAWS)


def row(table: pd.DataFrame, entry: str, family: str = "maze") -> pd.Series:
    return table[(table["id"] == entry) & (table["family"] == family)].iloc[0]


# Claims


def test_claims_follow_their_schema():
    schema = yaml.safe_load((ROOT / "workflow/schemas/claims.schema.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"claims": CLAIMS}, schema)
    properties = schema["properties"]["claims"]["items"]["properties"]
    assert set(properties["estimand"]["enum"]) == set(estimands.ESTIMANDS)
    assert tuple(properties["test"]["enum"]) == verdicts.TESTS
    assert tuple(properties["direction"]["enum"]) == verdicts.DIRECTIONS
    assert tuple(properties["role"]["enum"]) == verdicts.ROLES
    assert tuple(properties["experiments"]["items"]["enum"]) == verdicts.EXPERIMENTS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("estimand", "vibes"),
        ("test", "anova"),
        ("direction", "up"),
        ("role", "decoration"),
        ("experiments", ["backwards"]),
        ("experiments", ["joint", "frame_by_frame"]),
        ("control", "E99"),
        ("direction", "equivalent"),
        ("id", "E1_control"),
    ],
)
def test_claims_that_cannot_be_judged_are_refused(field, value):
    claims = copy.deepcopy(CLAIMS)
    claims[-1 if field == "id" else 0][field] = value
    with pytest.raises(Refused, match=field) as refusal:
        judged(features(), claims=claims)
    assert "\n" not in str(refusal.value)


# Estimands


def test_gain_of_steps_is_recovered_and_covered():
    values = estimands.gain_of_steps(features(cases=300, seeds=1))
    low, high = inference.bca_interval(values.values, DRAWS, seed=0)
    assert values.mean() == pytest.approx(0.5, abs=0.1)
    assert low < 0.5 < high


def test_seeds_are_averaged_inside_the_case():
    dataset = features(cases=4, seeds=2)
    dataset["correct"][:] = 0.0
    dataset["correct"][0, 0, -1] = 1.0
    assert estimands.gain_of_steps(dataset).values.tolist() == [0.5, 0, 0, 0]
    assert estimands.success(dataset).values.tolist() == [0.5, 0, 0, 0]


def test_almost_right_is_not_right():
    dataset = features(cases=4)
    dataset["correct"][:] = 0.99
    assert (estimands.success(dataset) == 0).all()


@pytest.mark.parametrize(("steps_a_frame", "expected"), [(0, 0.0), (3, (FREE - 1) / FREE)])
def test_kappa_of_known_orders(steps_a_frame, expected):
    tau = np.broadcast_to(steps_a_frame * np.maximum(np.arange(FREE + 1) - 1, 0), (5, 2, FREE + 1))
    values = estimands.sequentiality(features("frame_by_frame", cases=5, tau=tau))
    assert values.values == pytest.approx(expected)


def test_the_given_frame_does_not_count():
    dataset = features(cases=5)
    changed = dataset.copy(deep=True)
    changed["commitment_step"][..., 0] = 19
    for estimand in (estimands.sequentiality, estimands.mean_commitment):
        xr.testing.assert_equal(estimand(dataset), estimand(changed))


@settings(max_examples=30, deadline=None)
@given(
    tau=st.lists(st.integers(0, 15), min_size=FREE + 1, max_size=FREE + 1),
    shift=st.integers(0, 4),
)
def test_kappa_knows_order_not_lateness(tau, shift):
    early = features(cases=1, seeds=1, tau=np.array(tau)[None, None])
    late = features(cases=1, seeds=1, tau=np.array(tau)[None, None] + shift)
    assert estimands.sequentiality(late).item() == pytest.approx(estimands.sequentiality(early).item(), abs=1e-12)
    difference = estimands.mean_commitment(late) - estimands.mean_commitment(early)
    assert difference.item() == pytest.approx(shift / 20)


@settings(max_examples=30, deadline=None)
@given(tau=st.lists(st.integers(0, 19), min_size=FREE + 1, max_size=FREE + 1))
def test_kappa_changes_sign_with_the_frame_order(tau):
    forward = features(cases=1, seeds=1, tau=np.array(tau)[None, None])
    backward = features(cases=1, seeds=1, tau=np.array(tau[:1] + tau[:0:-1])[None, None])
    assert estimands.sequentiality(backward).item() == pytest.approx(-estimands.sequentiality(forward).item())


def test_order_difference_pairs_cases_by_name():
    joint, in_turn = features(cases=6), features("frame_by_frame", cases=6, right_last=1.0)
    straight = estimands.order_difference(in_turn, joint)
    xr.testing.assert_equal(straight, estimands.order_difference(in_turn, joint.isel(case=slice(None, None, -1))))
    with pytest.raises(Refused, match="case"):
        estimands.order_difference(in_turn, joint.isel(case=slice(5)))
    with pytest.raises(Refused, match="seed"):
        estimands.order_difference(in_turn, joint.isel(seed=[0]))


def test_broken_features_are_refused():
    dataset = features(cases=4)
    holed = dataset.copy(deep=True)
    holed["correct"][0, 0, 0] = np.nan
    late = dataset.copy(deep=True)
    late["commitment_step"][0, 0, 1] = 20
    for estimand, broken, message in [
        (estimands.gain_of_steps, holed, "correct: given NaN"),
        (estimands.gain_of_steps, dataset.drop_vars("correct"), "correct: given no such variable"),
        (estimands.gain_of_steps, dataset.isel(seed=0), "correct: given dims case, step"),
        (estimands.success, dataset.isel(seed=slice(0)), "no empty dim"),
        (estimands.sequentiality, late, "commitment_step: given .* to 20"),
        (estimands.sequentiality, dataset.isel(frame=slice(2)), "frame: given 1 free frames"),
    ]:
        with pytest.raises(Refused, match=message):
            estimand(broken)


# Inference


def test_too_few_cases_and_nan_are_refused():
    for wrong in ([1.0], [1.0, 2.0], [1.0, 2.0, np.nan], [[1.0, 2.0, 3.0]]):
        for test in (
            inference.bca_interval,
            inference.bootstrap_p,
            inference.sign_flip,
            lambda values: inference.tost(values, 0.1),
        ):
            with pytest.raises(Refused):
                test(wrong)
    with pytest.raises(Refused, match="regressor"):
        inference.bca_interval([1.0, 2.0, 3.0], regressor=[1.0, 2.0])
    with pytest.raises(Refused, match="level"):
        inference.bca_interval([1.0, 2.0, 3.0], level=95)
    with pytest.raises(Refused, match="smallest_effect"):
        inference.tost([1.0, 2.0, 3.0], 0)
    with pytest.raises(Refused, match="p_values"):
        inference.holm([0.1, np.nan])


def test_constant_values_have_no_interval_and_no_p():
    values = [0.875] * 10
    assert np.isnan(inference.bca_interval(values)).all()
    assert np.isnan(inference.bca_interval(np.arange(10), regressor=values)).all()
    assert np.isnan(inference.bootstrap_p(values))
    assert np.isnan(inference.sign_flip(values))
    assert np.isnan(inference.tost(values, 1.0))


def test_the_same_seed_gives_the_same_numbers():
    values = np.random.default_rng(0).normal(size=30)
    assert inference.bca_interval(values, 500, 3) == inference.bca_interval(values, 500, 3)
    assert inference.bca_interval(values, 500, 3) != inference.bca_interval(values, 500, 4)
    assert inference.sign_flip(values, 500, 3) == inference.sign_flip(values, 500, 3)


def test_holm_by_hand():
    assert inference.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert inference.holm([]).size == 0


def test_a_slope_is_recovered_and_covered():
    rng = np.random.default_rng(2)
    difficulty = np.tile(np.arange(3.0, 9.0), 20)
    values = 0.03 * difficulty + rng.normal(0, 0.05, 120)
    low, high = inference.bca_interval(values, DRAWS, 0, regressor=difficulty)
    assert inference.estimate(values, difficulty) == pytest.approx(np.polyfit(difficulty, values, 1)[0])
    assert low < 0.03 < high
    assert inference.bootstrap_p(values, DRAWS, 0, difficulty) < 0.01


@pytest.mark.parametrize("test", ["sign_flip", "bootstrap", "slope", "tost"])
def test_false_positives_under_the_null(test):
    simulations, cases = 200, 40
    rng = np.random.default_rng(5)
    difficulty = np.tile(np.arange(4.0), cases // 4)
    p_values = []
    for _ in range(simulations):
        values = rng.normal(0, 1, cases)
        if test == "sign_flip":
            p_values.append(inference.sign_flip(values, 400, 0))
        elif test == "bootstrap":
            p_values.append(inference.bootstrap_p(values, 400, 0))
        elif test == "slope":
            p_values.append(inference.bootstrap_p(values, 400, 0, difficulty))
        else:
            p_values.append(inference.tost(values + 0.5, 0.5))
    monte_carlo_error = np.sqrt(0.05 * 0.95 / simulations)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 2 * monte_carlo_error


# Verdicts


def test_steps_are_recognised_and_the_control_passes():
    table = judged(features(), features("frame_by_frame"))
    assert tuple(table.columns) == verdicts.COLUMNS
    assert row(table, "E0_gain")["verdict"] == "replicated"
    kappa, control = row(table, "E1_joint"), row(table, "E1_control")
    assert kappa["estimate"] == pytest.approx(0, abs=0.05)
    assert kappa["verdict"] == "replicated"
    assert control["estimate"] == pytest.approx((FREE - 1) / FREE, abs=0.03)
    assert (control["verdict"], control["controls"]) == ("replicated", "passed")
    assert np.isnan(control["p_adjusted"])
    assert row(table, "E13_order")["network_evaluations"] == "frame_by_frame 24; joint 20"
    assert set(table["reading"]) == {"steps"}


def test_frames_in_turn_within_the_joint_order_are_read_as_frames():
    rng = np.random.default_rng(3)
    tau = 2 * np.arange(FREE + 1) + rng.integers(0, 3, (60, 2, FREE + 1))
    table = judged(features(tau=tau, right_first=0.5, right_last=0.52), features("frame_by_frame"))
    assert row(table, "E1_joint")["verdict"] == "contradicted"
    assert row(table, verdicts.ANSWER)["reading"] == "frames"


def test_no_gain_and_no_order_are_read_as_a_single_pass():
    joint = features(cases=200, right_first=0.6, right_last=0.6)
    joint["correct"][:4, 0, 0] = [1, 0, 1, 0]  # a few cases change, so that the outcome is not constant
    joint["correct"][:4, 0, -1] = [0, 1, 0, 1]
    table = judged(joint, features("frame_by_frame", cases=200))
    assert row(table, "E0_gain")["verdict"] == "contradicted"
    assert row(table, verdicts.ANSWER)["reading"] == "single pass"


def test_difficulty_slope_in_each_order():
    table = judged(features(difficulty_effect=0.04), features("frame_by_frame"))
    assert row(table, "E13_difficulty_joint")["estimate"] == pytest.approx(0.04, abs=0.01)
    assert row(table, "E13_difficulty_joint")["verdict"] == "replicated"
    assert row(table, "E13_difficulty_frame_by_frame")["verdict"] == "contradicted"


def test_a_failed_control_blocks_every_verdict_of_its_family():
    together = features("frame_by_frame", tau=np.random.default_rng(0).integers(5, 8, (60, 2, FREE + 1)))
    table = judged(features(), together, features(family="pattern"), features("frame_by_frame", family="pattern"))
    maze = table[(table["family"] == "maze") & (table["role"] == "confirmatory")]
    assert set(maze["controls"]) == {"failed"}
    assert set(maze["verdict"]) == {"inconclusive"}
    assert "else replicated" in row(table, "E0_gain")["reason"]
    assert row(table, verdicts.ANSWER)["reading"] == "undecided"
    assert row(table, "E0_gain", "pattern")["verdict"] == "replicated"


def test_an_absent_experiment_is_not_testable():
    table = judged(features())
    assert row(table, "E1_control")["verdict"] == "not testable here"
    assert row(table, "E13_order")["reason"] == "no features of frame_by_frame"
    assert row(table, "E0_gain")["controls"] == "not run"
    assert row(table, "E0_gain")["verdict"] == "inconclusive"


def test_a_constant_outcome_earns_no_verdict():
    table = judged(features(right_first=1.0, right_last=1.0), features("frame_by_frame"))
    gain = row(table, "E0_gain")
    assert (gain["estimate"], gain["verdict"], gain["reason"]) == (0, "inconclusive", "constant outcome")
    assert gain[["ci_low", "ci_high", "p", "p_adjusted"]].isna().all()
    assert row(table, verdicts.ANSWER)["reading"] == "undecided"
    leaves = verdicts.metrics(table)["E0_gain"]["maze"]
    assert leaves == {"estimate": 0, "n": 60, "verdict": 0}


@pytest.mark.parametrize(("cases", "slope", "passes"), [(6, 3, True), (4, 3, False), (60, 0, False)])
def test_a_control_whose_cases_are_all_alike_passes_by_an_exact_sign_test(cases, slope, passes):
    tau = np.broadcast_to(slope * np.maximum(np.arange(FREE + 1) - 1, 0), (cases, 2, FREE + 1))
    control = row(judged(features("frame_by_frame", cases=cases, tau=tau)), "E1_control")
    assert control["controls"] == ("passed" if passes else "failed")
    assert np.isnan(control["ci_low"])


def test_a_single_difficulty_has_no_slope():
    joint = features().assign_coords(difficulty=("case", np.full(60, 4)))
    slope = row(judged(joint, features("frame_by_frame")), "E13_difficulty_joint")
    assert (slope["verdict"], slope["reason"]) == ("not testable here", "constant difficulty")


def test_one_case_mixed_models_and_doubles_are_refused():
    joint = features()
    for datasets, message in [
        ([features(cases=1)], "at least 3 cases"),
        ([joint, joint], "one dataset each"),
        ([joint, features("frame_by_frame").assign_attrs(model_id="other")], "model_id: given mini, other"),
        ([joint, features("frame_by_frame").assign_attrs(purpose="pilot")], "purpose: given confirmatory, pilot"),
        ([xr.Dataset()], "no such attribute"),
        ([], "at least one"),
    ]:
        with pytest.raises(Refused, match=message):
            judged(*datasets)


@pytest.mark.parametrize(
    ("direction", "estimate", "low", "high", "significant", "expected"),
    [
        ("greater", 0.10, 0.02, 0.18, True, "replicated"),
        ("greater", 0.03, 0.01, 0.06, True, "direction only"),
        ("greater", 0.10, 0.02, 0.18, False, "inconclusive"),
        ("greater", 0.10, -0.02, 0.22, False, "inconclusive"),
        ("greater", -0.10, -0.2, -0.02, True, "contradicted"),
        ("greater", 0.01, -0.02, 0.04, False, "contradicted"),
        ("less", -0.10, -0.18, -0.02, True, "replicated"),
        ("different", -0.10, -0.18, -0.02, True, "replicated"),
        ("different", -0.03, -0.06, -0.01, True, "direction only"),
        ("equivalent", 0.01, -0.03, 0.04, True, "replicated"),
        ("equivalent", 0.01, -0.03, 0.06, True, "inconclusive"),
        ("equivalent", 0.20, 0.10, 0.30, False, "contradicted"),
    ],
)
def test_words_of_the_verdict(direction, estimate, low, high, significant, expected):
    assert verdicts.word(direction, 0.05, estimate, low, high, significant) == expected


def test_one_question_is_asked_once():
    with pytest.raises(Refused, match=r"gain_of_steps of .* twice"):
        judged(features(), claims=[*CLAIMS, {**CLAIMS[0], "id": "E0_again"}])


def test_families_with_the_same_data_get_the_same_row():
    table = judged(*(features(e, family=f) for e in EVALUATIONS for f in ("maze", "pattern")))
    maze, pattern = (
        table[table["family"] == f].drop(columns="family").reset_index(drop=True) for f in ("maze", "pattern")
    )
    pd.testing.assert_frame_equal(maze, pattern)


def test_metrics_are_numbers_and_the_table_repeats():
    datasets = features(), features("frame_by_frame")
    table = judged(*datasets)
    pd.testing.assert_frame_equal(table, judged(*reversed(datasets)))
    tree = verdicts.metrics(table)
    leaves = [leaf for families in tree.values() for family in families.values() for leaf in family.values()]
    assert all(isinstance(leaf, (int, float)) and np.isfinite(leaf) for leaf in leaves)
    assert "p_adjusted" not in tree["E1_control"]["maze"]
    assert tree["E0_gain"]["maze"]["verdict"] == verdicts.VERDICT_CODE["replicated"]
    assert tree[verdicts.ANSWER]["maze"] == {"reading": verdicts.READING_CODE["steps"]}
