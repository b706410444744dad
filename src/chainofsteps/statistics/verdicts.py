"""From claims and features to the verdict table and its metrics.

Rules (``config/claims.yaml`` says them in words, entry by entry):

- The m confirmatory rows that are asked stand in one family at `ALPHA`, whether or not the data can answer them. Their
  p-values are adjusted by Holm. Their *corrected intervals* are intervals at 1 - `ALPHA` / m (1 - 2 `ALPHA` / m for
  an equivalence, each bound of which is a test of its own), so that all m hold at once: what is shown to be absent is
  as safe as what is shown to be there.
- A row is not tested where cases have no value and fewer than `LEAST_TESTED` have one.
- Intervals, and tests that resample, take the cases as they were drawn: so many of each difficulty, or, where families
  are pooled, of each family and of the solved cases that damage is counted above.
- Every verdict word, and the answer of a family, rests on corrected intervals. An effect in either direction, and an
  equivalence, need the adjusted p too.
- A control stands outside that family; it passes when its whole 95 % interval lies beyond its smallest effect (within
  it, for an equivalence) or, where all cases are alike and so have no interval, when an exact sign test says so. One
  that says that an effect is absent passes unless the interval lies above 0 and the estimate reaches the smallest
  effect: what would be called an effect must not be found there.
- A confirmatory row says at most "inconclusive" unless all of its controls passed: those of the same family where the
  control has a row for it, else all of the control's rows.
- An entry that was changed after its cases were drawn says "exploratory" and stands outside the family of tests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from chainofsteps.refusal import NotMeasured, Refused
from chainofsteps.statistics import inference
from chainofsteps.statistics.claims import ANSWER, ESTIMANDS, FEATURES, POOLED, SCORES, check_entries
from chainofsteps.statistics.estimands import PER_CASE
from chainofsteps.statistics.experiment_estimands import is_solved

ALPHA = 0.05
DECIMALS = 12
VERDICT_CODE = {
    "replicated": 2,
    "direction only": 1,
    "inconclusive": 0,
    "contradicted": -1,
    "not testable here": -2,
    "exploratory": -3,
}
READING_CODE = {"undecided": 0, "steps": 1, "frames": 2, "single pass": 3}
# What an intervention does says nothing where its sampling order solves less than this share of the cases.
ORDER_WORKS = 0.5
# Fewer cases, all alike, could pass no exact sign test.
LEAST_OF_CONTROLS = 5
LEAST_TESTED = 12
# The spread of fewer cases of a family says next to nothing.
LEAST_WITH_INTERVAL = 5
# Unit and meaning of each column of the table.
COLUMNS = {
    "id": ("", "entry of config/claims.yaml; answer: the row that places a family"),
    "family": ("", "family of the cases; all: of every family of the experiment, or not asked by family"),
    "group": ("", "chapter of the report"),
    "claim": ("", "claims of the paper that the entry bears on"),
    "question": ("", "what is asked"),
    "paper": ("", "what the paper shows of it"),
    "status": ("", "confirmatory, pilot, or exploratory: changed since its cases were drawn"),
    "estimand": ("", "what is computed, a name of chainofsteps.statistics.claims"),
    "experiments": ("", "experiments whose datasets are used; a difference is the first minus the second"),
    "order": ("", "sampling order of the experiments"),
    "role": ("", "confirmatory, control, or untestable"),
    "test": ("", "test that p is of"),
    "direction": ("", "what is claimed of the estimate"),
    "model_id": ("", "models, entries of config/models.yaml"),
    "purpose": ("", "block of seeds that the cases were drawn from"),
    "estimate": ("unit", "value over the cases: their mean, or a slope"),
    "ci_low": ("unit", "lower end of the 95 % interval"),
    "ci_high": ("unit", "upper end of the 95 % interval"),
    "ci_low_corrected": ("unit", "lower end of the interval that holds for all tests of the table at once"),
    "ci_high_corrected": ("unit", "upper end of the interval that holds for all tests of the table at once"),
    "p": ("1", "p-value of the test, alone"),
    "p_adjusted": ("1", "p-value by Holm over the confirmatory rows that are asked"),
    "n_cases": ("1", "cases that have a value"),
    "n_seeds": ("1", "generation seeds, averaged inside the case"),
    "smallest_effect": ("unit", "smallest effect of interest; of a control, the bound to clear"),
    "unit": ("", "unit of the estimate"),
    "verdict": ("", "verdict; of a control, replicated: passed"),
    "reading": ("", "which of the three answers the family's row says: steps, frames, single pass, undecided"),
    "controls": ("", "passed, or which controls failed or were not run"),
    "reason": ("", "why there is no other verdict"),
    "network_evaluations": ("1", "network evaluations of a stream, by experiment"),
}
METRICS = {"estimate": "estimate", "ci_low": "ci_low", "ci_high": "ci_high", "p_adjusted": "p_adjusted", "n": "n_cases"}
BY_FAMILY_COLUMNS = ("id", "family", "estimate", "ci_low", "ci_high", "n_cases", "unit", "reason")
# What places a family, and the direction in which it must be claimed.
PLACED_BY = {"gain_of_steps": "greater", "sequentiality": "equivalent"}
_TEXT_COLUMNS = (
    "group",
    "claim",
    "question",
    "paper",
    "status",
    "experiments",
    "order",
    "role",
    "test",
    "direction",
    "unit",
    "verdict",
    "network_evaluations",
)


def judge(
    claims: Sequence[dict],
    datasets: Iterable[xr.Dataset],
    seed: int,
    draws: int,
    registered: Collection[str] | None = None,
    tests: int | None = None,
) -> pd.DataFrame:
    """Judge every claim entry on its population, and place each family among the three answers.

    Parameters
    ----------
    claims : sequence of dict
        The ``claims`` list of ``config/claims.yaml``.
    datasets : iterable of xr.Dataset
        Features and score controls, one an (experiment, family), and experiments, one an (experiment, model); features
        all of one model, all of one purpose.
    seed, draws : int
        Of every bootstrap and permutation; each row starts from the same seed, so no row depends on the others.
    registered : collection of str, optional
        Ids of the entries that are as they were when the cases were drawn; None: all.
    tests : int, optional
        Tests to correct for, where there are more than these data have rows for.

    Returns
    -------
    pd.DataFrame
        Of the `COLUMNS`; one row an (entry, family), or one of family ``all`` for what is pooled or cannot be tested,
        then one row ``answer`` a family. ``reading`` is the answer of the row's family. ``ci_low`` and ``ci_high`` are
        at 95 %. ``order`` is the sampling order of the experiments; only rows of joint order place a family, and where
        several joint experiments disagree it is undecided.

    Raises
    ------
    Refused
        Entries that `claims.check_entries` refuses; datasets of several models or purposes, or twice the same; NaN;
        fewer than three cases.
    """
    check_entries(claims)
    data = _index(datasets)
    measures = [
        _test(claim, _measure(claim, family, data, registered), seed, draws)
        for claim in claims
        for family in _families(claim, data)
    ]
    table = pd.DataFrame([measure.row for measure in measures])
    table = table.assign(**_correct(measures, table, seed, draws, tests or 0))
    table["verdict"], table["reason"] = zip(*(_verdict(row) for row in table.to_dict("records")), strict=True)
    controls_of = {claim["id"]: claim.get("controls", []) for claim in claims}
    table = _apply_controls(table, controls_of)
    answers = pd.DataFrame([_answer(table, family, controls_of) for family in data.families])
    table["reading"] = table["family"].map(dict(zip(answers["family"], answers["reading"], strict=True)))
    rows = table.to_dict("records") + answers.to_dict("records")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def metrics(table: pd.DataFrame) -> dict:
    """Numeric leaves of a verdict table: {id: {family: {estimate, ci_low, ci_high, p_adjusted, n, verdict}}}.

    ``verdict`` is a number of `VERDICT_CODE`; an ``answer`` has one leaf, ``reading``, a number of `READING_CODE`. What
    is NaN has no leaf.
    """
    tree: dict = {}
    for row in table.to_dict("records"):
        if row["id"] == ANSWER:
            leaves = {"reading": READING_CODE[row["reading"]]}
        else:
            leaves = {leaf: float(row[column]) for leaf, column in METRICS.items() if pd.notna(row[column])}
            leaves["n"] = int(row["n_cases"])
            leaves["verdict"] = VERDICT_CODE[row["verdict"]]
        tree.setdefault(row["id"], {})[row["family"]] = leaves
    return tree


def by_family(claims: Sequence[dict], datasets: Iterable[xr.Dataset], seed: int, draws: int) -> pd.DataFrame:
    """What entries that pool all families come to in each of them: a description, on which no verdict rests.

    Parameters
    ----------
    claims, datasets, seed, draws
        As `judge` takes them.

    Returns
    -------
    DataFrame
        `BY_FAMILY_COLUMNS`, one row an (entry, family) of the pooled entries whose experiments are there; intervals are
        at 95 %, of each row alone. No estimate where a row of the verdict table would have none; no interval of fewer
        than `LEAST_WITH_INTERVAL` cases.
    """
    check_entries(claims)
    data = _index(datasets)
    rows = []
    for claim in claims:
        if claim["role"] != "untestable" and claim["population"] == "pooled":
            split = claim | {"population": "families"}
            families = [family for family in _families(split, data) if family != POOLED]
            rows += [_test(split, _measure(split, family, data, None), seed, draws).row for family in families]
    table = pd.DataFrame(rows, columns=list(BY_FAMILY_COLUMNS))
    few = table["n_cases"] < LEAST_WITH_INTERVAL
    return table.assign(**{name: table[name].mask(few) for name in ("ci_low", "ci_high")})


def word(direction: str, smallest: float, estimate: float, low: float, high: float, significant: bool) -> str:
    """Verdict of a confirmatory row from its corrected interval.

    Parameters
    ----------
    direction : str
        One of `claims.DIRECTIONS`.
    smallest, estimate, low, high : float
        Smallest effect of interest (positive), estimate, corrected interval.
    significant : bool
        Whether the adjusted p is at most `ALPHA`.

    Returns
    -------
    str
        For an effect: "replicated" (right direction, interval excludes 0, estimate at least the smallest effect),
        "direction only" (the same with a smaller estimate), "contradicted" (interval excludes 0 on the other side, or
        holds 0 and lies within the smallest effect), else "inconclusive". For an equivalence: "replicated" (interval
        within the smallest effect), "contradicted" (interval wholly outside), else "inconclusive". What excludes 0, and
        an equivalence, must be significant as well.
    """
    if direction == "equivalent":
        if significant and -smallest < low and high < smallest:
            return "replicated"
        return "contradicted" if low > smallest or high < -smallest else "inconclusive"
    if direction == "less" or (direction == "different" and estimate < 0):
        estimate, low, high = -estimate, -high, -low
    if significant and low > 0:
        return "replicated" if estimate >= smallest else "direction only"
    opposite = significant and high < 0
    ruled_out = low <= 0 <= high and -smallest < low and high < smallest
    return "contradicted" if opposite or ruled_out else "inconclusive"


@dataclass(frozen=True, eq=False)
class Sample:
    """What a row is tested on.

    Attributes
    ----------
    values : ndarray, (case,)
        One a case; where damage is counted above a floor, the parts of the difference, floor behind.
    strata : ndarray of int, (case,)
        As the cases were drawn; see :func:`chainofsteps.statistics.inference.strata_of`.
    regressor : ndarray, (case,), optional
        Of a slope.
    floor : int
        Cases of the floor among them.
    left_out : int
        Cases of the row that the estimand has no value of.
    """

    values: np.ndarray
    strata: np.ndarray
    regressor: np.ndarray | None = None
    floor: int = 0
    left_out: int = 0

    @property
    def parts(self) -> np.ndarray:
        """Numbers (case,) whose mean is the estimate."""
        return self.values if self.regressor is None else inference.slope_parts(self.values, self.regressor)


@dataclass(frozen=True)
class _Measure:
    row: dict
    sample: Sample | None = None


@dataclass(frozen=True)
class _Data:
    """Datasets by what they are of.

    Attributes
    ----------
    features : dict
        (experiment, family) -> features; score controls stand here under their kind.
    whole : dict
        (experiment, model) -> dataset of an experiment, all of its families.
    families : list of str
        Of the features.
    model, purpose : str
        Of the features.
    """

    features: dict[tuple[str, str], xr.Dataset]
    whole: dict[tuple[str, str], xr.Dataset]
    families: list[str]
    model: str
    purpose: str


def _index(datasets: Iterable[xr.Dataset]) -> _Data:
    features: dict[tuple[str, str], xr.Dataset] = {}
    whole: dict[tuple[str, str], xr.Dataset] = {}
    for dataset in datasets:
        pooled = "family" in dataset.variables
        for key in ("model_id", "purpose", "experiment", "order", *([] if pooled else ["family"])):
            if key not in dataset.attrs:
                raise Refused("features", key, "no such attribute", "a root attribute")
        second = "model_id" if pooled else "family"
        place, index = (dataset.attrs["experiment"], dataset.attrs[second]), whole if pooled else features
        if place in index:
            raise Refused("features", f"experiment, {second}", f"{place} twice", "one dataset each")
        index[place] = dataset
    if not features:
        raise Refused("features", "datasets", "none", "at least one")
    found = {
        "model_id": {dataset.attrs["model_id"] for (name, _), dataset in features.items() if name != SCORES},
        "purpose": {dataset.attrs["purpose"] for dataset in (*features.values(), *whole.values())},
    }
    for key, values in found.items():
        if len(values) > 1:
            raise Refused("features", key, ", ".join(sorted(values)), "one a table")
    families = sorted({family for name, family in features if name != SCORES})
    return _Data(features, whole, families, *(next(iter(values), "") for values in found.values()))


def _families(claim: dict, data: _Data) -> list[str]:
    """Families that an entry has a row for."""
    if claim["role"] == "untestable" or claim["population"] == "pooled":
        return [POOLED]
    kind = ESTIMANDS[claim["estimand"]].kind
    if kind == SCORES:
        return sorted({family for name, family in data.features if name == SCORES}) or [POOLED]
    if kind == FEATURES:
        return data.families
    parts = [data.whole.get(place) for place in _places(claim, data)]
    families = [dataset["family"].values[~is_solved(dataset)] for dataset in parts if dataset is not None]
    return sorted(set(np.concatenate(families).tolist())) if families else [POOLED]


def _places(claim: dict, data: _Data) -> list[tuple[str, str]]:
    """(experiment, model) of the datasets of an entry."""
    return [(name, model) for name in claim["experiments"] for model in claim.get("models", [data.model])]


def draw_sample(claim: dict, family: str, datasets: Sequence[xr.Dataset]) -> Sample:
    """Values of an entry, of the cases of a family or of all, and how these cases were drawn.

    Parameters
    ----------
    claim : dict
    family : str
        `claims.POOLED` for all.
    datasets : sequence of Dataset
        What the entry's estimand takes; families of an experiment's dataset are told apart here.

    Returns
    -------
    Sample

    Raises
    ------
    Refused, NotMeasured
        What the estimand refuses; no variable to regress on.
    """
    estimand, first = ESTIMANDS[claim["estimand"]], datasets[0]
    values = PER_CASE[claim["estimand"]](*datasets, **claim.get("settings", {}))
    known = [name for name in ("family", "difficulty") if name in first.variables]
    drawn = first[known].sel(case=values["case"].values)
    # Sums of shares leave dust of 1e-17, which would decide signs; + 0.0 turns -0.0 into 0.
    values = values.values.round(DECIMALS) + 0.0
    labels = drawn["difficulty"].values if "difficulty" in drawn.variables else np.zeros(len(values), int)
    left_out = first.sizes["case"] - len(values)
    if "family" not in first.variables:
        regressor = None
        if estimand.slope_on:
            if estimand.slope_on not in known:
                raise Refused(f"{family} features", estimand.slope_on, "no such variable", "one number a case")
            regressor = _own_range(drawn[estimand.slope_on].values)
        return Sample(values, inference.strata_of(labels), regressor, left_out=left_out)
    solved, asked = is_solved(drawn), ~is_solved(first)
    here = ~solved
    if family != POOLED:
        here, asked = (of & (each["family"] == family).values for of, each in ((here, drawn), (asked, first)))
    left_out = int(asked.sum() - here.sum())
    strata = inference.strata_of(drawn["family"].values.astype(str)[here] if family == POOLED else labels[here])
    if not (estimand.above_floor and solved.any()):
        return Sample(values[here], strata, left_out=left_out)
    parts = inference.difference_parts(values[here], values[solved])
    behind = strata.max() + 1 + inference.strata_of(drawn["family"].values.astype(str)[solved])
    return Sample(parts, np.concatenate([strata, behind]), floor=int(solved.sum()), left_out=left_out)


def _measure(claim: dict, family: str, data: _Data, registered: Collection[str] | None) -> _Measure:
    asked = registered is not None and data.purpose == "confirmatory" and claim["role"] != "untestable"
    status = "exploratory" if asked and claim["id"] not in registered else data.purpose
    row = {
        **{
            key: claim.get(key, "")
            for key in ("id", "group", "question", "paper", "role", "estimand", "test", "direction")
        },
        "family": family,
        "claim": ", ".join(claim.get("claims", [])),
        "status": status,
        "experiments": " - ".join(claim.get("experiments", [])),
        "order": "",
        "model_id": " - ".join(claim.get("models", [data.model])),
        "purpose": data.purpose,
        **dict.fromkeys(("estimate", "ci_low", "ci_high", "p"), np.nan),
        "n_cases": 0,
        "n_seeds": 0,
        "smallest_effect": np.nan,
        "unit": "",
        "network_evaluations": "",
        "verdict": "",
        "reason": "",
    }
    if claim["role"] == "untestable":
        return _Measure(row | {"verdict": "not testable here", "reason": claim["reason"]})
    row |= {"smallest_effect": claim["smallest_effect"]["value"], "unit": claim["smallest_effect"]["unit"]}
    estimand = ESTIMANDS[claim["estimand"]]
    of_features = estimand.kind in (FEATURES, SCORES)
    if estimand.kind == SCORES:
        places, index = [(SCORES, family)], data.features
    elif of_features:
        places, index = [(name, family) for name in claim["experiments"]], data.features
    else:
        places, index = _places(claim, data), data.whole
    missing = [place[0] for place in places if place not in index]
    if missing:
        return _Measure(row | {"verdict": "not testable here", "reason": f"no {estimand.kind} of {', '.join(missing)}"})

    used = [index[place] for place in places]
    try:
        sample = draw_sample(claim, family, used)
    except NotMeasured as lack:
        return _Measure(row | {"verdict": "not testable here", "reason": str(lack)})
    cases = len(sample.values) - sample.floor
    row |= {
        "n_cases": cases,
        "n_seeds": used[0].sizes.get("seed", 0),
        "order": " - ".join(each.attrs["order"] for each in used),
        "network_evaluations": "; ".join(
            f"{d.attrs['experiment']} {d.sizes['step']}" for d in used if "step" in d.sizes
        ),
    }
    solves = _solved_share(used[0], family)
    if claim["role"] == "control" and claim["direction"] == "greater" and solves < ORDER_WORKS:
        reason = f"the order solves {solves:.2f} of its cases, of which {ORDER_WORKS} are needed"
        return _Measure(row | {"verdict": "not testable here", "reason": reason})
    least = (
        LEAST_OF_CONTROLS if claim["role"] == "control" else LEAST_TESTED if sample.left_out else inference.LEAST_CASES
    )
    if cases < least and used[0].sizes["case"] >= inference.LEAST_CASES:
        reason = f"{cases} cases in which it can be asked, of which {least} are needed"
        return _Measure(row | {"verdict": "not testable here", "reason": reason})
    row["estimate"] = inference.estimate(sample.parts)
    if sample.floor == 1:
        reason = "a floor of one solved case, of which two are needed to see them spread"
        return _Measure(row | {"verdict": "not testable here", "reason": reason})
    if inference.is_constant(sample.values):
        return _Measure(row | _judge_constant(claim, sample.values))
    if sample.regressor is not None and inference.is_constant(sample.regressor):
        row |= {"estimate": np.nan, "verdict": "not testable here", "reason": f"constant {estimand.slope_on}"}
        return _Measure(row)
    return _Measure(row, sample)


def _test(claim: dict, measure: _Measure, seed: int, draws: int) -> _Measure:
    """With its interval and p, where there are values to test."""
    row, sample = measure.row, measure.sample
    if sample is None:
        return measure
    low, high = inference.mean_interval(sample.parts, draws, seed, 1 - ALPHA, sample.strata)
    if not np.isfinite([low, high]).all():
        return _Measure(row | {"verdict": "inconclusive", "reason": "constant resamples"})
    p = p_value(claim, sample, seed, draws)
    return _Measure(row | {"ci_low": low, "ci_high": high, "p": p}, sample)


def _solved_share(dataset: xr.Dataset, family: str) -> float:
    """Share of streams that an experiment solves where it changes nothing; 1 of features, which nothing changes."""
    if "arm" not in dataset.dims:
        return 1.0
    here = ~is_solved(dataset) if family == POOLED else (dataset["family"] == family).values
    return float((dataset["correct"].isel(arm=0, case=here) == 1).mean())


def _own_range(regressor: np.ndarray) -> np.ndarray:
    """Scaled from 0, the least of the cases, to 1, the greatest; all 0 where they are alike."""
    return (regressor - regressor.min()) / (np.ptp(regressor) or 1.0)


def _judge_constant(claim: dict, values: np.ndarray) -> dict:
    """Without spread there is no interval; a control may still pass by an exact sign test of its n equal cases.

    One that says that an effect is absent has nothing to show by a test: it passes where the cases do not have it.
    """
    p, value = 0.5 ** len(values), float(values[0])
    passes = _control_word(claim["direction"], claim["smallest_effect"]["value"], value, value, value) == "replicated"
    if claim["direction"] == "absent" and passes:
        return {"verdict": "replicated", "reason": "all cases alike"}
    if claim["role"] == "control" and passes and p <= ALPHA:
        return {"verdict": "replicated", "p": p, "reason": "all cases alike; exact sign test"}
    return {"verdict": "inconclusive", "reason": "constant outcome"}


def p_value(claim: dict, sample: Sample, seed: int, draws: int) -> float:
    """p of an entry's test on its sample; of a control, against its bound."""
    if claim["test"] == "tost":
        return inference.tost(sample.parts, claim["smallest_effect"]["value"], draws, seed, sample.strata)
    if claim["test"] == "sign_flip":
        return inference.sign_flip(sample.values, draws, seed)
    if claim["test"] == "mcnemar":
        return inference.mcnemar_p(sample.values)
    if claim["test"] == "permutation":
        return inference.permutation_p(sample.values, sample.regressor, draws, seed)
    bounded = claim["role"] == "control" and claim["direction"] != "absent"
    null = claim["smallest_effect"]["value"] if bounded else 0.0
    return inference.bootstrap_p(sample.parts, draws, seed, null, sample.strata)


