"""Plans without symbolic truth: known motion, known commitment, known numbers of candidates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainofsteps.readout import motion_energy as motion
from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.refusal import Refused

GRID = (8, 8)


def discs(*places, size=32):
    """A black picture with white squares of 4 pixels at cells (row, col) of 8 x 8."""
    picture = np.zeros((size, size, 3), np.uint8)
    for row, col in places:
        picture[4 * row : 4 * row + 4, 4 * col : 4 * col + 4] = 255
    return picture


def walk(*places):
    return np.stack([discs(place) for place in places])


def test_a_cell_that_changes_is_where_the_mover_is_and_was():
    maps = motion.change_map(walk((0, 0), (0, 1), (0, 2)), *GRID)
    assert maps.shape == (3, *GRID) and not maps[0].any()
    assert np.flatnonzero(maps[1]).tolist() == [0, 1] and np.flatnonzero(maps[2]).tolist() == [0, 2]
    assert maps.max() == 1
    energy = motion.motion_energy(walk((0, 0), (0, 1), (0, 2)), *GRID)
    assert energy[0, :4].tolist() == [1, 2, 1, 0] and energy.sum() == 4


def test_cells_need_not_divide_the_picture():
    maps = motion.change_map(np.stack([np.zeros((31, 33, 3), np.uint8), np.full((31, 33, 3), 255, np.uint8)]), 4, 5)
    assert np.allclose(maps[1], 1)
    for rows, cols in ((0, 5), (4, 34)):
        with pytest.raises(Refused, match="accepted: 1 to"):
            motion.change_map(np.zeros((2, 31, 33, 3), np.uint8), rows, cols)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_a_cosine_knows_no_scale_and_stays_within_one(seed, scale):
    rng = np.random.default_rng(seed)
    one, other = rng.random((2, 4, 3, 3))
    assert np.allclose(motion.cosine(scale * one, other), motion.cosine(one, other))
    assert np.allclose(motion.cosine(one, one), 1) and (motion.cosine(one, other) <= 1 + 1e-9).all()
    nothing = np.zeros_like(one)
    assert (motion.cosine(nothing, nothing) == 1).all() and (motion.cosine(one, nothing) == 0).all()


@pytest.mark.parametrize(
    ("curve", "step"),
    [([0.2, 0.5, 0.95, 1.0], 2), ([0.95, 0.5, 0.95, 1.0], 2), ([1, 1, 1, 1], 0), ([0.1, 0.2, 0.3, 1], 3)],
)
def test_settled_is_what_does_not_move_again(curve, step):
    assert motion.commitment_step(np.array(curve)) == step
    assert motion.commitment_step(np.array([curve, curve]).T).tolist() == [step, step]


def test_ghosts_are_counted():
    scene = discs()
    assert motion.count_candidates(scene, scene) == 0
    assert motion.count_candidates(discs((1, 1)), scene) == 1
    assert motion.count_candidates(discs((1, 1), (5, 5), (1, 6)), scene) == 3
    assert motion.count_candidates(discs((1, 1), (2, 2)), scene) == 1  # they touch
    faint = (discs((1, 1), (5, 5)) * 0.1).astype(np.uint8)
    assert motion.count_candidates(faint, scene) == 0


def test_what_moves_is_no_background():
    video = walk((0, 0), (0, 1), (0, 2), (0, 3))
    assert not motion.background_of(video).any()
    ghosts = np.maximum(video, walk((0, 0), (7, 1), (7, 2), (7, 3)))
    features = motion.motion_features(np.stack([ghosts, video]), video, *GRID)
    assert features["candidates"].values.tolist() == [[1, 2, 2, 2], [1, 1, 1, 1]]


def ground_truths(family, count=8):
    cases = case_dataset(family, "pilot", 510000, count)
    return [case_of(cases, case_id) for case_id in cases["case"].values]


def test_frames_in_turn_commit_in_turn_and_frames_together_together():
    """What E1 asks, on videos whose commitment is made: one that fills in frame by frame, one that turns at once."""
    for case in ground_truths("maze"):
        truth = case.video
        wrong = truth[:1].repeat(len(truth), 0)
        in_turn = np.stack([np.concatenate([truth[: f + 1], wrong[f + 1 :]]) for f in range(len(truth))])
        at_once = np.stack([wrong] * 4 + [truth] * 5)
        steps = motion.motion_features(in_turn, truth, *GRID)["commitment_step"].values
        assert (np.diff(steps[1:]) >= 0).all() and steps[-1] > steps[1]
        features = motion.motion_features(at_once, truth, *GRID)
        moves = features["commitment"].isel(step=0).values < 1
        assert set(features["commitment_step"].values[moves]) == {4}
        assert features["agreement"].values[-1] > 0.999 and features["agreement"].values[0] == 0
        assert features["motion_commitment"].values[:4].tolist() == [0] * 4


def test_frames_are_taken_at_even_distances():
    truth = walk(*((0, col) for col in range(8)))
    features = motion.motion_features(truth[None, ::7], truth, *GRID)
    assert features.sizes["frame"] == 2 and features["agreement"].item() == pytest.approx(1)
    with pytest.raises(Refused, match=r"ground_truth: given pictures of \(32, 32, 3\)"):
        motion.motion_features(truth[None], truth[:, :16], *GRID)
