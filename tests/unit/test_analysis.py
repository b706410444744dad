"""Similarity, energy and probes against definitions written out and data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainofsteps.analysis.energy import object_ratio, token_energy
from chainofsteps.analysis.probes import probe, split_groups
from chainofsteps.analysis.similarity import debiased_cka, debiased_cka_of_pairs, linear_cka
from chainofsteps.refusal import Refused

seeds = st.integers(0, 2**32 - 1)
MEASURES = (linear_cka, debiased_cka)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def gram_cka(x: np.ndarray, y: np.ndarray, debiased: bool) -> float:
    """CKA by its definition on Gram matrices."""
    n = len(x)

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        if not debiased:
            centre = np.eye(n) - 1 / n
            return float(np.trace(k @ centre @ m @ centre))
        k, m = (each - np.diag(np.diag(each)) for each in (k, m))
        total = k.sum() * m.sum() / ((n - 1) * (n - 2))
        return float((np.trace(k @ m) + total - 2 / (n - 2) * (k @ m).sum()) / (n * (n - 3)))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@given(seeds, st.integers(5, 20), st.integers(1, 6), st.integers(1, 6))
def test_cka_is_its_definition_on_gram_matrices(seed, samples, wide, other):
    x = draw(seed, samples, wide)
    y = draw(seed + 1, samples, other) + x @ draw(seed + 2, wide, other)
    assert linear_cka(x, y) == pytest.approx(gram_cka(x, y, debiased=False))
    assert debiased_cka(x, y) == pytest.approx(gram_cka(x, y, debiased=True))


@pytest.mark.parametrize("measure", MEASURES)
@given(seed=seeds)
def test_cka_sees_no_rotation_scale_or_offset(measure, seed):
    x, y = draw(seed, 12, 4), draw(seed + 1, 12, 3)
    rotation, _ = np.linalg.qr(draw(seed + 2, 4, 4))
    assert measure(3 * x @ rotation + 5, y) == pytest.approx(measure(x, y))
    assert measure(y, x) == pytest.approx(measure(x, y))
    assert measure(x, 2 * x @ rotation) == pytest.approx(1)
    assert -1 - 1e-9 <= measure(x, y) <= 1 + 1e-9


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_cka_sees_no_unit(measure, scale):
    x, y = draw(0, 64, 8), draw(1, 64, 8)
    y += x
    assert measure(x, y) > 0.2
    assert measure(scale * x, scale * y) == pytest.approx(measure(x, y))


def test_few_samples_bias_cka_and_not_its_debiased_form():
    x, y = draw(1, 200, 10, 6), draw(2, 200, 10, 6)
    assert linear_cka(x, y).mean() > 0.3
    assert abs(debiased_cka(x, y).mean()) < 0.05


@pytest.mark.parametrize("measure", MEASURES)
def test_leading_axes_broadcast_and_what_does_not_vary_is_like_nothing(measure):
    x, y = draw(1, 3, 1, 8, 2), draw(2, 4, 8, 5)
    values = measure(x, y)
    assert values.shape == (3, 4)
    assert values[2, 1] == pytest.approx(measure(x[2, 0], y[1]))
    assert measure(x, np.ones((8, 5))).tolist() == [[0], [0], [0]]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("constant", [0, 1e-9 / 3, 1 / 3, 1e9 / 3])
def test_a_constant_is_like_nothing_however_its_mean_is_rounded(measure, constant):
    still = np.full((500, 8), constant)
    assert measure(still, draw(0, 500, 8)) == measure(draw(0, 500, 8), still) == measure(still, still) == 0


@pytest.mark.parametrize("x", [np.eye(6), np.eye(6)[:, :1]])
@pytest.mark.parametrize("scale", [1 / 3, 1000])
def test_debiased_similarity_is_0_where_its_own_hsic_is(x, scale):
    assert linear_cka(x, scale * x) == pytest.approx(1)
    assert debiased_cka(x, scale * x) == debiased_cka(scale * x, draw(0, 6, 3)) == 0


@pytest.mark.parametrize("measure", MEASURES)
def test_similarity_refuses(measure):
    with pytest.raises(Refused, match="samples: given 8 and 7"):
        measure(draw(0, 8, 2), draw(0, 7, 2))
    with pytest.raises(Refused, match="NaN or infinity"):
        measure(draw(0, 8, 2), np.full((8, 2), np.nan))


def test_pairs_of_representations_are_compared_as_two_are():
    several = np.stack([draw(seed, 9, 4) for seed in range(3)])
    several[2] = 1
    assert debiased_cka_of_pairs(several) == pytest.approx(debiased_cka(several[:, None], several[None]))
    with pytest.raises(Refused, match="samples: given 3; accepted: at least 4"):
        debiased_cka_of_pairs(several[:, :3])


def test_debiased_similarity_refuses_three_samples():
    with pytest.raises(Refused, match="samples: given 3; accepted: at least 4"):
        debiased_cka(draw(0, 3, 2), draw(1, 3, 2))


def test_energy_is_the_norm_of_a_token_and_the_ratio_that_of_means():
    energy = token_energy(np.array([[[3.0, 4.0], [0.0, 1.0], [0.0, 3.0]]]))
    assert energy.tolist() == [[5, 1, 3]]
    assert object_ratio(energy, np.array([True, False, False])).tolist() == [5 / 2]
    for mask in ([True] * 3, [False] * 3):
        with pytest.raises(Refused, match=r"object: given . to . tokens; accepted: some, and not all"):
            object_ratio(energy, np.array(mask))
    with pytest.raises(Refused, match="a mask of 3 tokens; accepted: of 1"):
        object_ratio(energy[..., :1], np.array([True, False, False]))


def questions(seed: int = 0, cases: int = 24, each: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.random.default_rng(seed + 1).integers(3, size=cases * each)
    return draw(seed, cases * each, 10), labels, np.repeat(np.arange(cases), each)


def test_probe_finds_what_is_linear_and_only_that():
    features, labels, groups = questions()
    nothing = probe(features, labels, groups, held_out=0.25, seed=1)
    features[:, :3] += 6 * np.eye(3)[labels]
    found = probe(features, labels, groups, held_out=0.25, seed=1)
    assert found.chance == pytest.approx(1 / 3)
    assert found.score > 0.97
    assert abs(found.control - found.chance) < 0.15 and abs(nothing.score - found.chance) < 0.15
    assert found.selectivity == found.score - found.control


def test_the_control_has_what_is_alike_in_all_cases():
    """Labels that follow the place in every case are found with another case's labels, too: nothing is selective."""
    features, labels, groups = questions()
    labels = np.arange(len(labels)) % 20 // 5
    features[:, :4] += 6 * np.eye(4)[labels]
    found = probe(features, labels, groups, held_out=0.25, seed=1)
    assert found.score > 0.97 and abs(found.selectivity) < 0.03