def _correct(measures: list[_Measure], table: pd.DataFrame, seed: int, draws: int, tests: int) -> dict[str, np.ndarray]:
    corrected = {name: np.full(len(table), np.nan) for name in ("p_adjusted", "ci_low_corrected", "ci_high_corrected")}
    confirmatory = (table["role"] == "confirmatory") & (table["status"] != "exploratory")
    tested = (confirmatory & (table["verdict"] != "not testable here")).to_numpy().nonzero()[0]
    # A row without a p still counts as a test: dropping it after seeing the data would spare the others.
    p_values = table["p"].fillna(1.0).to_numpy()[tested]
    adjusted = inference.holm(np.concatenate([p_values, np.ones(max(0, tests - len(tested)))]))
    for index, p in zip(tested, adjusted, strict=False):
        measure = measures[index]
        if measure.sample is None:
            continue
        level = corrected_level(measure.row["direction"], len(adjusted))
        interval = inference.mean_interval(measure.sample.parts, draws, seed, level, measure.sample.strata)
        corrected["p_adjusted"][index] = p
        corrected["ci_low_corrected"][index], corrected["ci_high_corrected"][index] = interval
    return corrected


def corrected_level(direction: str, tests: int) -> float:
    """Level of an interval at which all of so many tests hold at once."""
    # TOST at alpha is the interval at 1 - 2 alpha: each bound is a test of its own.
    return 1 - (2 if direction == "equivalent" else 1) * ALPHA / tests


