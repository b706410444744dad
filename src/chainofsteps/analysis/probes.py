"""Linear probes: what can be read off a representation, on cases that the probe has not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sklearn import config_context
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

from chainofsteps.refusal import Refused

_LEAST = 2
_TURNS = 5  # ways to exchange labels between groups, over which the control is averaged


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes
    ----------
    score : float
        Balanced accuracy on the held-out groups.
    control : float
        Mean of that of probes of the same kind fitted with the labels of other groups: what features tell of any case
        alike, such as that movers are seldom in a corner. Samples of all groups stand in one order for this to hold.
    chance : float
        1 over the number of classes.
    """

    score: float
    control: float
    chance: float

    @property
    def selectivity(self) -> float:
        """Score less control (Hewitt and Liang 2019, arXiv:1909.03368)."""
        return self.score - self.control


def split_groups(labels: np.ndarray, groups: np.ndarray, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples to fit and samples to score, no group on both sides; classes that one side lacks are left out of both.

    Parameters
    ----------
    labels, groups, held_out, seed
        As in `probe`.

    Returns
    -------
    tuple of ndarray of int
        Positions of the samples.

    Raises
    ------
    Refused
        A share that leaves one side without a group.
    """
    count = len(np.unique(groups))
    if not 0 < held_out < 1 or math.ceil(held_out * count) == count:
        raise Refused("probe", "held_out", held_out, f"a share above 0 and below 1 that leaves some of {count} groups")
    split = GroupShuffleSplit(n_splits=1, test_size=held_out, random_state=seed)
    fitted, held = next(split.split(labels, labels, groups))
    common = np.intersect1d(labels[fitted], labels[held])
    return fitted[np.isin(labels[fitted], common)], held[np.isin(labels[held], common)]


def probe(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, held_out: float, seed: int, alpha: float = 1.0
) -> Probe:
    """Fit a ridge classifier on some groups and score it on the others.

    Parameters
    ----------
    features : ndarray, (sample, channel)
    labels : ndarray, (sample,)
        Those of a class that one side of the split lacks are left out, and the class does not count towards chance.
    groups : ndarray, (sample,)
        The case that each sample belongs to; a case is either fitted or held out.
    held_out : float
        Share of the groups that are held out.
    seed : int
        Of split and shuffling.
    alpha : float
        Ridge penalty, on standardised features.

    Returns
    -------
    Probe

    Raises
    ------
    Refused
        Lengths that differ, values that are not finite, a share that leaves one side without a group, fewer than two
        groups to fit (one would exchange labels with itself), or fewer than two classes that both sides of the split
        have.
    """
    if not len(features) == len(labels) == len(groups):
        raise Refused("probe", "samples", f"{len(features)}, {len(labels)}, {len(groups)}", "as many of each")
    if not np.isfinite(features).all():
        raise Refused("probe", "features", "NaN or infinity", "finite numbers")
    fitted, held = split_groups(labels, groups, held_out, seed)
    if len(np.unique(groups[fitted])) < _LEAST:
        raise Refused("probe", "groups", f"{len(np.unique(groups[fitted]))} to fit", f"at least {_LEAST}")
    classes = np.unique(labels[held])
    if len(classes) < _LEAST:
        raise Refused("probe", "classes", f"{len(classes)} on both sides of the split", f"at least {_LEAST}")
    rng = np.random.default_rng(seed)
    exchanged = [_exchanged(labels, groups, fitted, rng) for _ in range(_TURNS)]

    scaler = StandardScaler().fit(features[fitted])
    to_fit, to_score = scaler.transform(features[fitted]), scaler.transform(features[held])

    def score(answers: np.ndarray) -> float:
        model = RidgeClassifier(alpha=alpha, class_weight="balanced").fit(to_fit, answers[fitted])
        return float(balanced_accuracy_score(labels[held], model.predict(to_score)))

    # All was checked above; checked anew at every fit, that would be a third of the time.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        return Probe(score(labels), float(np.mean([score(each) for each in exchanged])), 1 / len(classes))


def _exchanged(labels: np.ndarray, groups: np.ndarray, fitted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels in which each fitted group has those of another: the next one in a random round."""
    turn = rng.permutation(np.unique(groups[fitted]))
    exchanged = labels.copy()
    for group, other in zip(turn, np.roll(turn, 1), strict=True):
        own = fitted[groups[fitted] == group]
        exchanged[own] = np.resize(labels[fitted[groups[fitted] == other]], len(own))
    return exchanged
