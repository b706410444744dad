"""Calibration: what is made is the null it is said to be, and a test or an interval that is broken is caught."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import binom

from chainofsteps.configuration import load_yaml
from chainofsteps.figures.calibration import coverage_and_power, false_positives
from chainofsteps.refusal import Refused
from chainofsteps.sampling.orders import build_order
from chainofsteps.statistics import calibration, inference, planted
from chainofsteps.statistics.estimands import PER_CASE
from chainofsteps.statistics.verdicts import Sample

ALL_CLAIMS = load_yaml("config/claims.yaml")["claims"]
CLAIMS = planted.plantable(ALL_CLAIMS, ["joint", "frame_by_frame"])
BY_ID = {claim["id"]: claim for claim in CLAIMS}
CONTROL = BY_ID["E1_control"]
TESTED = [claim for claim in CLAIMS if claim["role"] == "confirmatory"]
FREE, STEPS_A_FRAME = 8, 4
ORDERS = {"joint": build_order("joint", FREE + 1, 20), "frame_by_frame": build_order("frame_by_frame", FREE + 1, 4)}
DRAWS = 200


def features(experiment: str, *, family: str = "maze", cases: int = 48, seeds: int = 2, alike: float = 0.5, n: int = 0):
    """Features of which cases differ: in how early they are right and committed, harder ones later.

    ``alike`` is the share of a case in the variance of its streams; what cases are like is the same in both orders.
    """
    of_case, rng = np.random.default_rng(n), np.random.default_rng([n, len(experiment)])
    order = ORDERS[experiment].active.astype(int)
    steps = len(order)
    difficulty = 3 + np.arange(cases) % 4

    def mixed(*shape):
        case = of_case.normal(size=(cases, *[1] * (len(shape) - 1)))
        return np.sqrt(alike) * case + np.sqrt(1 - alike) * rng.normal(size=shape)

    ability = mixed(cases, seeds, 1) - 0.3 * (difficulty[:, None, None] - 4.5)
    correct = np.where(ability + np.linspace(-0.8, 0.6, steps) > 0, 1.0, 0.5)
    shape = (cases, seeds, FREE + 1)
    if experiment == "joint":
        drift = 0.15 * of_case.normal(size=(cases, 1, 1)) * np.arange(FREE + 1)
        tau = 7 + 1.5 * mixed(cases, seeds, 1) + drift + 0.7 * rng.normal(size=shape) + difficulty[:, None, None] * 0.4
    else:
        own = np.clip(np.rint(1 + mixed(*shape)), 0, STEPS_A_FRAME - 1)
        tau = STEPS_A_FRAME * np.maximum(np.arange(FREE + 1) - 1, 0) + own
    return xr.Dataset(
        {
            "correct": (("case", "seed", "step"), correct),
            "commitment_step": (("case", "seed", "frame"), np.clip(np.rint(tau), 0, steps - 1).astype(int)),
            "active": (("step", "latent_frame"), order),
        },
        {
            "case": [f"{family}-{i}" for i in range(cases)],
            "seed": np.arange(seeds),
            "step": np.arange(steps),
            "frame": np.arange(FREE + 1),
            "difficulty": ("case", difficulty),
        },
        {"model_id": "mini", "experiment": experiment, "order": experiment, "family": family, "purpose": "pilot"},
    )


def population(**kwargs) -> planted.Features:
    return planted.populations(features(name, **kwargs) for name in ORDERS)[kwargs.get("family", "maze")]


@pytest.fixture(scope="module")
def maze() -> planted.Features:
    return population()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def value(claim: dict, drawn: planted.Features) -> float:
    return planted.measured(claim, drawn)


def means_of(maker: planted.Maker, claim: dict, drawn: planted.Features, times: int = 40) -> np.ndarray:
    return np.array([value(claim, maker(drawn, rng(i))) for i in range(times)])


def near(values: np.ndarray, expected: float) -> bool:
    """Whether the mean of independent values is what is expected, within 4 standard errors."""
    return abs(values.mean() - expected) < 4 * values.std(ddof=1) / np.sqrt(len(values)) + 1e-9


# Cases are drawn whole


def test_cases_are_drawn_whole_and_alike_in_both_orders(maze):
    drawn = planted.draw_cases(maze, 100, rng())
    streams = {name: dataset.stack(stream=("seed", "frame"))["commitment_step"] for name, dataset in maze.items()}
    for i in range(100):
        of_order = []
        for name, dataset in drawn.items():
            given = dataset.isel(case=i)
            same = (streams[name].values == given["commitment_step"].values.ravel()).all(axis=1)
            same &= (maze[name]["correct"].values == given["correct"].values).all(axis=(1, 2))
            of_order.append(set(np.flatnonzero(same & (maze[name]["difficulty"] == given["difficulty"]).values)))
        assert set.intersection(*of_order)
    assert len(set(drawn["joint"]["case"].values.tolist())) == 100
    counts = np.unique(drawn["joint"]["difficulty"], return_counts=True)[1]
    assert (counts == 25).all()
    free = planted.draw_cases(maze, 100, rng(), by_difficulty=False)
    assert len({*np.unique(free["joint"]["difficulty"], return_counts=True)[1]}) > 1


def test_where_difficulties_say_nothing_estimates_spread_as_their_intervals_say(maze):
    """Cases that were drawn by difficulty and are then given others would spread less than is seen inside these."""
    first = maze["joint"]
    late = first["commitment_step"] + (first["difficulty"] * (first["frame"] > 3)).astype(int)
    late = late.clip(max=first.sizes["step"] - 1)
    uneven = maze | {"joint": first.assign(commitment_step=late.transpose(*first["commitment_step"].dims))}
    entries = [claim for claim in CLAIMS if claim["id"] in ("E1_joint", "E13_difficulty_joint", CONTROL["id"])]
    records = calibration.simulate_null(entries, {"maze": uneven}, 2, datasets=100, draws=50, seed=7)
    kappa = records[records["id"] == "E1_joint"]
    seen = (kappa["ci_high"] - kappa["ci_low"]).mean() / (2 * 1.96)
    assert kappa["estimate"].std() == pytest.approx(seen, rel=0.25)


def test_a_population_is_in_one_order_of_cases_and_seeds():
    turned = features("frame_by_frame").isel(case=slice(None, None, -1), seed=[1, 0])
    both = planted.populations([features("joint"), turned])["maze"]
    xr.testing.assert_equal(both["frame_by_frame"], population()["frame_by_frame"])
    assert set(both["joint"].variables) == {"correct", "commitment_step", "active", "case", "seed", "step", "frame"} | {
        "difficulty"
    }


# The nulls are nulls


def test_under_the_null_each_value_is_the_nulls(maze):
    maker = planted.null_maker(CLAIMS, maze)
    made = [maker(maze, rng(i)) for i in range(60)]
    for claim in TESTED:
        null = planted.null_value(claim, maze)
        assert abs(null) == (0.1 if claim["test"] == "tost" else 0.0)
        assert abs(value(claim, maze) - null) > 0.01, "the population itself is no null"
        assert near(np.array([value(claim, each) for each in made]), null), claim["id"]


def test_a_control_is_at_its_bound_in_a_data_set_of_its_own(maze):
    assert near(means_of(planted.control_maker(CONTROL, maze), CONTROL, maze), 0.5)
    null = planted.null_maker(CLAIMS, maze)(maze, rng())
    assert value(CONTROL, null) == pytest.approx(value(CONTROL, maze)) and value(CONTROL, maze) > 0.8


def test_outcomes_change_places_case_by_case_with_their_seeds_together(maze):
    places = [("joint", 0), ("joint", -1), ("frame_by_frame", -1)]
    made = planted.null_maker(CLAIMS, maze)(maze, rng())

    def rows(features):
        return np.stack([features[name]["correct"].values[:, :, step] for name, step in places], axis=1)

    before, after = rows(maze), rows(made)
    for case in range(len(before)):
        assert sorted(before[case].tolist()) == sorted(after[case].tolist())
    assert (before != after).any()
    between = slice(1, -1)
    for name in maze:
        assert (maze[name]["correct"][..., between].values == made[name]["correct"][..., between].values).all()
    first = [each["frame_by_frame"]["correct"].values[..., 0] for each in (maze, made)]
    assert (first[0] == first[1]).all()


def test_correlation_inside_cases_stays(maze):
    """Of two seeds: in commitment, in an outcome that stays, and over the outcomes that change places."""
    made = planted.null_maker(CLAIMS, maze)(planted.draw_cases(maze, 2000, rng()), rng(1))

    def between_seeds(features):
        outcomes = features["joint"]["correct"].values, features["frame_by_frame"]["correct"].values
        places = np.concatenate([outcomes[0][..., 0], outcomes[0][..., -1], outcomes[1][..., -1]])
        commitment = features["joint"]["commitment_step"].values[..., 1:].mean(axis=2)
        return [np.corrcoef(values.T)[0, 1] for values in (commitment, outcomes[0][..., 10], places)]

    assert between_seeds(maze)[0] > 0.2 and between_seeds(maze)[2] > 0.2
    assert between_seeds(made) == pytest.approx(between_seeds(maze), abs=0.1)


def test_difficulty_is_permuted_alike_in_both_orders(maze):
    made = planted.null_maker(CLAIMS, maze)(maze, rng())
    assert (made["joint"]["difficulty"] == made["frame_by_frame"]["difficulty"]).all()
    assert (made["joint"]["difficulty"] != maze["joint"]["difficulty"]).any()
    assert sorted(made["joint"]["difficulty"].values) == sorted(maze["joint"]["difficulty"].values)


@pytest.mark.parametrize("target", [-0.3, -0.1, 0.0, 0.1, 0.4])
def test_a_tilt_is_later_only_and_gives_the_kappa_exactly(maze, target):
    shift = planted.solve_tilt(maze["joint"], target)
    assert (shift >= 0).all() and shift[0] == 0
    expected = planted.delay(maze["joint"], shift, None)
    assert float(PER_CASE["sequentiality"](expected).mean()) == pytest.approx(target, abs=1e-9)
    made = planted.delay(maze["joint"], shift, rng())["commitment_step"]
    later = made - maze["joint"]["commitment_step"]
    assert made.dtype.kind == "i" and (later >= 0).all() and (later <= np.ceil(shift)).all()
    assert made.max() < 20


def test_a_delay_beyond_the_run_stops_at_its_last_step(maze):
    made = planted.delay(maze["joint"], np.full(FREE + 1, 100.5), rng())
    assert (made["commitment_step"] == 19).all()


# Effects are of the size they are said to be


@pytest.mark.parametrize("size", calibration.SIZES)
@pytest.mark.parametrize("claim", TESTED, ids=lambda claim: claim["id"])
def test_an_effect_has_its_size(maze, claim, size):
    times = calibration.SIZES[size]
    maker = planted.effect_maker(claim, maze, times)
    wanted = planted.effect_value(claim, maze, times)
    if claim["test"] == "tost":
        assert (maker is None) == (wanted is None) == (size == "twice")
        wanted = wanted or 0.0
    else:
        sign = np.sign(value(claim, maze)) if claim["direction"] == "different" else 1
        assert wanted == pytest.approx(sign * times * claim["smallest_effect"]["value"])
    if maker:
        assert near(means_of(maker, claim, maze), wanted)


def test_a_slope_is_of_a_data_sets_own_range_of_difficulties(maze):
    """Where the hardest were not drawn, too: the estimand knows no others."""
    claim, hardest = BY_ID["E13_difficulty_joint"], maze["joint"]["difficulty"].max()
    drawn = {name: dataset.isel(case=(dataset["difficulty"] < hardest).values) for name, dataset in maze.items()}
    slopes = means_of(planted.effect_maker(claim, maze, 2), claim, drawn, times=100)
    assert near(slopes, planted.effect_value(claim, maze, 2))


def test_an_effect_that_the_cases_cannot_have_is_left_out(maze):
    alike = {name: dataset.assign(correct=dataset["correct"] * 0 + 1) for name, dataset in maze.items()}
    assert planted.effect_maker(BY_ID["E0_gain"], alike, 1) is None
    assert planted.effect_maker(BY_ID["E13_difficulty_joint"], maze, 20) is None
    given = {"size": "smallest", "cases": 8, "datasets": 2, "draws": DRAWS, "seed": 0}
    assert calibration.simulate_effect([BY_ID["E0_gain"]], CLAIMS, alike, 5, **given).empty


def test_effects_in_one_data_set_change_different_things():
    groups = planted.separable(CLAIMS)
    assert sorted(claim["id"] for group in groups for claim in group) == sorted(claim["id"] for claim in TESTED)
    assert [[claim["id"] for claim in group] for group in groups] == [
        ["E0_gain", "E1_joint", "E13_difficulty_frame_by_frame"],
        ["E13_difficulty_joint", "E13_order"],
    ]


# Rates


def at_most(rate: float, datasets: int) -> float:
    """Rate that a true rate stays below in 999 of 1,000 simulations."""
    return binom.ppf(0.999, datasets, rate) / datasets


@pytest.fixture(scope="module")
def null_rates(maze) -> pd.DataFrame:
    records = calibration.simulate_null(CLAIMS, {"maze": maze}, 5, datasets=40, draws=DRAWS, seed=1)
    return pd.concat([calibration.summarise(records), calibration.summarise_table(records)]).set_index("id")


def test_false_positives_are_as_rare_as_promised(null_rates):
    rates = null_rates.drop(index="table")
    assert set(rates.index) == set(BY_ID) and (rates["datasets"] == 40).all() and (rates["tested"] > 0.99).all()
    # Two more in a hundred: 200 draws and 48 cases.
    assert (rates["significant"] <= at_most(0.07, 40)).all(), rates["significant"]
    assert (rates.loc[[claim["id"] for claim in TESTED], "claimed"] <= at_most(0.03, 40)).all(), rates["claimed"]
    assert null_rates.loc["table", "claimed"] <= at_most(0.07, 40)
    assert (rates.loc[[claim["id"] for claim in TESTED], "controls"] == 1).all()


def test_intervals_hold_the_truth_as_often_as_promised(null_rates):
    coverage = null_rates.drop(index="table")["coverage"]
    assert (1 - coverage <= at_most(0.08, 40)).all(), coverage


def per_stream(features: xr.Dataset) -> xr.DataArray:
    """Each seed taken for a case: pseudo-replication."""
    right = (features["correct"] == 1).astype(float)
    gain = (
        (right.isel(step=-1) - right.isel(step=0)).stack(stream=("case", "seed")).drop_vars(["case", "seed", "stream"])
    )
    return gain.rename(stream="case").assign_coords(case=np.repeat(features["case"].values, features.sizes["seed"]))


def test_seeds_taken_for_cases_are_caught(monkeypatch):
    """Four seeds that are all alike, as if they were four cases: a null effect is found in every third data set."""
    alike = population(seeds=4, alike=1.0)
    entries = [BY_ID["E0_gain"], CONTROL]

    def significant():
        records = calibration.simulate_null(entries, {"maze": alike}, 1, datasets=36, draws=DRAWS, seed=2)
        return calibration.summarise(records).set_index("id").loc["E0_gain", ["significant", "coverage"]]

    rate, coverage = significant()
    assert rate <= at_most(0.05, 36) and 1 - coverage <= at_most(0.08, 36)
    monkeypatch.setitem(PER_CASE, "gain_of_steps", per_stream)
    rate, coverage = significant()
    assert rate > at_most(0.05, 36) and 1 - coverage > at_most(0.08, 36)


def test_an_interval_that_is_too_narrow_is_caught(monkeypatch, maze):
    given = {"cases": 32, "datasets": 30, "draws": DRAWS, "seed": 3}
    right = inference.mean_interval

    def narrow(*args, **kwargs):
        low, high = right(*args, **kwargs)
        return low + (high - low) / 3, high - (high - low) / 3

    def coverage():
        records = calibration.simulate_measured([BY_ID["E0_gain"], CONTROL], maze, 1, **given)
        return calibration.summarise(records).set_index("id").loc["E0_gain", "coverage"]

    assert 1 - coverage() <= at_most(0.08, 30)
    monkeypatch.setattr(inference, "mean_interval", narrow)
    assert 1 - coverage() > at_most(0.08, 30)


def test_power_grows_with_cases_and_with_the_effect(maze):
    given = {"datasets": 8, "draws": 1000, "seed": 4}
    group = [BY_ID["E13_difficulty_joint"]]

    def power(size, cases):
        return calibration.simulate_effect(group, CLAIMS, maze, 20, size=size, cases=cases, **given)

    few, many = power("smallest", 16), power("twice", 96)
    assert (few["truth"] == 0.1).all() and (many["truth"] == 0.2).all()
    assert (many["n_cases"] == 96).all() and set(many["scenario"]) == {"twice"}
    assert few["verdict"].isin(calibration.CLAIMED).mean() + 0.5 < many["verdict"].isin(calibration.CLAIMED).mean()


def test_a_family_alone_is_corrected_for_the_whole_table(maze):
    given = {"cases": 24, "datasets": 1, "draws": 5000, "seed": 5}
    alone, whole = (calibration.simulate_measured(CLAIMS, maze, tests, **given) for tests in (5, 20))
    gain = [table.set_index("id").loc["E0_gain"] for table in (alone, whole)]
    assert gain[0]["p"] == gain[1]["p"] and gain[0]["ci_low"] == gain[1]["ci_low"]
    # The least p of five, or of twenty.
    least = [table["p_adjusted"].min() / table["p"][table["role"] == "confirmatory"].min() for table in (alone, whole)]
    assert least == pytest.approx([5, 20])
    assert gain[1]["ci_low_corrected"] < gain[0]["ci_low_corrected"]
    assert list(whole["id"]) == [claim["id"] for claim in CLAIMS]


FAMILY = {"draws": DRAWS, "datasets": 1, "curve_datasets": 1, "case_counts": [8], "seed": 6}


@pytest.fixture(scope="module")
def few(maze) -> pd.DataFrame:
    return calibration.simulate_family(CLAIMS, maze, 5, **FAMILY)


def test_the_same_seed_gives_the_same_data_sets_whatever_else_is_made(maze, few):
    more = calibration.simulate_family(CLAIMS, maze, 5, **FAMILY | {"datasets": 2, "case_counts": [12, 8]})
    keys = ["scenario", "id", "cases", "dataset"]
    both = more.merge(few[keys]).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(both[few.columns], few.sort_values(keys, ignore_index=True))
    assert set(few["scenario"]) == {"measured", *calibration.SIZES}
    another = calibration.simulate_measured(CLAIMS, maze, 5, cases=48, datasets=1, draws=DRAWS, seed=7)
    assert not another["estimate"].equals(few["estimate"][: len(another)])


def records(**columns) -> pd.DataFrame:
    row = {
        "scenario": "no effect",
        "id": "E0_gain",
        "estimand": "gain_of_steps",
        "role": "confirmatory",
        "test": "sign_flip",
        "family": "maze",
        "cases": 64,
        "truth": 0.0,
        "controls": "passed",
        "verdict": "inconclusive",
        **dict.fromkeys(["estimate", "p", "p_adjusted", "ci_low", "ci_high"], np.nan),
        **dict.fromkeys(["ci_low_corrected", "ci_high_corrected"], np.nan),
    }
    return pd.DataFrame(row | {"dataset": range(4)} | columns)


def test_rates_are_shares_of_data_sets():
    given = records(
        estimate=[0.1, -0.1, 0.2, 0.0],
        p=[0.05, 0.06, 0.01, np.nan],
        p_adjusted=[0.2, 0.3, 0.01, np.nan],
        verdict=["inconclusive", "contradicted", "direction only", "inconclusive"],
        ci_low=[0.0, -0.3, 0.1, np.nan],
        ci_high=[0.2, -0.1, 0.3, np.nan],
    )
    (row,) = calibration.summarise(given).to_dict("records")
    assert row["significant"] == 0.5 and row["significant_error"] == 0.25
    assert [row[key] for key in ("claimed", "contradicted", "tested", "interval", "controls")] == [
        0.25,
        0.25,
        0.75,
        0.75,
        1,
    ]
    assert [row[key] for key in ("coverage", "below", "above")] == pytest.approx([1 / 3] * 3)
    assert row["bias"] == pytest.approx(0.05) and np.isnan(row["coverage_corrected"])
    other = given.assign(id="E13_order", p_adjusted=[0.01, 1, 1, 1], verdict=["replicated"] + ["inconclusive"] * 3)
    (table,) = calibration.summarise_table(pd.concat([given, other])).to_dict("records")
    assert (table["id"], table["datasets"], table["significant"], table["claimed"]) == ("table", 4, 0.5, 0.5)


# Values


def value_rows():
    by_id = {claim["id"]: claim for claim in ALL_CLAIMS}
    of = np.random.default_rng(3)
    skewed, around = of.exponential(0.3, 40), of.normal(0.05, 0.2, 40)
    entries = {"E2_erase": skewed, "E8_correction": around, "E5_joint": around, "E3_grid": around}
    strata = np.repeat(np.arange(8), 5)
    return [(by_id[name], "all", Sample(values, strata)) for name, values in entries.items()]


def test_values_without_an_effect_reject_as_rarely_as_promised():
    rows = value_rows()
    rates = calibration.summarise(
        calibration.simulate_values(rows, 5, datasets=60, curve_datasets=1, draws=DRAWS, seed=2)
    )
    null, measured = (rates[rates["scenario"] == name].set_index("id") for name in ("no effect", "measured"))
    assert (null["significant"] <= at_most(0.06, 60)).all(), null["significant"]
    assert (null["claimed"] <= at_most(0.02, 60)).all()
    assert null["truth"].to_dict() == {"E2_erase": 0, "E8_correction": 0, "E5_joint": 0.1, "E3_grid": 0}
    assert (null["bias"].abs() <= 4 * null["bias_error"]).all(), null[["bias", "bias_error"]]
    assert (measured["coverage"] >= 0.8).all() and (measured["truth"] != 0).all()
    for claim, _, sample in rows:
        assert measured.loc[claim["id"], "truth"] == pytest.approx(inference.estimate(sample.values))


def test_values_have_the_effect_that_they_are_given():
    rows = value_rows()
    records = calibration.simulate_values(rows, 5, datasets=2, curve_datasets=40, draws=DRAWS, seed=3)
    rates = calibration.summarise(records).set_index(["scenario", "id"])
    for claim, _, sample in rows:
        bound, name = claim["smallest_effect"]["value"], claim["id"]
        wanted = {"smallest": bound, "twice": 2 * bound} if claim["test"] != "tost" else {"smallest": 0}
        if claim["test"] in calibration.BY_SIGN:
            wanted = {size: mean for size, mean in wanted.items() if mean <= np.abs(sample.values).mean()}
        made = {size: rates.loc[(size, name), "truth"] for size in calibration.SIZES if (size, name) in rates.index}
        assert made == pytest.approx(wanted)
        for size in wanted:
            assert abs(rates.loc[(size, name), "bias"]) <= 4 * rates.loc[(size, name), "bias_error"]


def test_signs_that_are_too_small_for_an_effect_are_left_out():
    (claim,) = (claim for claim in ALL_CLAIMS if claim["id"] == "E8_correction")
    sample = Sample(np.tile([0.1, -0.1], 20), np.zeros(40, int))
    records = calibration.simulate_values([(claim, "maze", sample)], 5, datasets=2, curve_datasets=2, draws=50, seed=3)
    assert set(records["scenario"]) == {"no effect", "measured"}


def test_values_are_drawn_inside_their_strata():
    sample = Sample(np.arange(40.0), np.repeat(np.arange(8), 5))
    drawn = np.stack([calibration._drawn_in_strata(sample, rng(i)) for i in range(50)])
    assert (drawn // 5 == sample.strata).all() and len(np.unique(drawn)) == 40


# Figures


def test_figures_show_each_rate(null_rates, maze, few):
    figure = false_positives(null_rates.reset_index())
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [name.replace("_", " ") for name in null_rates.index]
    for axis, rate in ((left, "significant"), (right, "claimed")):
        shown = {x for line in axis.lines for x, y in line.get_xydata() if y == round(y, 3)}
        points = np.concatenate([np.asarray(line.get_xdata(), float) for line in axis.lines])
        assert shown and all(np.isclose(points, given).any() for given in null_rates[rate])
    rates = calibration.summarise(few)
    own = rates[rates["cases"] == planted.count_of(maze)]
    drawn = coverage_and_power(own, rates)
    titles = [axis.get_title() for axis in drawn.subfigs[1].axes]
    assert titles == [*(claim["id"].replace("_", " ") for claim in TESTED), ""]


# Refusals


def one_line(caught: pytest.ExceptionInfo) -> str:
    line = str(caught.value)
    assert "\n" not in line and ": given " in line and "; accepted: " in line
    return line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimand": "success"}, "E0_gain: given success; accepted: an estimand that may be 0"),
        ({"role": "control", "estimand": "success"}, "a control of success; accepted: a control of sequentiality"),
        ({"test": "tost", "direction": "equivalent"}, "tost of gain_of_steps; accepted: tost of sequentiality"),
    ],
)
def test_no_null_is_made_for_what_has_none(maze, changes, message):
    with pytest.raises(Refused) as caught:
        planted.null_value(BY_ID["E0_gain"] | changes, maze)
    assert message in one_line(caught)


def test_a_bound_out_of_reach_is_refused(maze):
    far = CONTROL | {"smallest_effect": {"value": 5.0, "unit": "kappa"}}
    with pytest.raises(Refused, match="E1_control: given kappa 5; accepted: a kappa that shifts"):
        planted.control_maker(far, maze)


def test_populations_that_cannot_be_drawn_from_are_refused():
    joint, other = features("joint"), features("frame_by_frame")
    for given, message in [
        ([], "features: given none"),
        ([joint.drop_vars("active")], "joint/maze features: active: given no such variable"),
        ([joint.drop_vars("difficulty")], "joint/maze features: difficulty: given no such variable"),
        ([joint.isel(case=[0, 1])], "joint/maze features: case: given 2 cases; accepted: at least 3"),
        ([joint, other.isel(case=slice(5))], "frame_by_frame/maze features: case: given others"),
        ([joint, other.isel(seed=[0])], "frame_by_frame/maze features: seed: given others"),
    ]:
        with pytest.raises(Refused) as caught:
            planted.populations(given)
        assert message in one_line(caught)
