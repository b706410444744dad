"""Estimands, inference and verdicts on synthetic features whose truth is known."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from chainofsteps import doors
from chainofsteps.refusal import Refused
from chainofsteps.sampling.orders import ORDERS
from chainofsteps.statistics import claims as entries
from chainofsteps.statistics import estimands, inference, verdicts

ROOT = Path(__file__).parents[2]
ALL_CLAIMS = yaml.safe_load((ROOT / "config/claims.yaml").read_text())["claims"]
# What these synthetic features can be asked.
ASKED = (
    "E0_gain",
    "E1_joint",
    "E1_control",
    "E13_difficulty_joint",
    "E13_difficulty_frame_by_frame",
    "E13_order",
)
CLAIMS = entries.restricted(ALL_CLAIMS, ASKED)
FREE = 8
EVALUATIONS = {"joint": 20, "frame_by_frame": 24}
DRAWS = 2000
TOGETHER = np.ones((EVALUATIONS["frame_by_frame"], FREE + 1))  # a sampler that does not keep its order


def features(
    order: str = "joint",
    *,
    experiment: str | None = None,
    family: str = "maze",
    cases: int = 60,
    seeds: int = 2,
    right_first: float = 0.3,
    right_last: float = 0.8,
    tau: np.ndarray | None = None,
    difficulty_effect: float = 0.0,
    active: np.ndarray | None = None,
    rng_seed: int = 0,
) -> xr.Dataset:
    """Features with planted success rates and commitment steps (default: simultaneous jointly, in turn otherwise).

    ``difficulty_effect`` is in shares of a frame's own run, from the easiest case to the hardest.
    """
    rng = np.random.default_rng(rng_seed)
    steps = EVALUATIONS[order]
    frames = np.arange(FREE + 1)
    difficulty = 3 + np.arange(cases) % 6
    rate = np.linspace(right_first, right_last, steps)
    level = rng.random((cases, seeds, 1))  # one draw a run: rates differ along steps, runs stay themselves
    correct = np.where(level < rate, 1.0, 0.5)
    if tau is None:
        hardness = (difficulty[:, None, None] - 3) / 5
        if order == "joint":
            planted = 6 + difficulty_effect * steps * (hardness - 0.5)
            tau = np.rint(planted + rng.normal(0, 1, (cases, seeds, 1)) + rng.normal(0, 0.5, (cases, seeds, FREE + 1)))
        else:
            shares = rng.random((cases, seeds, FREE + 1)) * (1 - difficulty_effect) + difficulty_effect * hardness
            tau = 3 * np.maximum(frames - 1, 0) + np.floor(3 * shares)
    if active is None:
        active = order_of(order).active
    return xr.Dataset(
        {
            "correct": (("case", "seed", "step"), correct),
            "commitment_step": (("case", "seed", "frame"), np.clip(tau, 0, steps - 1).astype(int)),
            "active": (("step", "latent_frame"), active.astype(int)),
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
            "experiment": experiment or order,
            "order": order,
            "family": family,
            "purpose": "confirmatory",
        },
    )


def order_of(name: str):
    return ORDERS[name](FREE + 1, {"joint": 20, "frame_by_frame": 3}[name])


def judged(*datasets: xr.Dataset, claims=CLAIMS) -> pd.DataFrame:
    return verdicts.judge(claims, datasets, seed=1, draws=DRAWS)


def row(table: pd.DataFrame, entry: str, family: str = "maze") -> pd.Series:
    return table[(table["id"] == entry) & (table["family"] == family)].iloc[0]


# Claims


def test_claims_follow_their_schema():
    schema = yaml.safe_load((ROOT / "workflow/schemas/claims.schema.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"claims": ALL_CLAIMS}, schema)
    properties = schema["properties"]["claims"]["items"]["properties"]
    assert set(entries.ESTIMANDS) == set(estimands.PER_CASE)
    assert tuple(properties["test"]["enum"]) == entries.TESTS
    assert tuple(properties["direction"]["enum"]) == entries.DIRECTIONS
    assert tuple(properties["role"]["enum"]) == entries.ROLES
    assert tuple(properties["population"]["enum"]) == entries.POPULATIONS
    config = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    names = config["properties"]["experiments"]["propertyNames"]["pattern"]
    assert properties["experiments"]["items"]["pattern"] == names


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("experiments", ["joint", "backwards"]),
        ("estimand", "vibes"),
        ("test", "anova"),
        ("direction", "up"),
        ("role", "decoration"),
        ("experiments", ["joint", "frame_by_frame"]),
        ("controls", ["E99"]),
        ("population", "some"),
        ("settings", {"kind": "erase"}),
        ("models", ["mini", "mini_shallow"]),
        ("direction", "equivalent"),
        ("id", "E0_gain"),
    ],
)
def test_claims_that_cannot_be_judged_are_refused(field, value):
    claims = copy.deepcopy(CLAIMS)
    entry = claims[1 if field == "id" else 0]
    entry[field] = value
    with pytest.raises(Refused, match=rf"^config/claims\.yaml: {entry['id']}\.{field}(\.kind)?: given ") as refusal:
        judged(features(), claims=claims)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("entry", "changes", "message"),
    [
        (
            "E0_gain",
            {"direction": "equivalent"},
            "E0_gain.direction: given 'equivalent'; accepted: equivalent with tost",
        ),
        ("E0_gain", {"controls": ["E99"]}, "E0_gain.controls: given 'E99'; accepted: E1_control"),
        ("E0_gain", {"controls": []}, "E0_gain.controls: given []; accepted: E1_control"),
        ("E0_gain", {"experiments": ["joint", "frame_by_frame"]}, "accepted: 1 for gain_of_steps"),
        ("E1_control", {"controls": ["E1_control"]}, "E1_control.controls: given ['E1_control']; accepted: none"),
        ("E0_gain", {"role": "untestable"}, "E0_gain.reason: given nothing; accepted: a value, for role untestable"),
        ("E0_gain", {"models": ["mini"]}, "E0_gain.models: given ['mini']; accepted: none, for gain_of_steps"),
        (
            "E1_control",
            {"direction": "different"},
            "E1_control.direction: given 'different'; accepted: greater, less, equivalent or absent",
        ),
        ("E13_difficulty_joint", {"test": "sign_flip"}, "accepted: permutation, for difficulty_slope"),
        ("E13_order", {"id": "E0_gain"}, "E0_gain.id: given E0_gain; accepted: an id of its own"),
        ("E13_order", {"estimand": "gain_of_steps", "experiments": ["joint"]}, "gain_of_steps of joint twice"),
        ("E0_gain", {"experiments": ["backwards"]}, "E0_gain.experiments: given 'backwards'; accepted: joint, "),
    ],
)
def test_claims_that_cannot_be_judged_are_refused_at_the_door(tmp_path, monkeypatch, entry, changes, message):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [c | changes if c["id"] == entry else c for c in CLAIMS]}))
    with pytest.raises(Refused) as refusal:
        doors.check_claims(path, dict.fromkeys(EVALUATIONS, entries.FEATURES), ["mini"])
    assert str(refusal.value).startswith(f"{path}: ")
    assert message in str(refusal.value)


def test_the_door_loads_nothing_heavy():
    heavy = {"pandas", "scipy", "statsmodels", "xarray", "torch"}
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, chainofsteps.doors; print(*sys.modules)"],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not heavy & set(loaded)


def test_an_experiment_is_claimed_on_by_its_name_and_read_by_its_order(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {"joint": "all_at_once", "frame_by_frame": "one_by_one"}
    renamed = [claim | {"experiments": [names[name] for name in claim["experiments"]]} for claim in CLAIMS]
    table = judged(*(features(order, experiment=name) for order, name in names.items()), claims=renamed)
    usual = judged(features(), features("frame_by_frame"))
    said = ["experiments", "network_evaluations"]
    pd.testing.assert_frame_equal(table.drop(columns=said), usual.drop(columns=said))
    assert row(table, "E13_order")["experiments"] == "one_by_one - all_at_once"
    assert row(table, "E13_order")["order"] == "frame_by_frame - joint"
    assert row(table, verdicts.ANSWER)["experiments"] == "all_at_once"


def test_joint_experiments_place_a_family_only_if_they_agree():
    more = [claim | {"id": f"{claim['id']}_more", "experiments": ["more"]} for claim in CLAIMS[:2]]
    in_turn = features("frame_by_frame")
    agreed = judged(features(), features(experiment="more", rng_seed=1), in_turn, claims=CLAIMS + more)
    assert row(agreed, verdicts.ANSWER)[["reading", "experiments"]].tolist() == ["steps", "joint; more"]
    unclear = features(experiment="more", right_first=0.7, right_last=0.7)
    disagreed = row(judged(features(), unclear, in_turn, claims=CLAIMS + more), verdicts.ANSWER)
    assert disagreed[["reading", "reason"]].tolist() == ["undecided", "joint says steps; more says undecided"]


# Estimands


def test_gain_of_steps_is_recovered_and_covered():
    values = estimands.gain_of_steps(features(cases=300, seeds=1))
    low, high = inference.mean_interval(values.values, DRAWS, seed=0)
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


def test_kappa_of_latent_frames_that_hold_several_frames():
    tau = np.broadcast_to(10 * (np.arange(FREE + 1) > 4), (5, 2, FREE + 1))
    assert estimands.sequentiality(features(cases=5, tau=tau)).values == pytest.approx(2 / 3)


def test_commitment_is_counted_within_each_frames_own_evaluations():
    frames = np.arange(FREE + 1)
    joint = features(cases=5, tau=np.broadcast_to(frames, (5, 2, FREE + 1)))
    assert estimands.mean_commitment(joint).values == pytest.approx(4.5 / 20)
    for late in (0, 1, 2):
        tau = np.broadcast_to(3 * np.maximum(frames - 1, 0) + late, (5, 2, FREE + 1))
        assert estimands.mean_commitment(features("frame_by_frame", cases=5, tau=tau)).values == pytest.approx(late / 3)


def test_commitment_where_latent_frames_hold_several_frames():
    active = np.zeros((20, 3), bool)
    active[:8, 1] = active[8:, 2] = True
    tau = np.broadcast_to(np.where(np.arange(FREE + 1) <= 4, 4, 14), (5, 2, FREE + 1))
    assert estimands.mean_commitment(features(cases=5, tau=tau, active=active)).values == pytest.approx(0.5)
    as_coordinate = features(cases=5, tau=tau, active=active).set_coords("active")
    assert estimands.mean_commitment(as_coordinate).values == pytest.approx(0.5)


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
    early = features("frame_by_frame", cases=4)
    early["commitment_step"][0, 0, 5] = 11
    idle = dataset.copy(deep=True)
    idle["active"][:, 3] = 0
    for estimand, broken, message in [
        (estimands.gain_of_steps, holed, "correct: given NaN"),
        (estimands.gain_of_steps, dataset.drop_vars("correct"), "correct: given no such variable"),
        (estimands.gain_of_steps, dataset.isel(seed=0), "correct: given dims case, step"),
        (estimands.success, dataset.isel(seed=slice(0)), "no empty dim"),
        (estimands.sequentiality, late, "commitment_step: given .* to 20"),
        (estimands.sequentiality, dataset.isel(frame=slice(2)), "frame: given 1 free frames"),
        (estimands.mean_commitment, dataset.isel(frame=slice(1)), "frame: given 0 free frames"),
        (estimands.mean_commitment, dataset.drop_vars("active"), "active: given no such variable"),
        (estimands.mean_commitment, dataset.isel(latent_frame=0), "active: given dims step"),
        (estimands.mean_commitment, idle, "active: given a free frame that is never active"),
        (estimands.mean_commitment, early, "commitment_step: given before the frame is first active"),
    ]:
        with pytest.raises(Refused, match=message):
            estimand(broken)


# Inference


def test_too_few_cases_and_nan_are_refused():
    for wrong in ([1.0], [1.0, 2.0], [1.0, 2.0, np.nan], [[1.0, 2.0, 3.0]]):
        for test in (
            inference.mean_interval,
            inference.bootstrap_p,
            inference.sign_flip,
            lambda values: inference.tost(values, 0.1),
        ):
            with pytest.raises(Refused):
                test(wrong)
    with pytest.raises(Refused, match="regressor"):
        inference.slope_parts([1.0, 2.0, 3.0], [1.0, 2.0])
    for strata in ([0, 0], [0, 0, 1]):
        with pytest.raises(Refused, match="strata"):
            inference.mean_interval([1.0, 2.0, 3.0], strata=strata)
    with pytest.raises(Refused, match="level"):
        inference.mean_interval([1.0, 2.0, 3.0], level=95)
    with pytest.raises(Refused, match="smallest_effect"):
        inference.tost([1.0, 2.0, 3.0], 0)
    with pytest.raises(Refused, match="p_values"):
        inference.holm([0.1, np.nan])


def test_constant_values_have_no_interval_and_no_p():
    values = [0.875] * 10
    assert np.isnan(inference.mean_interval(values)).all()
    assert not inference.slope_parts(np.arange(10), values).any()
    within = np.repeat([0.25, 0.5], 5)
    assert np.isnan(inference.mean_interval(within, strata=np.repeat([0, 1], 5))).all()
    assert np.isfinite(inference.mean_interval(within)).all()
    assert np.isnan(inference.bootstrap_p(values))
    assert np.isnan(inference.sign_flip(values))
    assert np.isnan(inference.tost(values, 1.0))


def test_the_same_seed_gives_the_same_numbers():
    values = np.random.default_rng(0).normal(size=30)
    assert inference.mean_interval(values, 500, 3) == inference.mean_interval(values, 500, 3)
    assert inference.mean_interval(values, 500, 3) != inference.mean_interval(values, 500, 4)
    assert inference.sign_flip(values, 500, 3) == inference.sign_flip(values, 500, 3)


@pytest.mark.parametrize("shift", [-0.4, -0.1, 0.0, 0.3])
def test_equivalence_of_normal_values_is_that_of_student(shift):
    values = np.random.default_rng(1).normal(shift, 1, 60)
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(60)
    student = max(t.cdf((mean - 0.5) / error, 59), t.sf((mean + 0.5) / error, 59))
    assert inference.tost(values, 0.5, 4000, 0) == pytest.approx(student, abs=0.02)
    assert inference.tost(-values, 0.5, 4000, 0) == pytest.approx(student, abs=0.02)


@pytest.mark.parametrize("values", [[0.0] * 20 + [1.0] * 4, [0.0] * 20 + [-1.0, -1.0, 1.0, 1.0, 1.0, 1.0]])
def test_an_interval_and_a_p_are_as_cautious_as_students(values):
    """And, on the side of few large values, more so."""
    spread, freedom = inference.by_design(np.array(values))
    mean, error = spread.mean(), spread.std() / np.sqrt(len(spread))
    low, high = inference.mean_interval(values, 4000, 0)
    student = t.interval(0.95, freedom, mean, error)
    assert low <= student[0] + 1e-12 and high >= student[1] - 1e-12
    for null in (0.0, student[0], student[1]):
        alone = 2 * t.sf(abs(mean - null) / error, freedom)
        assert inference.bootstrap_p(values, 4000, 0, null) >= alone - 1e-12
    if min(values) == 0.0:
        assert high > student[1] + 0.05 and inference.bootstrap_p(values, 4000, 0, student[1]) > 0.1


def test_equivalence_where_most_cases_are_alike():
    """Resamples without the odd case, (7/8)^8 of all, have no spread and are wrong about the mean: none may help."""
    values = np.zeros(8)
    values[0] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for side in (values, -values):
            assert inference.tost(side, 100.0, 4000, 0) == pytest.approx((7 / 8) ** 8, abs=0.03)


def test_holm_by_hand():
    assert inference.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert inference.holm([]).size == 0


def test_a_slope_is_recovered_and_covered():
    rng = np.random.default_rng(2)
    difficulty = np.tile(np.arange(3.0, 9.0), 20)
    values = 0.03 * difficulty + rng.normal(0, 0.05, 120)
    parts, strata = inference.slope_parts(values, difficulty), inference.strata_of(difficulty)
    low, high = inference.mean_interval(parts, DRAWS, 0, strata=strata)
    assert inference.estimate(parts) == pytest.approx(np.polyfit(difficulty, values, 1)[0])
    assert low < 0.03 < high
    assert inference.bootstrap_p(parts, DRAWS, 0, strata=strata) < 0.01


@pytest.mark.parametrize("level", [0.0, 1.0, 100.0])
def test_the_interval_of_a_slope_does_not_ask_for_the_values_level(level):
    difficulty = np.array([1, 1, 2, 2, 3, 3, 4, 4, 5, 5.0])
    values = 0.1 * difficulty + np.random.default_rng(6).normal(0, 0.1, 10)
    strata = inference.strata_of(difficulty)
    assert np.bincount(strata).tolist() == [4, 6]  # neighbours are put together: weights differ inside
    near, moved = (
        inference.mean_interval(inference.slope_parts(given, difficulty), DRAWS, 0, strata=strata)
        for given in (values, values + level)
    )
    assert near == pytest.approx(moved, abs=1e-9)


def test_p_and_interval_agree_where_strata_leave_few_degrees_of_freedom():
    """A mean just outside its interval at 1 - p has about that p, at any level."""
    values, strata = np.random.default_rng(7).normal(1, 0.5, 12), np.repeat(np.arange(4), 3)
    for level in (0.9, 0.99):
        low, _ = inference.mean_interval(values, 50_000, 0, level, strata)
        assert inference.bootstrap_p(values, 50_000, 0, low, strata) == pytest.approx(1 - level, rel=0.5)


def test_a_difference_of_groups_is_welchs():
    rng = np.random.default_rng(3)
    values, others = rng.normal(1, 1, 20), rng.normal(0.4, 2, 8)
    parts = inference.difference_parts(values, others)
    assert parts.mean() == pytest.approx(values.mean() - others.mean())
    strata = np.repeat([0, 1], [20, 8])
    spread, freedom = inference.by_design(parts, strata)
    welch = ttest_ind(values, others, equal_var=False)
    assert freedom == pytest.approx(welch.df)
    assert parts.mean() / (spread.std() / np.sqrt(28)) == pytest.approx(welch.statistic)
    interval = welch.confidence_interval()
    assert inference.mean_interval(parts, 20_000, 0, strata=strata) == pytest.approx(tuple(interval), abs=0.3)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 5)), min_size=3, max_size=30))
def test_by_design_keeps_the_mean_and_has_the_variance_of_a_stratified_draw(cases):
    labels, values = (np.array(column) for column in zip(*cases, strict=True))
    strata = inference.strata_of(labels)
    counts = np.bincount(strata)
    assert counts.min() >= inference.LEAST_CASES and (np.diff(np.unique(strata)) == 1).all()
    assert (np.diff(strata[np.argsort(labels, kind="stable")]) >= 0).all()
    spread, _ = inference.by_design(values, strata)
    assert spread.mean() == pytest.approx(values.mean(), abs=1e-9)
    variance = sum(n * values[strata == s].var(ddof=1) for s, n in enumerate(counts)) / len(values) ** 2
    assert spread.var() / len(values) == pytest.approx(variance, abs=1e-9)


def test_degrees_of_freedom_are_cases_less_strata_where_these_are_alike():
    values, strata = np.tile([1.0, 2.0, 4.0, 1.5], 5), np.repeat(np.arange(5), 4)
    assert inference.by_design(values, strata)[1] == pytest.approx(15)
    assert inference.by_design(values)[1] == pytest.approx(19)
    one = np.where(strata == 0, values, 0.0)  # all of the spread is in four cases
    assert inference.by_design(one, strata)[1] == pytest.approx(3)


@pytest.mark.parametrize("level", [0.95, 0.999])
def test_intervals_of_stratified_draws_are_as_wide_as_they_vary(level):
    """Six strata of far apart means: an interval over all cases would be five times as wide."""
    rng = np.random.default_rng(4)
    strata, means = np.repeat(np.arange(6), 4), np.repeat(np.arange(6) * 3.0, 4)
    covered = []
    for _ in range(150):
        low, high = inference.mean_interval(means + rng.normal(0, 1, 24), 1000, 0, level, strata)
        covered.append(low <= means.mean() <= high)
        assert high - low < 4
    assert level - 0.06 <= np.mean(covered)


@pytest.mark.parametrize("test", ["sign_flip", "bootstrap", "slope", "tost", "tost of skewed values"])
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
            parts = inference.slope_parts(values, difficulty)
            p_values.append(inference.bootstrap_p(parts, 400, 0, strata=inference.strata_of(difficulty)))
        elif test == "tost":
            p_values.append(inference.tost(values + 0.5, 0.5, 400, 0))
        else:
            # At the bound on its long side, where Student's t rejects in .09 of the samples.
            p_values.append(inference.tost(rng.exponential(1, cases) - 0.5, 0.5, 400, 0))
    monte_carlo_error = np.sqrt(0.05 * 0.95 / simulations)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 2 * monte_carlo_error


# Verdicts


def test_steps_are_recognised_and_the_control_passes():
    table = judged(features(), features("frame_by_frame"))
    assert tuple(table.columns) == tuple(verdicts.COLUMNS)
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
    flat = features(tau=tau, right_first=0.5, right_last=0.5)
    flat["correct"][:2, 0, 0] = [1, 0]  # two cases change, so that the outcome is not constant
    flat["correct"][:2, 0, -1] = [0, 1]
    table = judged(flat, features("frame_by_frame"))
    assert row(table, "E1_joint")["verdict"] == "contradicted"
    assert row(table, verdicts.ANSWER)["reading"] == "frames"


def test_frames_in_turn_are_not_read_as_frames_while_a_gain_is_not_ruled_out():
    tau = 2 * np.arange(FREE + 1) + np.random.default_rng(3).integers(0, 3, (60, 2, FREE + 1))
    table = judged(features(tau=tau, right_first=0.5, right_last=0.54), features("frame_by_frame"))
    assert row(table, "E0_gain")["verdict"] == "inconclusive"
    assert row(table, "E1_joint")["verdict"] == "contradicted"
    assert row(table, verdicts.ANSWER)["reading"] == "undecided"


def test_no_gain_and_no_order_are_read_as_a_single_pass():
    joint = features(cases=200, right_first=0.6, right_last=0.6)
    joint["correct"][:4, 0, 0] = [1, 0, 1, 0]  # a few cases change, so that the outcome is not constant
    joint["correct"][:4, 0, -1] = [0, 1, 0, 1]
    table = judged(joint, features("frame_by_frame", cases=200))
    assert row(table, "E0_gain")["verdict"] == "contradicted"
    assert row(table, verdicts.ANSWER)["reading"] == "single pass"


def test_values_that_are_mostly_alike_are_calibrated_too():
    """None may be lost because a resample of its cases happens to be constant."""
    joint = features(cases=30, right_first=0.0, right_last=0.0)
    joint["correct"][:3, :, -1] = 1.0
    gains = {claim["id"]: sample.values for claim, _, sample in verdicts.tested_samples(CLAIMS, [joint])}
    assert gains["E0_gain"].tolist() == [1.0] * 3 + [0.0] * 27


def test_difficulty_slope_in_each_order():
    table = judged(features(cases=180, difficulty_effect=0.25), features("frame_by_frame", cases=180))
    assert row(table, "E13_difficulty_joint")["estimate"] == pytest.approx(0.25, abs=0.05)
    assert row(table, "E13_difficulty_joint")["verdict"] == "replicated"
    assert row(table, "E13_difficulty_frame_by_frame")["verdict"] == "contradicted"
    table = judged(features(), features("frame_by_frame", difficulty_effect=0.5))
    assert row(table, "E13_difficulty_joint")["verdict"] == "contradicted"
    in_turn = row(table, "E13_difficulty_frame_by_frame")
    assert (in_turn["verdict"], in_turn["estimate"]) == ("replicated", pytest.approx(0.5, abs=0.1))


def test_difficulty_counts_from_the_easiest_case_to_the_hardest():
    joint = features(difficulty_effect=0.25)
    stretched = joint.assign_coords(difficulty=7 + 10 * joint["difficulty"])
    slopes = [row(judged(d), "E13_difficulty_joint")["estimate"] for d in (joint, stretched)]
    assert slopes[0] == pytest.approx(slopes[1])


def test_every_corrected_interval_is_at_alpha_over_the_number_of_tests():
    # Without features of the second order three rows a family are left to test: two families, m = 6.
    datasets = [
        features(family=family, right_first=0.6, right_last=last) for family, last in (("maze", 0.9), ("pattern", 0.61))
    ]
    table = judged(*datasets)
    confirmatory = table[(table["role"] == "confirmatory") & (table["verdict"] != "not testable here")]
    assert len(confirmatory) == 6
    for dataset, family in zip(datasets, ("maze", "pattern"), strict=True):
        for entry, estimand, error in [
            ("E0_gain", estimands.gain_of_steps, 0.05 / 6),
            ("E1_joint", estimands.sequentiality, 2 * 0.05 / 6),
        ]:
            strata = inference.strata_of(dataset["difficulty"].values)
            expected = inference.mean_interval(estimand(dataset).values.round(12), DRAWS, 1, 1 - error, strata)
            corrected = row(table, entry, family)[["ci_low_corrected", "ci_high_corrected"]]
            assert corrected.tolist() == pytest.approx(expected)
    assert row(table, "E0_gain", "pattern")["p"] > 0.05  # a large p earns no narrower interval


def test_dust_of_sums_decides_nothing(monkeypatch):
    datasets = features(right_first=0.6, right_last=0.65), features("frame_by_frame")
    clean = judged(*datasets)
    for name, per_case in estimands.PER_CASE.items():
        dusty = lambda *used, per_case=per_case: per_case(*used) + 3e-17 * (-1) ** np.arange(60)  # noqa: E731
        monkeypatch.setitem(estimands.PER_CASE, name, dusty)
    pd.testing.assert_frame_equal(judged(*datasets), clean, check_exact=True)


def erased(experiment: str, right: float, forward: bool, families: tuple[str, ...] = ("maze",)) -> xr.Dataset:
    """An experiment of eight cases a family: an erased cell changes later frames, or both sides alike."""
    count = 8 * len(families)
    change = np.zeros((count, 1, 2, FREE + 1))
    change[:, 0, 1, 5:], change[:, 0, 1, 1:4] = 1, not forward
    change[:, 0, 1] *= 1 + np.arange(count)[:, None]
    mask = np.zeros((2, 4, FREE + 1), int)
    mask[1, 2, 4] = 1
    correct = np.where(np.arange(count) < right * count, 1.0, 0.0)[:, None, None].repeat(2, -1)
    return xr.Dataset(
        {
            "frame_change": (("case", "seed", "arm", "latent_frame"), change),
            "erased": (("arm", "step", "latent_frame"), mask),
            "correct": (("case", "seed", "arm"), correct),
        },
        coords={
            "case": [f"{family}-{i}" for family in families for i in range(8)],
            "family": ("case", np.repeat(np.array(families, object), 8)),
            "seed": [0],
            "kind": ("arm", np.array(["clean", "erase"], object)),
            "scope": ("arm", np.array(["clean", "cell"], object)),
        },
        attrs={"model_id": "mini", "experiment": experiment, "order": "joint", "purpose": "confirmatory"},
    )


DIRECTED = entries.restricted(ALL_CLAIMS, ("E4_joint", "E4_control"))


def test_a_positive_control_is_only_asked_where_its_order_solves_enough():
    joint = erased("erasure", 1, forward=False, families=("maze", "largest"))
    in_turn = erased("erasure_frame_by_frame", 0.5, forward=True, families=("maze", "largest"))
    table = judged(features(), joint, in_turn, claims=DIRECTED)
    assert row(table, "E4_control")["controls"] == "passed"
    unasked = row(table, "E4_control", "largest")
    assert (unasked["verdict"], unasked["controls"]) == ("not testable here", "not run")
    assert unasked["reason"].startswith("the order solves 0.00 of its cases")
    # Where the order works it passed: that is what the pooled claim rests on.
    assert row(table, "E4_joint", "all")["controls"] == "passed"
    none = erased("erasure_frame_by_frame", 0.2, forward=True)
    blocked = row(judged(features(), joint, none, claims=DIRECTED), "E4_joint", "all")
    assert blocked["controls"] == "not run: E4_control" and blocked["verdict"] == "inconclusive"


def test_what_an_experiment_did_not_measure_is_not_testable():
    joint = erased("erasure", 1, forward=False)
    in_turn = erased("erasure_frame_by_frame", 1, forward=True)
    other = joint.assign_coords(kind=("arm", np.array(["clean", "replace"], object)))
    told = row(judged(features(), other, in_turn, claims=DIRECTED), "E4_joint", "all")
    assert told["verdict"] == "not testable here" and np.isnan(told["p_adjusted"])
    assert told["reason"] == "mini/erasure dataset: arm: given no cell of kind erase; accepted: at least one"
    assert row(judged(features(), joint, in_turn, claims=DIRECTED), "E4_joint", "all")["verdict"] != told["verdict"]


def test_a_pooled_claim_names_the_family_in_which_its_control_failed():
    joint = erased("erasure", 1, forward=False, families=("maze", "largest"))
    failing = erased("erasure_frame_by_frame", 1, forward=False, families=("maze", "largest"))
    told = row(judged(features(), joint, failing, claims=DIRECTED), "E4_joint", "all")
    assert told["controls"] == "failed: E4_control (largest), E4_control (maze)"
    assert told["verdict"] == "inconclusive"


def test_pooled_claims_are_described_in_each_family():
    joint = erased("erasure", 1, forward=False, families=("maze", "largest"))
    ahead = erased("erasure", 1, forward=True, families=("maze", "largest"))
    mixed = joint.assign(frame_change=joint["frame_change"].where(joint["family"] == "maze", ahead["frame_change"]))
    in_turn = erased("erasure_frame_by_frame", 1, forward=True)
    table = verdicts.by_family(DIRECTED, [features(), mixed, in_turn], seed=1, draws=DRAWS)
    assert list(table) == list(verdicts.BY_FAMILY_COLUMNS)
    # The control is asked by family in the verdict table itself.
    assert set(table["id"]) == {"E4_joint"}
    lead = table.set_index("family")["estimate"]
    assert lead.to_dict() == {"largest": 1, "maze": pytest.approx(direction(joint), abs=1e-12)}
    pooled = row(judged(features(), mixed, in_turn, claims=DIRECTED), "E4_joint", "all")
    assert table["n_cases"].tolist() == [8, 8] and pooled["estimate"] == pytest.approx(lead.mean())


@pytest.mark.parametrize(("cases", "has_interval"), [(4, False), (5, True)])
def test_few_cases_of_a_family_have_no_interval(cases, has_interval):
    joint = erased("erasure", 1, forward=False).isel(case=slice(cases))
    joint["frame_change"][0, 0, 1, 1] = 9
    in_turn = erased("erasure_frame_by_frame", 1, forward=True)
    (given,) = verdicts.by_family(DIRECTED, [features(), joint, in_turn], seed=1, draws=DRAWS).itertuples()
    assert np.isfinite(given.estimate) and given.n_cases == cases
    assert np.isfinite([given.ci_low, given.ci_high]).all() == has_interval


def direction(dataset: xr.Dataset) -> float:
    """Of one of its cases: all change alike but for their size."""
    return float(estimands.PER_CASE["direction_of_damage"](dataset, kind="erase")[0])


def test_a_family_without_values_says_why():
    joint = erased("erasure", 1, forward=False, families=("maze", "largest"))
    still = joint.assign(frame_change=joint["frame_change"].where(joint["family"] == "maze", 0))
    in_turn = erased("erasure_frame_by_frame", 1, forward=True)
    table = verdicts.by_family(DIRECTED, [features(), still, in_turn], seed=1, draws=DRAWS).set_index("family")
    assert np.isnan(table.loc["largest", "estimate"]) and table.loc["largest", "n_cases"] == 0
    assert table.loc["largest", "reason"] == "0 cases in which it can be asked, of which 12 are needed"


def test_a_claim_that_changed_after_its_cases_were_drawn_is_exploratory():
    datasets = features(), features("frame_by_frame")
    unchanged = {claim["id"] for claim in CLAIMS} - {"E0_gain"}
    table = verdicts.judge(CLAIMS, datasets, seed=1, draws=DRAWS, registered=unchanged)
    gain, kappa = row(table, "E0_gain"), row(table, "E1_joint")
    assert (gain["verdict"], gain["status"]) == ("exploratory", "exploratory")
    assert np.isnan(gain["p_adjusted"]) and np.isfinite(gain["estimate"])
    assert (kappa["verdict"], kappa["status"]) == ("replicated", "confirmatory")
    # One test fewer in the family of tests.
    whole = judged(*datasets)
    assert kappa["p_adjusted"] < row(whole, "E1_joint")["p_adjusted"] or kappa["p"] < 1e-12
    assert row(table, verdicts.ANSWER)["reading"] == "undecided"
    no_control = {claim["id"] for claim in CLAIMS} - {"E1_control"}
    table = verdicts.judge(CLAIMS, datasets, seed=1, draws=DRAWS, registered=no_control)
    assert row(table, "E1_joint")["controls"] == "not run: E1_control"


@pytest.mark.parametrize(
    ("first", "last", "passes"), [(0.5, 0.5, True), (0.6, 0.5, True), (0.4, 0.8, False), (0.0, 0.0, True)]
)
def test_an_effect_must_not_be_found_where_there_is_none(first, last, passes):
    claims = entries.restricted(ALL_CLAIMS, (*ASKED, "E0_static"))
    static = features(experiment="static", right_first=first, right_last=last)
    table = judged(features(), features("frame_by_frame"), static, claims=claims)
    assert row(table, "E0_static")["controls"] == ("passed" if passes else "failed")
    assert row(table, "E0_gain")["verdict"] == ("replicated" if passes else "inconclusive")
    assert row(table, "E0_gain")["controls"] == ("passed" if passes else "failed: E0_static")


def test_a_control_of_few_cases_is_not_asked():
    table = judged(features(cases=4), features("frame_by_frame", cases=4))
    assert row(table, "E1_control")["reason"] == "4 cases in which it can be asked, of which 5 are needed"


def test_what_cannot_be_tested_is_shown_with_its_reason():
    claims = entries.restricted(ALL_CLAIMS, (*ASKED, "E9_perception"))
    shown = row(judged(features(), features("frame_by_frame"), claims=claims), "E9_perception", "all")
    assert shown["verdict"] == "not testable here" and shown["reason"].startswith("The scene is given")
    assert shown["claim"] == "C7" and shown["controls"] == ""


def test_a_failed_control_blocks_every_verdict_of_its_family():
    tau = np.random.default_rng(0).integers(5, 8, (60, 2, FREE + 1))
    together = features("frame_by_frame", tau=tau, active=TOGETHER)
    table = judged(features(), together, features(family="pattern"), features("frame_by_frame", family="pattern"))
    maze = table[(table["family"] == "maze") & (table["role"] == "confirmatory")]
    assert set(maze["controls"]) == {"failed: E1_control"}
    assert set(maze["verdict"]) == {"inconclusive"}
    assert "else replicated" in row(table, "E0_gain")["reason"]
    assert row(table, verdicts.ANSWER)["reading"] == "undecided"
    assert row(table, "E0_gain", "pattern")["verdict"] == "replicated"


def test_what_no_case_has_is_absent_without_a_test():
    claims = entries.restricted(ALL_CLAIMS, (*ASKED, "E0_untrained"))
    never = features(experiment="untrained", cases=16, right_first=0, right_last=0)
    table = judged(features(), features("frame_by_frame"), never, claims=claims)
    control = row(table, "E0_untrained")
    assert control["verdict"] == "replicated" and control["reason"] == "all cases alike" and np.isnan(control["p"])


def test_as_many_tests_are_corrected_for_as_are_asked():
    datasets = features(), features("frame_by_frame")
    own, more = (verdicts.judge(CLAIMS, datasets, seed=1, draws=DRAWS, tests=tests) for tests in (None, 30))
    assert (more["p_adjusted"].dropna() >= own["p_adjusted"].dropna()).all()
    assert row(more, "E1_joint")["ci_high_corrected"] > row(own, "E1_joint")["ci_high_corrected"]


def test_an_absent_experiment_is_not_testable():
    table = judged(features())
    assert row(table, "E1_control")["verdict"] == "not testable here"
    assert row(table, "E13_order")["reason"] == "no features of frame_by_frame"
    assert row(table, "E13_order")["order"] == ""
    assert row(table, "E0_gain")["controls"] == "not run: E1_control"
    assert row(table, "E0_gain")["verdict"] == "inconclusive"


def test_a_constant_outcome_earns_no_verdict():
    table = judged(features(right_first=1.0, right_last=1.0), features("frame_by_frame"))
    gain = row(table, "E0_gain")
    assert (gain["estimate"], gain["verdict"], gain["reason"]) == (0, "inconclusive", "constant outcome")
    assert gain[["ci_low", "ci_high", "p", "p_adjusted"]].isna().all()
    assert row(table, verdicts.ANSWER)["reading"] == "undecided"
    leaves = verdicts.metrics(table)["E0_gain"]["maze"]
    assert leaves == {"estimate": 0, "n": 60, "verdict": 0}


@pytest.mark.parametrize(("cases", "slope", "passes"), [(6, 3, True), (5, 3, True), (60, 0, False)])
def test_a_control_whose_cases_are_all_alike_passes_by_an_exact_sign_test(cases, slope, passes):
    tau = np.broadcast_to(slope * np.maximum(np.arange(FREE + 1) - 1, 0), (cases, 2, FREE + 1))
    in_turn = features("frame_by_frame", cases=cases, tau=tau, active=TOGETHER if slope == 0 else None)
    control = row(judged(in_turn), "E1_control")
    assert control["controls"] == ("passed" if passes else "failed")
    assert np.isnan(control["ci_low"])


def test_a_single_difficulty_has_no_slope():
    joint = features().assign_coords(difficulty=("case", np.full(60, 4)))
    slope = row(judged(joint, features("frame_by_frame")), "E13_difficulty_joint")
    assert (slope["verdict"], slope["reason"]) == ("not testable here", "constant difficulty")


def test_one_case_mixed_models_and_doubles_are_refused():
    joint, unordered = features(), features()
    del unordered.attrs["order"]
    for datasets, message in [
        ([features(cases=1)], "at least 3 cases"),
        ([joint, joint], "one dataset each"),
        ([joint, features("frame_by_frame").assign_attrs(model_id="other")], "model_id: given mini, other"),
        ([joint, features("frame_by_frame").assign_attrs(purpose="pilot")], "purpose: given confirmatory, pilot"),
        ([xr.Dataset()], "no such attribute"),
        ([unordered], "order: given no such attribute"),
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
