"""Data whose truth is known, made from real features: of no effect, and of an effect of a given size.

The cases of a run are the *population*: each data set draws cases from it with replacement, whole, with their seeds,
steps and frames and in all experiments at once, so correlation inside cases and between experiments is the real one.
What is then changed, case by case, sets the population's value of an estimand. By estimand:

``gain_of_steps``
    Null: first and last step's outcomes (``correct``, all seeds of the case together) change places at random. Either
    is as likely to be the first, so the gain is as often g as -g, and 0 on average. Effect e: the better of the two is
    put last with probability (1 + e / E|g|) / 2, which makes the mean gain e; each case keeps the size of its gain.
``order_difference``
    The same with the outcomes of the last step under the two orders. Where one outcome stands in both questions, as
    joint's last step does, all outcomes so tied change places among each other, and all nulls hold at once.
``difficulty_slope``
    Null: difficulty is permuted over the cases drawn, so it says nothing about commitment, and the slope is 0. (It then
    says nothing of other estimands either, so cases of such a data set are drawn whatever their difficulty.) Effect
    e: after that, cases commit later by a number of steps that is proportional to their difficulty and makes the
    population's slope e. (On each data set's own range of difficulties, as the estimand is.)
``sequentiality``, of an equivalence
    Null: the bound itself, the hardest point of "frames do not commit together within the bound". Later free frames
    commit later by a number of steps that grows evenly from the first free frame to the last, or earlier ones do, so
    that the population's mean kappa is the bound, on the side on which it was measured. All cases are alike in
    this; each keeps its own kappa's distance and spread. Effect, the reverse of other estimands since equivalence is
    claimed: kappa on average 0, which is one smallest effect away from the null. There is none at twice.
``sequentiality``, of a control
    Null: the bound that the control must lie beyond, made likewise. It has a data set of its own: elsewhere the control
    is left as it was measured, since one at its bound fails and would hide the false positives of all other rows.

Shifts are later, never earlier: no frame may commit before it is first active. Their fractions of a step are rounded up
or down by chance, frame by frame, with the fraction as probability; none goes beyond the last step. Estimands are
linear in the commitment steps, so the population's value is that of the expected commitment steps, and shifts are
solved for it exactly.

An estimand that cannot be 0 on average (``success``, ``mean_commitment``) has no null here and is refused. Effects that
the population cannot have (a mean gain larger than its mean absolute gain) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from chainofsteps.refusal import Refused
from chainofsteps.statistics import inference
from chainofsteps.statistics.claims import ESTIMANDS, asked_of, restricted
from chainofsteps.statistics.estimands import GIVEN_FRAME, PER_CASE

# Estimands that data can be made for; of others, values are drawn (`calibration.simulate_values`).
ESTIMANDS_PLANTED = ("gain_of_steps", "order_difference", "difficulty_slope", "sequentiality")

Features = dict[str, xr.Dataset]  # of one family, by experiment
Maker = Callable[[Features, np.random.Generator], Features]
Place = tuple[str, int]  # an experiment's outcome at its first (0) or last (-1) step

_VARIABLES = ("correct", "commitment_step", "active", "difficulty")


# Populations


def populations(datasets: Iterable[xr.Dataset]) -> dict[str, Features]:
    """Features by family and experiment: the variables that estimands read, the same cases and seeds in the same order.

    Raises
    ------
    Refused
        A variable is missing; experiments of a family differ in cases or seeds; fewer than three cases.
    """
    families: dict[str, Features] = {}
    for dataset in datasets:
        family, experiment = dataset.attrs["family"], dataset.attrs["experiment"]
        where = f"{experiment}/{family} features"
        for name in _VARIABLES:
            if name not in dataset.variables:
                raise Refused(where, name, "no such variable", ", ".join(_VARIABLES))
        if dataset.sizes["case"] < inference.LEAST_CASES:
            raise Refused(where, "case", f"{dataset.sizes['case']} cases", f"at least {inference.LEAST_CASES}")
        slim = dataset[[name for name in _VARIABLES if name in dataset.data_vars]].assign_coords(
            difficulty=dataset["difficulty"]
        )
        slim = slim.drop_vars(set(slim.coords) - {*slim.dims, "difficulty"}).load()
        first = next(iter(families.setdefault(family, {}).values()), slim)
        for dim in ("case", "seed"):
            if set(slim[dim].values.tolist()) != set(first[dim].values.tolist()):
                raise Refused(where, dim, "others than of the other experiments", "the same in all experiments")
        families[family][experiment] = slim.sel(case=first["case"], seed=first["seed"]).transpose(
            "case", "seed", "step", "frame", ...
        )
    if not families:
        raise Refused("calibration", "features", "none", "at least one dataset")
    return dict(sorted(families.items()))


def draw_cases(features: Features, count: int, rng: np.random.Generator, by_difficulty: bool = True) -> Features:
    """Cases drawn with replacement, the same ones in each experiment, under names of their own.

    Parameters
    ----------
    features : dict
        As `populations` gives them, of a family.
    count : int
        How many.
    rng : np.random.Generator
        Makes the draw.
    by_difficulty : bool
        Whether difficulties take turns, as those of a run's cases do, and cases are drawn inside each; else they are
        drawn from all, as where difficulties are to say nothing.
    """
    first = next(iter(features.values()))
    difficulty = first["difficulty"].values if by_difficulty else np.zeros(first.sizes["case"])
    levels = np.unique(difficulty)
    index = np.array([rng.choice(np.flatnonzero(difficulty == levels[i % len(levels)])) for i in range(count)])
    # Names must differ: datasets of two experiments are paired by them.
    names = np.array([f"{i:05d}" for i in range(count)], object)
    return {name: dataset.isel(case=index).assign_coords(case=names) for name, dataset in features.items()}


def family_of(features: Features) -> str:
    """Name of the family."""
    return next(iter(features.values())).attrs["family"]


def count_of(features: Features) -> int:
    """Number of cases."""
    return next(iter(features.values())).sizes["case"]


# Outcomes


def exchange(features: Features, places: Sequence[Place], rng: np.random.Generator) -> Features:
    """Outcomes at some places change places at random, in each case with all of its seeds together."""
    outcomes = _outcomes(features, places)
    order = rng.permuted(np.tile(np.arange(len(places)), (outcomes.shape[1], 1)), axis=1).T
    return _with_outcomes(features, places, np.take_along_axis(outcomes, order[:, :, None], axis=0))


def favour(features: Features, low: Place, high: Place, chance: float, rng: np.random.Generator) -> Features:
    """In each case the better of two outcomes, by its share of right seeds, goes to ``high`` with a chance."""
    outcomes = _outcomes(features, (low, high))
    right = (outcomes == 1).mean(axis=2)
    worse_first = right[1] >= right[0]
    swap = worse_first != (rng.random(len(worse_first)) < chance)
    outcomes[:, swap] = outcomes[::-1, swap]
    return _with_outcomes(features, (low, high), outcomes)


def _outcomes(features: Features, places: Sequence[Place]) -> np.ndarray:
    """``correct`` at the places, (place, case, seed)."""
    return np.stack([features[name]["correct"].values[:, :, step] for name, step in places])


def _with_outcomes(features: Features, places: Sequence[Place], outcomes: np.ndarray) -> Features:
    changed = {name: features[name]["correct"].values.copy() for name, _ in places}
    for (name, step), outcome in zip(places, outcomes, strict=True):
        changed[name][:, :, step] = outcome
    return features | {name: _replaced(features[name], "correct", values) for name, values in changed.items()}


def _places(claim: dict) -> tuple[Place, Place]:
    """Where the outcomes are whose difference a claim is about: second minus first."""
    if claim["estimand"] == "gain_of_steps":
        return (claim["experiments"][0], 0), (claim["experiments"][0], -1)
    given, reference = claim["experiments"]
    return (reference, -1), (given, -1)


def _tied(pairs: Iterable[tuple[Place, Place]]) -> list[list[Place]]:
    """Places in groups: those of a pair are in one group, and with them those of every pair that shares a place."""
    groups: list[list[Place]] = []
    for pair in pairs:
        met = [group for group in groups if set(group) & set(pair)]
        groups = [group for group in groups if group not in met]
        groups.append(sorted({place for group in met for place in group} | set(pair)))
    return groups


# Commitment


def tilt_shares(frames: np.ndarray, rising: bool) -> np.ndarray:
    """Share of a tilt that each frame takes: 0 to 1 from the first free frame to the last, or 1 to 0; (frame,)."""
    free = frames[frames > GIVEN_FRAME]
    share = np.clip((frames - free[0]) / (free[-1] - free[0]), 0, 1)
    return np.where(frames > GIVEN_FRAME, share if rising else 1 - share, 0.0)


def delay(features: xr.Dataset, shift: np.ndarray, rng: np.random.Generator | None) -> xr.Dataset:
    """Commitment steps later by ``shift`` steps, at most to the last step.

    Parameters
    ----------
    features : xr.Dataset
        Of one experiment.
    shift : array, broadcasts to (case, seed, frame)
        At least 0. Its fraction is the chance to be rounded up.
    rng : np.random.Generator or None
        Rounds, each frame by itself; with None commitment steps are the expected ones, which need not be whole.
    """
    tau = features["commitment_step"].values
    last = features.sizes["step"] - 1
    shift = np.broadcast_to(shift, tau.shape)
    whole = np.floor(shift)
    early, late = np.minimum(tau + whole, last), np.minimum(tau + whole + 1, last)
    if rng is None:
        moved = early + (shift - whole) * (late - early)
    else:
        moved = np.where(rng.random(tau.shape) < shift - whole, late, early).astype(int)
    return _replaced(features, "commitment_step", moved)


def _replaced(features: xr.Dataset, name: str, values: np.ndarray) -> xr.Dataset:
    return features.assign({name: (features[name].dims, values)})


def solve_tilt(features: xr.Dataset, target: float) -> np.ndarray | None:
    """Shift a frame (frame,) that makes the cases' mean kappa ``target``; None where none does.

    The smallest such tilt, searched outwards from none by whole steps.
    """
    frames, kappa = features["frame"].values, PER_CASE["sequentiality"]
    rising = target >= float(kappa(features).mean())
    share = tilt_shares(frames, rising)

    def excess(amount: float) -> float:
        return float(kappa(delay(features, amount * share, None)).mean()) - target

    amount = _first_root(excess, 2 * features.sizes["step"])
    return None if amount is None else amount * share


def solve_delay(features: xr.Dataset, slope: float) -> float | None:
    """Steps by which the hardest case commits later than the easiest, for that slope; negative: earlier.

    For cases that are given their difficulties at random: expected commitment at a difficulty is the mean over all
    cases, each as late as the difficulty says. None where no delay does it.
    """
    hardness, weights = np.unique(_hardness(features, features), return_counts=True)
    if len(hardness) < 2:
        return None
    sign = np.sign(slope)
    centred = hardness - np.average(hardness, weights=weights)
    spread = np.sum(weights * centred**2)

    def excess(steps: float) -> float:
        late = [delay(features, _case_delay(sign * steps, h), None) for h in hardness]
        means = np.array([float(PER_CASE["difficulty_slope"](each).mean()) for each in late])
        return sign * (np.sum(weights * centred * means) / spread - slope)

    steps = _first_root(excess, features.sizes["step"])
    return None if steps is None else float(sign * steps)


def _case_delay(steps: float, hardness: np.ndarray | float) -> np.ndarray | float:
    """Delay at a difficulty (0 easiest, 1 hardest), never negative: if the hardest are early, the easiest are late."""
    return steps * hardness if steps >= 0 else -steps * (1 - hardness)


def _hardness(features: xr.Dataset, population: xr.Dataset) -> np.ndarray:
    """Difficulty from 0, the population's least, to 1, its greatest; (case,)."""
    difficulty = population["difficulty"].values
    return (features["difficulty"].values - difficulty.min()) / (np.ptp(difficulty) or 1)


