"""What the statistics do on data whose truth is known: false positives, power, coverage of the intervals.

Each data set (`planted` says how it is made) goes through the whole of `verdicts.judge`: estimands, intervals, tests,
Holm, controls, verdicts. Shares of data sets are then held against what the tests and intervals promise.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from chainofsteps.statistics import inference, verdicts
from chainofsteps.statistics.claims import ANSWER
from chainofsteps.statistics.planted import (
    Features,
    control_maker,
    count_of,
    draw_cases,
    effect_maker,
    effect_value,
    family_of,
    has_slopes,
    measured,
    null_maker,
    null_value,
    separable,
)
from chainofsteps.statistics.verdicts import Sample

NO_EFFECT = "no effect"  # scenario; the word null would be read from a table as a missing value
MEASURED = "measured"  # scenario
SIZES = {"smallest": 1, "twice": 2}
CLAIMED = ("replicated", "direction only")
BY_SIGN = ("sign_flip", "mcnemar")  # tests of the signs of cases
TABLE = "table"  # id of the row on the whole table


# Simulation


def simulate_null(
    claims: Sequence[dict], families: dict[str, Features], tests: int, *, datasets: int, draws: int, seed: int
) -> pd.DataFrame:
    """Whole tables under the complete null, and the controls at their bounds; as many cases as there are.

    Parameters
    ----------
    claims : sequence of dict
        The ``claims`` list of ``config/claims.yaml``.
    families : dict
        As `populations` gives them.
    tests : int
        Confirmatory rows of the run's table, for which p-values and intervals are corrected.
    datasets : int
        How many tables.
    draws, seed : int
        Of bootstrap and permutation; of everything.

    Returns
    -------
    pd.DataFrame
        Rows of `verdicts.judge` with ``scenario`` "no effect", ``cases``, ``dataset`` and ``truth``.
    """
    controls = [claim for claim in claims if claim["role"] == "control"]
    sloped = has_slopes(claims)
    makers = {family: null_maker(claims, features) for family, features in families.items()}
    bounds = {(c["id"], family): control_maker(c, features) for c in controls for family, features in families.items()}
    truths = {(c["id"], family): null_value(c, features) for c in claims for family, features in families.items()}

    def tables(dataset: int) -> Iterable[pd.DataFrame]:
        rng = _generator(seed, "null", dataset)
        drawn = {family: _drawn(features, rng, not sloped) for family, features in families.items()}
        table = _judge(claims, [makers[family](drawn[family], rng) for family in families], draws, rng, tests)
        yield table[table["role"] == "confirmatory"]
        drawn = {family: _drawn(features, rng) for family, features in families.items()}
        for control in controls:
            made = [bounds[control["id"], family](drawn[family], rng) for family in families]
            yield _judge([control], made, draws, rng)

    records = _records((tables(i) for i in range(datasets)), NO_EFFECT, None)
    return _with_truth(records, truths)


def simulate_measured(
    claims: Sequence[dict],
    features: Features,
    tests: int,
    *,
    cases: int,
    datasets: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Cases of a family as they were measured, drawn anew: are the population's values in the intervals?

    Parameters
    ----------
    claims : sequence of dict
        The ``claims`` list of ``config/claims.yaml``.
    features : dict
        Population of a family.
    tests : int
        Confirmatory rows of the run's table, for which p-values and intervals are corrected.
    cases, datasets, draws, seed : int
        Cases a data set, data sets, draws of bootstrap and permutation, seed of everything.

    Returns
    -------
    pd.DataFrame
        As of `simulate_null`, with ``scenario`` "measured".
    """
    family = family_of(features)

    def tables(dataset: int) -> Iterable[pd.DataFrame]:
        rng = _generator(seed, f"{MEASURED} {family} {cases}", dataset)
        yield _judge(claims, [draw_cases(features, cases, rng)], draws, rng, tests)

    truths = {(claim["id"], family): measured(claim, features) for claim in claims}
    return _with_truth(_records((tables(i) for i in range(datasets)), MEASURED, cases), truths)