def tested_samples(claims: Sequence[dict], datasets: Iterable[xr.Dataset]) -> list[tuple[dict, str, Sample]]:
    """Sample of every row that is tested on a mean: what a calibration draws cases from.

    Parameters
    ----------
    claims, datasets
        As `judge` takes them.

    Returns
    -------
    list of tuple
        Entry, family and sample; rows that are not tested, slopes and controls are left out.
    """
    check_entries(claims)
    data = _index(datasets)
    found = []
    for claim in claims:
        if claim["role"] == "confirmatory" and not ESTIMANDS[claim["estimand"]].slope_on:
            for family in _families(claim, data):
                measure = _measure(claim, family, data, None)
                if measure.sample is not None:
                    found.append((claim, family, measure.sample))
    return found


def _verdict(row: dict) -> tuple[str, str]:
    if row["status"] == "exploratory":
        return "exploratory", "changed since its cases were drawn"
    if row["verdict"]:
        return row["verdict"], row["reason"]
    if row["role"] == "control":
        given = (row[name] for name in ("direction", "smallest_effect", "estimate", "ci_low", "ci_high"))
        return _control_word(*given), ""
    low, high = row["ci_low_corrected"], row["ci_high_corrected"]
    if not np.isfinite([low, high]).all():
        return "inconclusive", "no corrected interval"
    significant = row["p_adjusted"] <= ALPHA
    return word(row["direction"], row["smallest_effect"], row["estimate"], low, high, significant), ""