def _first_root(excess: Callable[[float], float], most: int) -> float | None:
    """Root nearest 0 from above, by whole steps; None where the sign does not change."""
    before = excess(0.0)
    if before == 0:
        return 0.0
    for amount in range(1, most + 1):
        after = excess(float(amount))
        if after * before <= 0:
            return float(brentq(excess, amount - 1, amount, xtol=1e-12))
        before = after
    return None


def permute_difficulty(features: Features, rng: np.random.Generator) -> Features:
    """Difficulties change cases at random, alike in all experiments."""
    first = next(iter(features.values()))
    difficulty = rng.permutation(first["difficulty"].values)
    return {name: dataset.assign_coords(difficulty=("case", difficulty)) for name, dataset in features.items()}


def plantable(claims: Sequence[dict], experiments: Collection[str]) -> list[dict]:
    """Entries that data with a known truth can be made for, of these experiments, with those of their controls."""
    asked = asked_of(claims, experiments)
    return restricted(asked, [claim["id"] for claim in asked if claim["estimand"] in ESTIMANDS_PLANTED])


# Truths


def measured(claim: dict, features: Features) -> float:
    """Value of an entry's estimand in the population."""
    used = [features[name] for name in claim["experiments"]]
    values = PER_CASE[claim["estimand"]](*used).values
    if ESTIMANDS[claim["estimand"]].slope_on:
        values = inference.slope_parts(values, _hardness(used[0], used[0]))
    return inference.estimate(values)