def test_probe_is_scored_on_cases_it_has_not_seen():
    """Features tell the case, and the case decides the label: that helps on seen cases only."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    labels = rng.integers(2, size=40)[groups]
    features = np.eye(40)[groups]
    assert abs(probe(features, labels, groups, held_out=0.5, seed=0).score - 0.5) < 0.2


def test_a_split_parts_no_case_and_keeps_classes_of_both_sides():
    _, labels, groups = questions()
    labels = np.where(groups == 3, 9, labels)
    fitted, held = split_groups(labels, groups, 0.25, 0)
    assert not set(groups[fitted]) & set(groups[held])
    assert set(labels[fitted]) == set(labels[held]) == {0, 1, 2}
    assert len(fitted) + len(held) == len(labels) - 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, t, g: (f[1:], t, g), "samples: given 479, 480, 480"),
        (lambda f, t, g: (f * np.nan, t, g), "features: given NaN or infinity"),
        (lambda f, t, g: (f, t * 0, g), "classes: given 1 on both sides of the split; accepted: at least 2"),
        (lambda f, t, g: (f, t, (g > 0).astype(int)), "groups: given 1 to fit; accepted: at least 2"),
        (lambda f, t, g: (f, (g == 0).astype(int), g), "classes: given 1 on both sides"),
    ],
)
def test_probe_refuses(change, message):
    with pytest.raises(Refused, match=message):
        probe(*change(*questions()), held_out=0.25, seed=0)


@pytest.mark.parametrize("held_out", [-0.5, 0, 0.96, 1, 2])
def test_probe_refuses_a_share_that_leaves_one_side_empty(held_out):
    with pytest.raises(Refused, match=f"held_out: given {held_out}; accepted: a share above 0 and below 1"):
        probe(*questions(), held_out=held_out, seed=0)