def _control_word(direction: str, smallest: float, estimate: float, low: float, high: float) -> str:
    if direction == "absent":
        return "contradicted" if low > 0 and estimate >= smallest else "replicated"
    if direction == "equivalent":
        beyond, short = -smallest < low and high < smallest, low > smallest or high < -smallest
    elif direction == "greater":
        beyond, short = low > smallest, high < smallest
    else:
        beyond, short = high < smallest, low > smallest
    return "replicated" if beyond else "contradicted" if short else "inconclusive"


def _apply_controls(table: pd.DataFrame, controls_of: dict[str, list[str]]) -> pd.DataFrame:
    words = {"replicated": "passed", "not testable here": "not run", "exploratory": "not run"}
    outcomes: dict[str, dict[str, str]] = {}
    for row in table[table["role"] == "control"].to_dict("records"):
        outcomes.setdefault(row["id"], {})[row["family"]] = words.get(row["verdict"], "failed")

    def outcome(entry: str, family: str, role: str) -> str:
        if role == "untestable":
            return ""
        if role == "control":
            return outcomes[entry][family]
        failed, absent = [], []
        for control in controls_of[entry]:
            rows = outcomes.get(control, {})
            # Rows of families that it was not asked of say nothing of the others.
            fitting = {family: rows[family]} if family in rows else rows
            failed += [_of_family(control, place, family) for place, word in fitting.items() if word == "failed"]
            if "passed" not in fitting.values():
                absent += [control] if "failed" not in fitting.values() else []
        parts = [f"{word}: {', '.join(names)}" for word, names in (("failed", failed), ("not run", absent)) if names]
        return "; ".join(parts) or "passed"

    table["controls"] = [outcome(*row) for row in zip(table["id"], table["family"], table["role"], strict=True)]
    blocked = (
        (table["role"] == "confirmatory")
        & (table["controls"] != "passed")
        & ~table["verdict"].isin(["inconclusive", "not testable here", "exploratory"])
    )
    table.loc[blocked, "reason"] = "control " + table["controls"] + "; else " + table["verdict"]
    table.loc[blocked, "verdict"] = "inconclusive"
    return table