def simulate_effect(
    group: Sequence[dict],
    claims: Sequence[dict],
    features: Features,
    tests: int,
    *,
    size: str,
    cases: int,
    datasets: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Entries of a family at a multiple of their smallest effects; those that the population cannot have are left out.

    Parameters
    ----------
    group : sequence of dict
        Entries whose effects do not meet (`separable`); of the others (``claims``) their controls are judged with them.
    size : str
        One of `SIZES`.
    features, tests, cases, datasets, draws, seed
        As of `simulate_measured`.

    Returns
    -------
    pd.DataFrame
        As of `simulate_null`, with ``scenario`` the size; empty where no effect can be had.
    """
    makers = {claim["id"]: effect_maker(claim, features, SIZES[size]) for claim in group}
    made = [claim for claim in group if makers[claim["id"]]]
    if not made:
        return pd.DataFrame()
    family = family_of(features)
    named = {control for claim in made for control in claim["controls"]}
    controls = [other for other in claims if other["id"] in named]
    entries = [*made, *controls]
    ids = [claim["id"] for claim in made]

    def tables(dataset: int) -> Iterable[pd.DataFrame]:
        rng = _generator(seed, f"{size} {' '.join(ids)} {family} {cases}", dataset)
        drawn = draw_cases(features, cases, rng, not has_slopes(made))
        for name in ids:
            drawn = makers[name](drawn, rng)
        table = _judge(entries, [drawn], draws, rng, tests)
        yield table[table["id"].isin(ids)]

    records = _records((tables(i) for i in range(datasets)), size, cases)
    return _with_truth(records, {(c["id"], family): effect_value(c, features, SIZES[size]) for c in made})


def simulate_family(
    claims: Sequence[dict],
    features: Features,
    tests: int,
    *,
    datasets: int,
    curve_datasets: int,
    case_counts: Sequence[int],
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Coverage at the population's own number of cases; coverage and power over ``case_counts``.

    Parameters
    ----------
    claims, features, tests, draws, seed
        As of `simulate_measured`.
    datasets : int
        Data sets at the population's own number of cases.
    curve_datasets : int
        Data sets a point over ``case_counts``.
    case_counts : sequence of int
        Numbers of cases.

    Returns
    -------
    pd.DataFrame
        As of `simulate_null`, scenarios "measured", "smallest" and "twice".
    """
    own = count_of(features)
    given = {"draws": draws, "seed": seed}
    parts = [simulate_measured(claims, features, tests, cases=own, datasets=datasets, **given)]
    for cases in case_counts:
        here = given | {"cases": cases, "datasets": curve_datasets}
        if cases != own:
            parts.append(simulate_measured(claims, features, tests, **here))
        parts += [
            simulate_effect(group, claims, features, tests, size=size, **here)
            for size in SIZES
            for group in separable(claims)
        ]
        print(f"{family_of(features)}: {cases} cases done", flush=True)
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def simulate_values(
    rows: Sequence[tuple[dict, str, Sample]], tests: int, *, datasets: int, curve_datasets: int, draws: int, seed: int
) -> pd.DataFrame:
    """Rows whose data cannot be planted: their values drawn anew, as measured, without an effect, and with known ones.

    The measured cases are the population; as many of each stratum are drawn, with replacement. Where signs are tested,
    each case keeps the size of its value and takes its sign by chance: an even one without an effect, and with an
    effect e one that makes the mean e; values that are too small for it are left out. Else all cases are moved alike:
    without an effect to 0, an equivalence to its bound; with one, an equivalence to 0 (there is none at twice).

    Parameters
    ----------
    rows : sequence of tuple
        As of `verdicts.tested_samples`.
    tests : int
        Confirmatory rows of the run's table, for which p-values (at Holm's strictest) and intervals are corrected.
    datasets, curve_datasets : int
        Data sets as measured and without an effect; with one.
    draws, seed : int
        As of `simulate_null`.

    Returns
    -------
    pd.DataFrame
        As of `simulate_null`, with ``scenario`` "no effect", "measured", "smallest" or "twice".
    """
    found = []
    for claim, family, sample in rows:
        for scenario in (NO_EFFECT, MEASURED, *SIZES):
            truth = _mean_of_values(claim, sample, scenario)
            if truth is None:
                continue
            for dataset in range(curve_datasets if scenario in SIZES else datasets):
                rng = _generator(seed, f"{scenario} {claim['id']} {family}", dataset)
                values = _drawn_in_strata(sample, rng)
                if scenario != MEASURED:
                    values = _moved_to(truth, claim, values, sample, rng)
                drawn = dataclasses.replace(sample, values=values)
                row = _value_row(claim, drawn, tests, draws, int(rng.integers(2**31)))
                found.append(row | {"scenario": scenario, "family": family, "dataset": dataset, "truth": truth})
        print(f"{claim['id']}, {family}: done", flush=True)
    return pd.DataFrame(found)


def _drawn(features: Features, rng: np.random.Generator, by_difficulty: bool = True) -> Features:
    """As many cases as there are."""
    return draw_cases(features, count_of(features), rng, by_difficulty)


def _drawn_in_strata(sample: Sample, rng: np.random.Generator) -> np.ndarray:
    drawn = np.empty(len(sample.values))
    for stratum in np.unique(sample.strata):
        here = np.flatnonzero(sample.strata == stratum)
        drawn[here] = sample.values[rng.choice(here, len(here))]
    return drawn


def _mean_of_values(claim: dict, sample: Sample, scenario: str) -> float | None:
    """Mean of a scenario's population; None where these values cannot have it."""
    if scenario == MEASURED:
        return inference.estimate(sample.values)
    bound = claim["smallest_effect"]["value"]
    if claim["test"] == "tost":
        return {NO_EFFECT: float(np.copysign(bound, sample.values.mean())), "smallest": 0.0}.get(scenario)
    effect = bound * SIZES.get(scenario, 0) * (-1 if claim["direction"] == "less" else 1)
    too_large = claim["test"] in BY_SIGN and abs(effect) > np.abs(sample.values).mean()
    return None if too_large else float(effect)


def _moved_to(mean: float, claim: dict, drawn: np.ndarray, sample: Sample, rng: np.random.Generator) -> np.ndarray:
    if claim["test"] in BY_SIGN:
        chance = (1 + mean / np.abs(sample.values).mean()) / 2
        return np.abs(drawn) * np.where(rng.random(len(drawn)) < chance, 1, -1)
    return drawn - sample.values.mean() + mean


def _value_row(claim: dict, sample: Sample, tests: int, draws: int, seed: int) -> dict:
    """What a table would say of these values."""
    keys = ("id", "estimand", "role", "test")
    cases = len(sample.values) - sample.floor
    row = {key: claim[key] for key in keys} | {"cases": cases, "controls": "", "verdict": "inconclusive"}
    row |= dict.fromkeys(("p", "ci_low", "ci_high", "ci_low_corrected", "ci_high_corrected"), np.nan)
    row["estimate"] = inference.estimate(sample.values)
    direction, smallest = claim["direction"], claim["smallest_effect"]["value"]
    low, high = inference.mean_interval(sample.values, draws, seed, 1 - verdicts.ALPHA, sample.strata)
    if not np.isfinite([low, high]).all():
        return row
    row |= {"ci_low": low, "ci_high": high, "p": verdicts.p_value(claim, sample, seed, draws)}
    level = verdicts.corrected_level(direction, tests)
    corrected = inference.mean_interval(sample.values, draws, seed, level, sample.strata)
    row["ci_low_corrected"], row["ci_high_corrected"] = corrected
    if np.isfinite(corrected).all():
        significant = row["p"] * tests <= verdicts.ALPHA
        row["verdict"] = verdicts.word(direction, smallest, row["estimate"], *corrected, significant)
    return row


def _judge(
    claims: Sequence[dict],
    families: Sequence[Features],
    draws: int,
    rng: np.random.Generator,
    tests: int | None = None,
) -> pd.DataFrame:
    """Verdict rows; the draws are others in each data set, since what one seed draws would be common to all."""
    datasets = [dataset for features in families for dataset in features.values()]
    table = verdicts.judge(claims, datasets, int(rng.integers(2**31)), draws, tests=tests)
    return table[table["id"] != ANSWER]


def _records(runs: Iterable[Iterable[pd.DataFrame]], scenario: str, cases: int | None) -> pd.DataFrame:
    parts = [table.assign(dataset=dataset) for dataset, tables in enumerate(runs) for table in tables]
    records = pd.concat(parts, ignore_index=True)
    return records.assign(scenario=scenario, cases=records["n_cases"] if cases is None else cases)


def _with_truth(records: pd.DataFrame, truths: dict[tuple[str, str], float]) -> pd.DataFrame:
    return records.assign(truth=[truths[place] for place in zip(records["id"], records["family"], strict=True)])


def _generator(seed: int, place: str, dataset: int) -> np.random.Generator:
    """Of one data set: no other data set, and no order of work, changes it."""
    return np.random.default_rng([seed, zlib.crc32(place.encode()), dataset])


# Rates


def summarise(records: pd.DataFrame) -> pd.DataFrame:
    """Rates over data sets, one row a scenario, entry, family and number of cases.

    Parameters
    ----------
    records : pd.DataFrame
        As of the ``simulate_...`` functions, joined.

    Returns
    -------
    pd.DataFrame
        ``datasets``: how many; ``truth``: the population's value; ``bias``: mean estimate minus truth; ``tested``:
        share with a p; ``significant``: share with an unadjusted p of at most .05 (no p is none); ``claimed``: share
        "replicated" or "direction only"; ``contradicted``; ``controls``: share whose control passed; ``interval``:
        share with a 95 % interval; ``coverage``: share of these that hold the truth; ``below``, ``above``: shares
        that lie wholly below and above it; ``coverage_corrected``: of the corrected intervals. ``<rate>_error`` is the
        Monte Carlo standard error.
    """
    keys = ["scenario", "id", "estimand", "role", "test", "family", "cases"]
    rows = [dict(zip(keys, place, strict=True)) | _rates(group) for place, group in records.groupby(keys, sort=False)]
    return pd.DataFrame(rows)


def summarise_table(records: pd.DataFrame) -> pd.DataFrame:
    """Family-wise rates: ``significant`` tables with any adjusted p of at most .05, ``claimed`` with such a verdict."""
    tested = records[records["role"] == "confirmatory"]
    by_table = tested.groupby("dataset")
    any_p = by_table["p_adjusted"].min() <= verdicts.ALPHA
    claimed = tested["verdict"].isin(CLAIMED).groupby(tested["dataset"]).any()
    row = {"scenario": tested["scenario"].iloc[0], "id": TABLE, "family": "all", "cases": tested["cases"].max()}
    row |= {"datasets": len(any_p), **_rate("significant", any_p), **_rate("claimed", claimed)}
    return pd.DataFrame([row])


def _rates(group: pd.DataFrame) -> dict[str, float]:
    inside, has = _cover(group, "ci_low", "ci_high")
    corrected, has_corrected = _cover(group, "ci_low_corrected", "ci_high_corrected")
    truth = group["truth"]
    return {
        "datasets": len(group),
        "truth": truth.iloc[0],
        "bias": float((group["estimate"] - truth).mean()),
        "bias_error": float((group["estimate"] - truth).std(ddof=1) / np.sqrt(len(group))),
        "tested": float(group["p"].notna().mean()),
        **_rate("significant", group["p"] <= verdicts.ALPHA),
        **_rate("claimed", group["verdict"].isin(CLAIMED)),
        **_rate("contradicted", group["verdict"] == "contradicted"),
        "controls": float((group["controls"] == "passed").mean()),
        "interval": float(has.mean()),
        **_rate("coverage", inside[has]),
        "below": float((~inside & (group["ci_high"] < truth))[has].mean()),
        "above": float((~inside & (group["ci_low"] > truth))[has].mean()),
        **_rate("coverage_corrected", corrected[has_corrected]),
    }


def _cover(group: pd.DataFrame, low: str, high: str) -> tuple[pd.Series, pd.Series]:
    # Sums of shares leave dust, here as in the verdicts: a bound that is the truth holds it.
    dust = 10.0**-verdicts.DECIMALS
    inside = (group[low] - dust <= group["truth"]) & (group["truth"] <= group[high] + dust)
    return inside, group[low].notna() & group[high].notna()


def _rate(name: str, hits: pd.Series) -> dict[str, float]:
    rate = float(hits.mean()) if len(hits) else np.nan
    return {name: rate, f"{name}_error": float(np.sqrt(rate * (1 - rate) / len(hits))) if len(hits) else np.nan}
