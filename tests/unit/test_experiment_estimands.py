"""Estimands of the experiments on small datasets whose values are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given as anything
from hypothesis import strategies as st

from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.score_controls import DISTURBANCES, disturbed, score_controls
from chainofsteps.refusal import Refused
from chainofsteps.statistics import estimands
from chainofsteps.statistics import experiment_estimands as of_experiments
from chainofsteps.statistics.claims import ESTIMANDS, POOLED
from chainofsteps.statistics.variance import variance_table
from chainofsteps.statistics.verdicts import draw_sample

FRAMES = 5  # the given one and four free ones
STEPS = 4


def dataset(arms, families=("maze", "maze", "maze_loop"), **variables):
    """A dataset over (case, seed, arm) with one seed."""
    cases = [f"case-{number}" for number in range(len(families))]
    return xr.Dataset(
        variables,
        coords={
            "case": cases,
            "family": ("case", np.array(families, object)),
            "seed": [0],
            "arm": [f"arm {number}" for number in range(arms)],
        },
        attrs={"model_id": "mini", "experiment": "tried"},
    )


def by_arm(rows):
    """(case, seed, arm) of rows (case, arm)."""
    return ("case", "seed", "arm"), np.array(rows, float)[:, None]


def erasures(places, families=("maze", "maze", "maze_loop"), scope="cell", **variables):
    """A clean arm, then one for each (steps, frames) erased."""
    masks = np.zeros((1 + len(places), STEPS, FRAMES), int)
    for arm, (steps, frames) in enumerate(places, start=1):
        masks[arm][np.ix_(steps, frames)] = 1
    scopes = ["clean", *(scope if isinstance(scope, list) else [scope] * len(places))]
    return dataset(
        1 + len(places), families, erased=(("arm", "step", "latent_frame"), masks), **variables
    ).assign_coords(
        kind=("arm", np.array(["clean", *["erase"] * len(places)], object)),
        scope=("arm", np.array(scopes, object)),
    )


FREE = [1, 2, 3, 4]
BY_STEP = [([step], FREE) for step in range(STEPS)]


def test_all_estimands_of_experiments_are_known_to_the_claims():
    assert set(of_experiments.PER_CASE) < set(ESTIMANDS) == set(estimands.PER_CASE)


def test_damage_by_steps():
    correct = by_arm([[1, 0, 0, 0.5, 1], [1, 1, 1, 1, 1], [1, 0.5, 1, 1, 1]])
    families = ("maze", "maze", "pattern_grey, solved")
    given = erasures(BY_STEP, families, "step", correct=correct)
    # Lost: 1, 1, .5 and 0; nothing; .5 at step 0 of the floor.
    assert of_experiments.step_damage(given, "erase").values == pytest.approx([0.625, 0, 0.125])
    peak = of_experiments.sensitivity_peak(given, "erase")  # steps 1 and 2 against 0 and 3
    assert peak.values == pytest.approx([(1 + 0.5) / 2 - (1 + 0) / 2, 0, -0.25])


def test_step_less_frame():
    places = [([0], FREE), ([1], FREE), ([0, 1, 2, 3], [2])]
    # Right frames by case and arm; the given frame is always right and not asked.
    right = [[[1] * 5, [1, 0, 0, 1, 1], [1, 0, 1, 1, 1], [1, 1, 0, 1, 1]]]
    right += [[[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]]
    right += [[[1] * 5, [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1] * 5]]
    frame_correct = (("case", "seed", "arm", "frame"), np.array(right)[:, None])
    given = erasures(places, scope=["step", "step", "frame"], frame_correct=frame_correct)
    # Steps lose 2 and 1 of four frames, the erased frame is lost alone; nothing against two; all against nothing.
    assert of_experiments.step_minus_frame(given, "erase").values == pytest.approx([0.375 - 0.25, -0.5, 1])
    with pytest.raises(Refused, match="no step of kind replace"):
        of_experiments.step_minus_frame(given, "replace")


def test_a_grid_has_all_its_cells_in_order():
    places = [([step], [frame]) for frame in (1, 3) for step in (0, 2)]  # frames outside, steps inside
    lost = by_arm([[0, 1, 2, 3, 4]] * 3)
    grid = of_experiments.damage_grid(erasures(places, others_lost=lost), "erase")
    assert grid.dims == ("case", "step", "frame") and grid["step"].values.tolist() == [0, 2]
    assert grid.isel(case=0).values.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(Refused, match="3 cells; accepted: all 2 x 2"):
        of_experiments.damage_grid(erasures(places[:3], others_lost=by_arm([[0, 1, 2, 3]] * 3)), "erase")


def test_shares_of_a_grid():
    steps = np.broadcast_to(np.array([0, 1, 5])[:, None], (3, 3)).astype(float)
    assert of_experiments.grid_shares(steps) == pytest.approx([1, 0, 0])
    assert of_experiments.grid_shares(steps + 2 * steps.T) == pytest.approx([0.2, 0.8, 0])
    assert of_experiments.grid_shares(np.eye(2)) == pytest.approx([0, 0, 1])
    assert of_experiments.grid_shares(np.ones((2, 2))).tolist() == [0, 0, 0]


def test_variance_of_a_whole_grid_is_shared_out_and_of_another_not():
    places = [([step], [frame]) for step in (0, 2) for frame in (1, 3)]
    lost = np.array([[0, 1, 1, 3, 3]] * 6) + np.random.default_rng(0).normal(0, 0.1, (6, 5))
    given = erasures(places, ["maze"] * 6, others_lost=by_arm(lost)).assign_attrs(experiment="erasure")
    table = variance_table([given], "erase", 400).set_index("part")
    assert table["share"]["step"] > 0.9 and table["ci_low"]["step"] > 0.9 > table["ci_high"]["frame"]
    assert set(table["family"]) == {"all"} and set(table["n_cases"]) == {6}
    rest = erasures(places[:3], ["maze"] * 6, others_lost=by_arm(lost[:, :4])).assign_attrs(experiment="erasure")
    assert variance_table([rest], "erase", 400).empty


def test_each_case_shares_out_its_own_grid():
    places = [([step], [frame]) for step in (0, 2) for frame in (1, 3)]
    # By step, by frame, one cell alone, nothing; the floor by step.
    lost = by_arm([[0, 0, 0, 1, 1], [0, 0, 1, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]])
    families = ("maze", "maze", "maze", "maze", "pattern_grey, solved")
    given = erasures(places, families, others_lost=lost)
    values = of_experiments.step_minus_frame_share(given, "erase")
    assert values.values == pytest.approx([1, -1, 0, 1])
    assert values["case"].values.tolist() == [given["case"].values[place] for place in (0, 1, 2, 4)]
    wide = [([step], [frame]) for step in (0, 2) for frame in (1, 3, 4)]
    with pytest.raises(Refused, match="cells of 2 steps and 3 frames; accepted: as many steps as frames"):
        of_experiments.step_minus_frame_share(erasures(wide, others_lost=by_arm([[0] * 7] * 3)), "erase")


@anything(seed=st.integers(0, 1000))
def test_chance_adds_to_both_shares_alike(seed):
    """Steps and frames exchanged, the value changes its sign: cells that differ by chance have a mean of 0."""
    lost = np.random.default_rng(seed).integers(0, 3, (3, 3, 3)) / 7 + np.eye(3) / 70  # no grid is flat
    places = [([step], [frame]) for step in (0, 1, 2) for frame in (1, 2, 3)]

    def values(grids):
        with_clean = np.concatenate([np.zeros((3, 1)), grids.reshape(3, -1)], axis=1)
        return of_experiments.step_minus_frame_share(erasures(places, others_lost=by_arm(with_clean)), "erase").values

    assert values(lost) == pytest.approx(-values(lost.swapaxes(1, 2)))


@pytest.mark.parametrize(("before", "after", "value"), [(0, 1, 1), (1, 0, -1), (1, 1, 0), (1, 3, 0.5)])
def test_direction_of_damage(before, after, value):
    change = np.zeros((3, 1, 2, FRAMES))
    change[:2, 0, 1] = [9, before, 7, after, 5]  # frame 2 erased: 1 and 3 lie at equal distance
    # The second cell changes nothing, the third much more, one way for the other: each counts alike.
    places = [([1], [2]), ([2], [2]), ([3], [2])][: 1 if before == after else None]
    change = np.concatenate([change, np.zeros((3, 1, len(places) - 1, FRAMES))], axis=2)
    change[:2, 0, 3:] = [9, 100 * before, 7, 100 * after, 5]
    given = erasures(places, frame_change=(("case", "seed", "arm", "latent_frame"), change))
    values = of_experiments.direction_of_damage(given, "erase")
    assert values["case"].values.tolist() == ["case-0", "case-1"]  # nothing changed in the third
    assert values.values == pytest.approx([value, value])


def test_early_persistence_asks_the_first_half_at_the_last_step():
    unlike = np.zeros((3, 1, 1 + STEPS, STEPS))
    unlike[:, 0, 1:, -1] = [0.04, 0.16, 0.9, 0.9]
    given = erasures(BY_STEP, scope="step", dissimilarity_debiased=(("case", "seed", "arm", "step"), unlike))
    assert of_experiments.early_persistence(given, "erase").values == pytest.approx([0.3] * 3)


def planted(follows, at=2):
    """A clean arm, a plan planted in a frame, its base rate; the plan differs in all but the later frames of case 2."""
    shape = (3, 1, 3, FRAMES)
    differs = np.ones(shape, int)
    differs[2, :, :, 3:] = 0
    side = np.array([[0] * FRAMES, *[np.sign(np.arange(FRAMES) - at)] * 2])
    return dataset(
        3,
        follows=(("case", "seed", "arm", "frame"), np.broadcast_to(follows, shape).copy()),
        differs=(("case", "seed", "arm", "frame"), differs),
        side=(("case", "arm", "frame"), np.stack([side] * 3)),
    ).assign_coords(written=("arm", np.array(["clean", "plan", "resample"], object)), frame=np.arange(FRAMES))


def test_plant_lead_is_later_less_earlier_at_equal_distance_above_the_base_rate():
    follows = np.zeros((3, 1, 3, FRAMES), int)
    follows[0, 0, 1] = [1, 0, 1, 1, 0]  # the frame behind, not the one before
    follows[1, 0, 1] = [1, 1, 1, 1, 1]  # all
    follows[1, 0, 2] = [1, 1, 0, 0, 1]  # the frame before, without any plant; frame 4 has none at its distance
    values = of_experiments.plant_lead(planted(follows))
    assert values["case"].values.tolist() == ["case-0", "case-1"]  # no pair to ask of the third
    assert values.values == pytest.approx([1, 1])


@pytest.mark.parametrize("at", [1, FRAMES - 1, FRAMES])
def test_a_plant_without_a_free_frame_on_either_side_leads_nothing(at):
    assert not of_experiments.plant_lead(planted(np.ones((3, 1, 3, FRAMES), int), at)).sizes["case"]


def test_where_no_case_has_a_value_the_sample_is_empty():
    """As where all plans that are planted part for one frame alone; the row then says how many are needed."""
    given = planted(np.ones((3, 1, 3, FRAMES), int), 1)
    sample = draw_sample({"estimand": "plant_lead"}, POOLED, [given])
    assert (len(sample.values), sample.left_out) == (0, 3)


@anything(st.lists(st.booleans(), min_size=6, max_size=6))
def test_plant_lead_changes_its_sign_where_time_is_turned_round(following):
    """Neither direction is favoured: three free frames on each side of the planted one, mirrored."""
    by_frame = ("case", "seed", "arm", "frame")

    def lead(free):
        follows = np.zeros((1, 1, 3, 8), int)
        follows[0, 0, 1] = [1, *free[:3], 1, *free[3:]]
        made = dataset(
            3,
            ("maze",),
            follows=(by_frame, follows),
            differs=(by_frame, np.ones_like(follows)),
            side=(("case", "arm", "frame"), np.sign(np.arange(8) - 4)[None, None].repeat(3, 1)),
        )
        written = ("arm", np.array(["clean", "plan", "resample"], object))
        return of_experiments.plant_lead(made.assign_coords(written=written, frame=np.arange(8))).item()

    assert lead(following[::-1]) == pytest.approx(-lead(following))


def test_middle_swap():
    layers = [-1, 0, 0, 4, 4, 4, 4]
    donors = ["clean", *["other_answer", "same_answer"] * 3]
    first, last = [-1, *[0] * 6], [-1, 0, 0, 0, 0, 3, 3]
    flips = by_arm([[0, 0, 0, 1, 0, 0, 1], [0, 1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]])
    given = dataset(7, flips=flips).assign_coords(
        swapped_layer=("arm", layers),
        donor=("arm", np.array(donors, object)),
        first_step=("arm", first),
        last_step=("arm", last),
    )
    assert of_experiments.middle_swap(given, [4]).values == pytest.approx([1, -1, 0])  # swaps of all steps do not count
    with pytest.raises(Refused, match=r"layers \[5\]"):
        of_experiments.middle_swap(given, [5])


def test_object_rise():
    ratio = np.array([[[1, 1, 2, 4]], [[1, 1, 1, 1]], [[0, 0, 0, 0]]], float)[:, None]
    given = dataset(1, object_ratio=(("case", "seed", "observed_step", "layer"), ratio)).assign_coords(
        depth=("layer", [0, 1 / 3, 2 / 3, 1])
    )
    values = of_experiments.object_rise(given)
    assert values.values == pytest.approx([2, 0]) and values["case"].values.tolist() == ["case-0", "case-1"]


@pytest.mark.parametrize(
    ("against", "gains"), [("clean", [1, 0, 0]), ("one_stream", [0, 1, 0]), ("vote", [1, 1, 0]), ("noise", [0, 0, 1])]
)
def test_ensemble_gain(against, gains):
    names = ["clean", "average of layers 2-3", "average of noise", "one stream, 10 steps", "vote of 3, 8 steps"]
    names.append("vote of 3, 4 steps")
    right = by_arm([[0, 1, 1, 1, 0, 1], [1, 1, 1, 0, 0, 1], [1, 1, 0, 1, 1, 1]])
    given = dataset(6, correct=right).assign_coords(arm=names)
    assert of_experiments.ensemble_gain(given, [2, 3], against).values.tolist() == gains
    with pytest.raises(Refused, match="layers 4-5"):
        of_experiments.ensemble_gain(given, [4, 5], against)


def ordered():
    arms = [("joint", 8, 9), ("joint", 2, 9), ("joint", 1, 9), ("joint", 8, 5), ("frame_by_frame", 1, 9)]
    given = dataset(
        5,
        correct=by_arm([[1, 0, 0, 0, 1], [1, 1, 0, 0, 1], [1, 1, 1, 0, 0]]),
        clean_begins=by_arm([[1] * 5] * 3),
        beginning_correct=by_arm([[1, 0, 0, 0, 1], [1, 1, 0, 1, 1], [1, 1, 1, 1, 0]]),
    )
    order, steps, frames = zip(*arms, strict=True)
    return given.assign_coords(
        sampling_order=("arm", np.array(order, object)), steps=("arm", list(steps)), frames_made=("arm", list(frames))
    )


def test_fewer_steps_and_fewer_frames():
    given = ordered()
    assert of_experiments.steps_loss(given, 2).values.tolist() == [1, 0, 0]
    assert of_experiments.frames_loss(given, 5).values.tolist() == [1, 0, 0]
    assert of_experiments.steps_minus_frames(given, 1, 5).values.tolist() == [0, 1, 0]
    with pytest.raises(Refused, match="steps: given 3; accepted: 1, 2, 8"):
        of_experiments.steps_loss(given, 3)
    with pytest.raises(Refused, match="frames_made: given 7; accepted: 5, 9"):
        of_experiments.frames_loss(given, 7)


def test_depth_is_paired_by_case():
    given = ordered()
    other = given.isel(case=[2, 0, 1]).copy(deep=True)
    other["correct"][:, 0, 0] = 0
    assert of_experiments.depth_difference(given, other).values.tolist() == [1, 1, 1]
    with pytest.raises(Refused, match="case: given other cases"):
        of_experiments.depth_difference(given, other.isel(case=[0, 1]))


def test_damage_is_counted_above_the_floor():
    families = ("maze",) * 3 + ("maze_loop",) * 3 + ("pattern_grey, solved",) * 2
    lost = np.array([1, 1, 0.5, 0, 0, 0, 0.25, 0.75])
    correct = by_arm(np.column_stack([np.ones(8), *[1 - lost] * 4]))
    given = erasures(BY_STEP, families, "step", correct=correct)
    claim = {"estimand": "step_damage", "settings": {"kind": "erase"}}
    for family, cases, floorless in (("maze", 3, 2.5 / 3), (POOLED, 6, 2.5 / 6)):
        sample = draw_sample(claim, family, [given])
        assert sample.parts.mean() == pytest.approx(floorless - 0.5)
        assert (len(sample.values), sample.floor, sample.left_out) == (cases + 2, 2, 0)
        assert sample.strata.tolist() == [0] * 3 + [1] * (cases - 3) + [cases // 3] * 2
    two = given.isel(case=[0, 1, 2, 6, 7, 3, 4, 5])
    two["family"] = ("case", ["maze"] * 3 + ["largest, solved"] * 2 + ["pattern_grey, solved"] * 3)
    # Two cases show no spread of their own, so they stand with the other floor.
    assert draw_sample(claim, POOLED, [two]).strata.tolist() == [0] * 3 + [1] * 5
    more = two.isel(case=[0, 1, 2, 3, 4, 3, 5, 6, 7]).assign_coords(case=list("abcdefghi"))
    assert draw_sample(claim, POOLED, [more]).strata.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    none = draw_sample(claim, POOLED, [given.isel(case=slice(6))])
    assert none.values == pytest.approx(lost[:6]) and none.floor == 0


# Features


def read(**variables):
    return xr.Dataset(
        variables,
        coords={"case": ["a", "b"], "seed": [0], "step": [0, 1, 2], "frame": [0, 1, 2]},
        attrs={"model_id": "mini", "experiment": "joint", "family": "maze"},
    )


def test_entropy_falls_from_the_first_estimate_to_the_last():
    entropy = np.zeros((2, 1, 3, 3))
    entropy[0, 0, 0] = [9, 1, 3]
    entropy[0, 0, 2] = [9, 0, 1]
    values = estimands.entropy_fall(read(entropy=(("case", "seed", "step", "frame"), entropy)))
    assert values.values == pytest.approx([1.5, 0])


def test_changes_to_right_and_to_wrong_are_held_against_each_other():
    right = np.zeros((2, 1, 3, 3), int)
    right[0, 0] = [[1, 0, 0], [1, 1, 1], [1, 1, 0]]  # two to right, one to wrong
    values = estimands.correction_balance(read(frame_correct=(("case", "seed", "step", "frame"), right)))
    assert values.values == pytest.approx([1 / 3, 0])


@pytest.mark.parametrize(("mass", "score"), [(0.5, 0), (1, 1 + np.log2(0.99)), (0.75, 1 + np.log2(0.75))])
def test_early_masses_foretell_the_branch_taken(mass, score):
    occupancy = np.zeros((2, 1, 3, 3, 8, 8))
    occupancy[0, 0, 0, 1:, 0, 3] = mass
    occupancy[0, 0, 0, 1:, 0, 5] = max(1 - mass, 1e-6)
    plan = np.full((2, 1, 3, 3), 3)
    plan[..., 2] = 20  # neither of the two
    given = read(
        occupancy=(("case", "seed", "step", "frame", "row", "col"), occupancy),
        plan=(("case", "seed", "step", "frame"), plan),
    )
    values = estimands.early_branch_score(given)
    assert values["case"].values.tolist() == ["a"] and values.values == pytest.approx([score], abs=1e-4)


# Score controls


def test_score_and_reader_hold_on_every_case():
    given = score_controls(case_dataset("maze", "pilot", 0, 4))
    assert (of_experiments.score_control(given) == 1).all()
    broken = given.copy(deep=True)
    broken["score"].loc[{"case": given["case"][0], "plan_kind": "reversed"}] = 1
    broken["read_right"].loc[{"case": given["case"][1], "disturbance": "noisy"}] = 0
    broken["score"].loc[{"case": given["case"][2], "plan_kind": "ground_truth"}] = 0.5
    assert of_experiments.score_control(broken).values.tolist() == [0, 0, 0, 1]


def test_pictures_are_disturbed_alike_each_time():
    video = case_dataset("maze", "pilot", 0, 3)["ground_truth"].values[0]
    for how in DISTURBANCES:
        assert np.array_equal(disturbed(video, how, 1), disturbed(video, how, 1))
        assert (how == "sharp") == np.array_equal(disturbed(video, how, 1), video)