def _of_family(control: str, place: str, family: str) -> str:
    return control if place == family else f"{control} ({place})"


def _answer(table: pd.DataFrame, family: str, controls_of: dict[str, list[str]]) -> dict:
    here = table[table["family"] == family]
    placing = here[
        (here["order"] == "joint")
        & (here["role"] == "confirmatory")
        & (here["direction"] == here["estimand"].map(PLACED_BY))
    ]
    pairs = {
        experiment: [rows[rows["estimand"] == estimand].iloc[0] for estimand in PLACED_BY]
        for experiment, rows in placing.groupby("experiments")
        if set(rows["estimand"]) == set(PLACED_BY)
    }
    row = dict.fromkeys(COLUMNS, np.nan) | dict.fromkeys(_TEXT_COLUMNS, "")
    row |= {name: here.iloc[0][name] for name in ("model_id", "purpose", "status")}
    row |= {
        "group": "steps",
        "id": ANSWER,
        "family": family,
        "estimand": ", ".join(PLACED_BY),
        "n_cases": 0,
        "n_seeds": 0,
    }
    if not pairs:
        reason = f"no joint {' or '.join(PLACED_BY)}"
        return row | {"reading": "undecided", "reason": reason, "controls": "not run"}
    places = {
        experiment: _place(gain, kappa, _near_one(here, controls_of[kappa["id"]]))
        for experiment, (gain, kappa) in pairs.items()
    }
    readings = {reading for reading, _ in places.values()}
    reasons = list(dict.fromkeys(reason for _, reason in places.values()))
    if len(readings) > 1:
        reasons = [f"{experiment} says {reading}" for experiment, (reading, _) in places.items()]
    gain, kappa = next(iter(pairs.values()))
    return row | {
        "experiments": "; ".join(pairs),
        "order": "joint",
        "reading": readings.pop() if len(readings) == 1 else "undecided",
        "reason": "; ".join(reasons),
        "controls": next((part["controls"] for part in (gain, kappa) if part["controls"] != "passed"), "passed"),
        "n_cases": gain["n_cases"],
        "n_seeds": gain["n_seeds"],
        "network_evaluations": "; ".join(gain["network_evaluations"] for gain, _ in pairs.values()),
    }