def null_value(claim: dict, features: Features) -> float:
    """Population's value under the null: 0, the near bound of an equivalence, or the bound of a control.

    Raises
    ------
    Refused
        An estimand that has no null here.
    """
    estimand, smallest = claim["estimand"], claim["smallest_effect"]["value"]
    if claim["role"] == "control":
        if estimand != "sequentiality":
            raise Refused("calibration", claim["id"], f"a control of {estimand}", "a control of sequentiality")
        return smallest
    if estimand not in ESTIMANDS_PLANTED:
        raise Refused("calibration", claim["id"], estimand, "an estimand that may be 0 on average")
    if claim["test"] != "tost":
        return 0.0
    if estimand != "sequentiality":
        raise Refused("calibration", claim["id"], f"tost of {estimand}", "tost of sequentiality")
    return float(np.copysign(smallest, measured(claim, features)))


def effect_value(claim: dict, features: Features, times: float) -> float | None:
    """Population's value under an effect, as a multiple of the smallest of interest; None where there is none."""
    if claim["role"] == "control":
        return None
    null = null_value(claim, features)
    if claim["test"] == "tost":
        return 0.0 if times == 1 else None
    sign = {"greater": 1.0, "less": -1.0}.get(claim["direction"]) or np.copysign(1.0, measured(claim, features))
    return float(null + sign * times * claim["smallest_effect"]["value"])


