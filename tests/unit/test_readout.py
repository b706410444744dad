"""Readout: commitment, entropy, and features of trajectories whose plans are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chainofsteps import datasets, worlds
from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.readout.features import (
    BRANCHES,
    WAITING,
    agreement,
    commitment_step,
    extract_features,
    state_entropy,
    state_masses,
)
from chainofsteps.readout.success import video_scores
from chainofsteps.refusal import Refused

STEPS = 5
SEEDS = (3, 8)
# Step from which the clean estimates of a case's streams show the ground truth, by case and seed.
SETTLED = np.array([[0, 2], [1, 4], [3, 3], [0, 0], [4, 1], [2, 2]])

plans = arrays(
    np.int16, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4)), elements=st.integers(0, 2)
)  # (stream, step, frame)


# Commitment


@pytest.mark.parametrize(
    ("states", "tau"),
    [([7], 0), ([7, 7, 7], 0), ([1, 7, 7], 1), ([1, 2, 7], 2), ([7, 1, 7], 2), ([7, 7, 1], 2), ([1, 7, 1, 7, 7], 3)],
)
def test_commitment_of_one_frame(states, tau):
    assert commitment_step(np.array(states)[:, None]).tolist() == [tau]


def test_commitment_of_frames_in_turn():
    plan = np.array([[5, 0, 0], [5, 6, 0], [5, 6, 7]])
    assert commitment_step(plan).tolist() == [0, 1, 2]


@given(plan=plans)
def test_commitment_is_the_first_step_of_the_last_run(plan):
    tau = commitment_step(plan)
    assert tau.shape == (plan.shape[0], plan.shape[2])
    assert tau.dtype == np.int16
    for (stream, frame), step in np.ndenumerate(tau):
        states = plan[stream, :, frame]
        assert np.all(states[step:] == states[-1])
        assert step == 0 or states[step - 1] != states[-1]


@given(plan=plans, names=st.permutations([0, 1, 2]))
def test_commitment_does_not_depend_on_the_names_of_states(plan, names):
    assert np.array_equal(commitment_step(np.array(names)[plan]), commitment_step(plan))


@given(plan=plans)
def test_commitment_is_of_each_frame_alone(plan):
    assert np.array_equal(commitment_step(plan[..., ::-1]), commitment_step(plan)[..., ::-1])


# Entropy


@pytest.mark.parametrize("states", [1, 2, 8, 65, 391])
def test_entropy_of_the_uniform_distribution(states):
    assert state_entropy(np.full(states, 1 / states)) == pytest.approx(np.log2(states))


def test_entropy_of_a_point_is_0():
    masses = np.zeros((2, 65))
    masses[0, 4] = masses[1, 64] = 1
    assert state_entropy(masses).tolist() == [0, 0]


@given(masses=arrays(np.float64, 12, elements=st.floats(0.01, 1)))
def test_entropy_lies_between_those_bounds_and_ignores_order(masses):
    masses = masses / masses.sum()
    entropy = state_entropy(masses)
    assert 0 <= entropy <= np.log2(12) + 1e-9
    assert state_entropy(np.sort(masses)) == pytest.approx(float(entropy))


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_masses_over_states_sum_to_1_with_the_absent_mover_last(weight):
    mass = np.zeros((2, 8, 8))
    mass[1, 0, 3] = weight
    masses = state_masses(mass)
    assert masses.shape == (2 * 64 + 1,)
    assert masses.sum() == pytest.approx(1)
    assert masses[64 + 3] == weight
    assert masses[-1] == 1 - weight


def test_a_plan_is_held_against_the_nearest_right_answer():
    answers = np.array([[1, 2, 3, 4], [1, 5, 6, 4]])
    plans = np.array([[1, 5, 6, 4], [1, 5, 3, 9], [1, 2, 9, 9], [7, 7, 7, 4], [WAITING] * 4])
    right = agreement(plans, answers)
    assert right[0].all()
    assert right[1].tolist() in ([True, False, True, False], [True, True, False, False])  # never both halves
    assert right[2].tolist() == [True, True, False, False]
    assert right[3].tolist() == [False, False, False, True]
    assert not right[4].any()


# Cases


@pytest.fixture(scope="module", params=worlds.families())
def cases(request) -> xr.Dataset:
    return case_dataset(request.param, "pilot", 0, 6)


def test_difficulties_take_turns(cases):
    levels = worlds.difficulties(cases.attrs["family"])
    assert cases["difficulty"].values.tolist() == [levels[index % len(levels)] for index in range(6)]


def test_cases_come_back_from_their_dataset(cases):
    for case_id in cases["case"].values:
        case = case_of(cases, case_id)
        row = cases.sel(case=case_id)
        assert case.case_id == case_id
        assert case.seed == row["case_seed"]
        assert case.prompt == row["prompt"]
        assert np.array_equal(case.plan, row["plan"])
        assert np.array_equal(case.first_frame, row["first_frame"])
        assert np.array_equal(case.video, row["ground_truth"])


def test_a_later_block_of_cases_is_the_tail_of_a_longer_one(cases):
    tail = case_dataset(cases.attrs["family"], "pilot", 3, 3)
    assert tail["case"].values.tolist()[1:] == cases["case"].values.tolist()[4:]


# Features


@pytest.fixture(scope="module")
def trajectories(cases) -> xr.Dataset:
    """Clean estimates that show the first frame for ever before a step, and the ground truth from it on."""
    truth = cases["ground_truth"].values[:, None, None]
    still = np.broadcast_to(cases["first_frame"].values[:, None, None, None], truth.shape)
    step = np.arange(STEPS)[None, None, :, None, None, None, None]
    estimate = np.where(step >= SETTLED[..., None, None, None, None, None], truth, still).astype(np.uint8)
    levels = np.repeat(np.linspace(1, 0.2, STEPS, dtype=np.float32)[:, None], 9, axis=1)
    run = dict.fromkeys(("model_id", "model_revision", "scheduler", "dtype", "experiment"), "hand-made")
    return xr.Dataset(
        {
            "difficulty": cases["difficulty"],
            "sigma": (("step", "latent_frame"), levels),
            "timestep": (("step", "latent_frame"), levels * 1000),
            "active": (("step", "latent_frame"), np.ones((STEPS, 9), np.int8)),
            "clean_estimate": (("case", "seed", "step", "frame", "y", "x", "channel"), estimate),
            "final_latents": (
                ("case", "seed", "latent_channel", "latent_frame", "latent_row", "latent_col"),
                np.zeros((6, 2, 8, 9, 8, 8), np.float32),
            ),
        },
        coords={"case": cases["case"], "seed": list(SEEDS), "channel": cases["channel"]},
        attrs=datasets.attributes({}, **run, order="joint", family=cases.attrs["family"], purpose="pilot"),
    )


@pytest.fixture(scope="module")
def features(cases, trajectories, tmp_path_factory) -> xr.Dataset:
    """Features as the workflow makes them: each dataset written and read by its schema."""
    folder = tmp_path_factory.mktemp("features")
    for name, dataset in (("cases", cases), ("trajectories", trajectories)):
        datasets.write(dataset, folder / f"{name}.nc", name)
    read = [datasets.read(folder / f"{name}.nc", name) for name in ("cases", "trajectories")]
    datasets.write(extract_features(*read), folder / "features.nc", "features")
    return datasets.read(folder / "features.nc", "features")


def test_features_keep_the_run(features, trajectories):
    assert features.attrs == trajectories.attrs
    assert features["seed"].values.tolist() == list(SEEDS)
    assert np.array_equal(features["case"], trajectories["case"])
    assert np.array_equal(features["sigma"], trajectories["sigma"])


def test_frames_are_right_from_the_step_that_shows_the_truth(features, cases):
    settled = np.arange(STEPS) >= SETTLED[..., None]
    stays = (cases["plan"] == cases["plan"].isel(frame=0)).values[:, None, None, :]
    assert np.array_equal(features["frame_correct"].values, settled[..., None] | stays)


def test_videos_are_right_from_that_step(features):
    settled = np.arange(STEPS) >= SETTLED[..., None]
    assert np.array_equal(features["correct"].values, settled)
    assert np.array_equal(features["reaches_goal"].values, settled)
    assert np.all(features["start_kept"] == 1)
    assert np.all(features["frames_consistent"] == 1)


def test_frames_commit_at_that_step(features, cases):
    stays = (cases["plan"] == cases["plan"].isel(frame=0)).values[:, None, :]
    assert np.array_equal(features["commitment_step"].values, np.where(stays, 0, SETTLED[..., None]))


def test_sharp_pictures_leave_no_doubt(features):
    assert features["entropy"].max() < 1e-2
    assert features["branch_mass"].sizes["branch"] == BRANCHES
    assert features["branch_mass"].isel(branch=0).min() > 0.999
    assert features["scene_error"].max() < 1e-3


def test_occupancy_is_where_the_plan_is(features):
    plan = features["plan"].values
    cell = plan % worlds.STATES_PER_KIND
    flat = features["occupancy"].values.reshape(*plan.shape, -1)
    present = cell != worlds.ABSENT
    assert np.array_equal(flat.argmax(-1)[present], cell[present])
    assert np.all(flat[~present] == 0)


def test_case_that_the_cases_do_not_hold_is_an_error(cases, trajectories):
    with pytest.raises(KeyError):
        extract_features(cases.isel(case=slice(3)), trajectories)


@settings(max_examples=10, deadline=None)
@given(weight=st.floats(0.1, 0.9))
def test_two_plans_at_once_make_two_branches(weight):
    cases = case_dataset("maze", "pilot", 0, 3)
    case = case_of(cases, cases["case"].values[2])
    other = case.render(worlds.control_plans(case)["wrong_answer"])
    masses = state_masses(case.read(weight * (case.video / 255) + (1 - weight) * (other / 255)).mass)
    apart = (case.video != other).any((1, 2, 3))
    branches = np.sort(masses, axis=-1)[..., ::-1][apart]
    assert branches[:, 0] == pytest.approx(max(weight, 1 - weight), abs=0.05)
    assert branches[:, 1] == pytest.approx(min(weight, 1 - weight), abs=0.05)
    bits = -(weight * np.log2(weight) + (1 - weight) * np.log2(1 - weight))
    assert state_entropy(masses)[apart] == pytest.approx(bits, abs=0.05)
    assert state_entropy(masses)[~apart] == pytest.approx(0, abs=1e-2)


# Success


def test_finished_videos_score_as_their_plans_do(cases):
    controls = [worlds.control_plans(case_of(cases, case_id)) for case_id in cases["case"].values]
    videos = np.stack(
        [
            [case_of(cases, case_id).render(plans[name]) for name in ("ground_truth", "static")]
            for case_id, plans in zip(cases["case"].values, controls, strict=True)
        ]
    )
    assert video_scores(cases, videos).tolist() == [[1, 0]] * 6


def test_no_picture_is_drawn_twice():
    """Small worlds repeat themselves; equal cases would count as independent ones."""
    pictures = case_dataset("pattern", "pilot", 0, 60)["first_frame"].values
    assert len({picture.tobytes() for picture in pictures}) == 60


def test_more_cases_than_the_world_holds_are_refused(monkeypatch):
    monkeypatch.setattr("chainofsteps.worlds.pattern.LEVELS", {"easy": (2,)})
    monkeypatch.setattr("chainofsteps.readout.cases._MAX_DRAWS_A_CASE", 2)
    with pytest.raises(Refused, match=r"pattern: cases.count: given 150; accepted: at most \d+"):
        case_dataset("pattern", "pilot", 0, 150)
    with pytest.raises(Refused, match=r"pattern: success.count: given 150; accepted: at most \d+"):
        case_dataset("pattern", "pilot", 0, 150, "easy", field="success.count")
