"""Training, pilot and confirmatory cases never meet: neither their seeds nor what they show."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainofsteps import seeds, worlds

CASES_A_PURPOSE = 60
indices = st.integers(0, seeds.BLOCK - 1)
purposes = st.sampled_from(seeds.PURPOSES)


@pytest.fixture(scope="module", params=worlds.families())
def first_frames(request) -> dict[str, list[np.ndarray]]:
    """First frames of a family's cases by purpose, difficulties in turn."""
    levels = worlds.difficulties(request.param)
    return {
        purpose: [
            worlds.draw_case(request.param, seeds.seed_of(purpose, index), levels[index % len(levels)]).first_frame
            for index in range(CASES_A_PURPOSE)
        ]
        for purpose in seeds.PURPOSES
    }


def test_purposes_share_no_picture(first_frames):
    shown = {purpose: {frame.tobytes() for frame in frames} for purpose, frames in first_frames.items()}
    for one, other in combinations(seeds.PURPOSES, 2):
        assert not shown[one] & shown[other], (one, other)


def test_every_drawn_picture_belongs_to_its_purpose(first_frames):
    for purpose, frames in first_frames.items():
        assert {seeds.purpose_of_content(frame) for frame in frames} == {purpose}


@given(one=purposes, other=purposes, first=indices, second=indices)
def test_seeds_meet_only_for_the_same_purpose_and_index(one, other, first, second):
    same = seeds.seed_of(one, first) == seeds.seed_of(other, second)
    assert same == ((one, first) == (other, second))


@given(purpose=purposes, index=indices)
def test_seed_tells_its_purpose(purpose, index):
    assert seeds.purpose_of_seed(seeds.seed_of(purpose, index)) == purpose


def test_blocks_meet_edge_to_edge():
    assert seeds.seed_of("training", seeds.BLOCK - 1) + 1 == seeds.seed_of("pilot", 0)
    assert seeds.seed_of("pilot", seeds.BLOCK - 1) + 1 == seeds.seed_of("confirmatory", 0)


@pytest.mark.parametrize("index", [-1, seeds.BLOCK])
def test_index_outside_the_block_is_refused(index):
    with pytest.raises(ValueError, match=f"index: {index}; accepted: 0 to {seeds.BLOCK - 1}"):
        seeds.seed_of("pilot", index)


def test_unknown_purpose_is_refused():
    with pytest.raises(ValueError, match="purpose: 'test'; accepted: training, pilot, confirmatory"):
        seeds.seed_of("test", 0)


@pytest.mark.parametrize("seed", [-1, 3 * seeds.BLOCK])
def test_seed_of_no_purpose_is_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        seeds.purpose_of_seed(seed)


def test_content_counts_and_not_its_layout():
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    turned = np.asfortranarray(frame)
    assert seeds.purpose_of_content(frame) == seeds.purpose_of_content(turned)


def test_pictures_spread_over_the_purposes_as_stated():
    rng = np.random.default_rng(0)
    owners = [seeds.purpose_of_content(frame) for frame in rng.integers(0, 256, (2000, 8, 8, 3), np.uint8)]
    shares = {purpose: owners.count(purpose) / len(owners) for purpose in seeds.PURPOSES}
    assert shares == pytest.approx({"training": 0.75, "pilot": 0.125, "confirmatory": 0.125}, abs=0.03)