def has_slopes(claims: Iterable[dict]) -> bool:
    """Whether difficulties say nothing where all nulls hold at once: some confirmatory entry asks what they say."""
    return any(claim["role"] == "confirmatory" and claim["estimand"] == "difficulty_slope" for claim in claims)


def null_maker(claims: Sequence[dict], features: Features) -> Maker:
    """Makes the nulls of all confirmatory entries hold at once; controls are left as they were measured.

    Raises
    ------
    Refused
        As `null_value`; a bound that no shift of the commitment steps reaches.
    """
    tested = [claim for claim in claims if claim["role"] == "confirmatory"]
    nulls = {claim["id"]: null_value(claim, features) for claim in tested}
    groups = _tied(_places(claim) for claim in tested if claim["estimand"] in ("gain_of_steps", "order_difference"))
    tilts = {
        claim["experiments"][0]: _tilt_to(claim, features, nulls[claim["id"]])
        for claim in tested
        if claim["estimand"] == "sequentiality"
    }
    sloped = has_slopes(claims)

    def make(drawn: Features, rng: np.random.Generator) -> Features:
        for group in groups:
            drawn = exchange(drawn, group, rng)
        for name, shift in tilts.items():
            drawn = drawn | {name: delay(drawn[name], shift, rng)}
        return permute_difficulty(drawn, rng) if sloped else drawn

    return make


def control_maker(control: dict, features: Features) -> Maker:
    """Makes a control's value its bound."""
    name = control["experiments"][0]
    shift = _tilt_to(control, features, null_value(control, features))
    return lambda drawn, rng: drawn | {name: delay(drawn[name], shift, rng)}


def effect_maker(claim: dict, features: Features, times: float) -> Maker | None:
    """Makes an entry's value a multiple of its smallest effect; None where the population cannot have it."""
    target = effect_value(claim, features, times)
    if target is None:
        return None
    name = claim["experiments"][0]
    if claim["estimand"] == "sequentiality":
        shift = solve_tilt(features[name], target)
        return None if shift is None else lambda drawn, rng: drawn | {name: delay(drawn[name], shift, rng)}
    if claim["estimand"] == "difficulty_slope":
        steps = solve_delay(features[name], target)
        return None if steps is None else _slope_maker(name, steps)
    low, high = _places(claim)
    right = (_outcomes(features, (low, high)) == 1).mean(axis=2)
    size = np.abs(right[1] - right[0]).mean()
    if size < abs(target):
        return None
    chance = (1 + target / size) / 2
    return lambda drawn, rng: favour(drawn, low, high, chance, rng)


def _slope_maker(name: str, steps: float) -> Maker:
    def make(drawn: Features, rng: np.random.Generator) -> Features:
        drawn = permute_difficulty(drawn, rng)
        shift = _case_delay(steps, _hardness(drawn[name], drawn[name]))  # on its own range, as the estimand is
        return drawn | {name: delay(drawn[name], shift[:, None, None], rng)}

    return make


def _tilt_to(claim: dict, features: Features, target: float) -> np.ndarray:
    shift = solve_tilt(features[claim["experiments"][0]], target)
    if shift is None:
        raise Refused("calibration", claim["id"], f"kappa {target:g}", "a kappa that shifts of commitment can reach")
    return shift


def separable(claims: Sequence[dict]) -> list[list[dict]]:
    """Confirmatory entries in groups: what one effect of a group changes in the datasets, no other one does."""
    groups: list[tuple[set, list[dict]]] = []
    for claim in claims:
        if claim["role"] != "confirmatory":
            continue
        changed = _changed(claim)
        for taken, group in groups:
            if not taken & changed:
                taken |= changed
                group.append(claim)
                break
        else:
            groups.append((set(changed), [claim]))
    return [group for _, group in groups]


def _changed(claim: dict) -> set:
    if claim["estimand"] in ("gain_of_steps", "order_difference"):
        return set(_places(claim))
    # Difficulty is of the case: the experiments share it.
    shared = {"difficulty"} if claim["estimand"] == "difficulty_slope" else set()
    return {(claim["experiments"][0], "commitment_step")} | shared