def _near_one(here: pd.DataFrame, controls: list[str]) -> float:
    """Bound beyond which frames commit in turn: the one that the positive control of sequentiality must clear."""
    rows = here[here["id"].isin(controls) & (here["estimand"] == "sequentiality") & (here["direction"] == "greater")]
    return rows["smallest_effect"].iloc[0] if len(rows) else np.nan


def _place(gain: pd.Series, kappa: pd.Series, near_one: float) -> tuple[str, str]:
    for part in (gain, kappa):
        if part["controls"] != "passed":
            return "undecided", f"control {part['controls']}"
    for part in (gain, kappa):
        if not np.isfinite(part["ci_low_corrected"]):
            return "undecided", f"{part['estimand']}: {part['reason']}"
    in_turn = kappa["ci_low_corrected"] > near_one
    not_in_turn = kappa["ci_high_corrected"] < near_one
    if gain["verdict"] == "replicated" and not_in_turn:
        return "steps", "gain of steps above the smallest effect, frames not in turn"
    if _within(gain) and in_turn:
        return "frames", "no gain of steps, frames commit in turn"
    if _within(gain) and kappa["verdict"] == "replicated":
        return "single pass", "no gain of steps, frames commit together"
    return "undecided", "gain of steps and sequentiality name no single answer"


def _within(row: pd.Series) -> bool:
    return -row["smallest_effect"] < row["ci_low_corrected"] and row["ci_high_corrected"] < row["smallest_effect"]
