"""What an entry of ``config/claims.yaml`` may say. Imports nothing heavy: the Snakefile asks while it is parsed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from chainofsteps.refusal import Refused

FILE = "config/claims.yaml"
TESTS = ("sign_flip", "tost", "bootstrap", "permutation", "mcnemar")
DIRECTIONS = ("greater", "less", "equivalent", "different", "absent")
ROLES = ("confirmatory", "control", "untestable")
POPULATIONS = ("families", "pooled")
# What an entry says that is tested; the schema describes each.
NEEDED = (
    "estimand",
    "population",
    "experiments",
    "smallest_effect",
    "test",
    "direction",
    "rule",
    "predictions",
)
ANSWER = "answer"  # id of the rows that place a family, so no entry may have it
POOLED = "all"  # family of the rows of a pooled entry
FEATURES, SCORES = "features", "score_controls"
KINDS = ("replace", "erase", "resample")
# Arms that an average over seeds is held against, by how their names begin.
AGAINST = {
    "clean": "clean",
    "one_stream": "one stream",
    "vote": "vote of",
    "best": "best of",
    "noise": "average of noise",
    "clean_estimates": "average of clean estimates",
    "random_layers": "average of random layers",
}


@dataclass(frozen=True)
class Estimand:
    """What an estimand is made of; ``estimands.PER_CASE`` computes it.

    Parameters
    ----------
    kind : str
        Of the datasets that it takes: `FEATURES`, `SCORES`, or a kind of intervention.
    experiments, models : int
        How many of each its datasets are of: one dataset an (experiment, model).
    slope_on : str or None
        Case variable on which the values are regressed; None where the estimate is their mean.
    above_floor : bool
        Whether the mean of the cases that were solved in the first frame is taken off.
    settings : dict
        Accepted values by the name of each setting that an entry must give; a type where any value of it will do.
    """

    kind: str = FEATURES
    experiments: int = 1
    models: int = 1
    slope_on: str | None = None
    above_floor: bool = False
    settings: dict[str, tuple | type] = field(default_factory=dict)


_OF_KIND = {"kind": KINDS}
ESTIMANDS = {
    "gain_of_steps": Estimand(),
    "sequentiality": Estimand(),
    "mean_commitment": Estimand(),
    "difficulty_slope": Estimand(slope_on="difficulty"),
    "success": Estimand(),
    "order_difference": Estimand(experiments=2),
    "entropy_fall": Estimand(),
    "early_branch_score": Estimand(),
    "correction_balance": Estimand(),
    "score_control": Estimand(SCORES, experiments=0, models=0),
    "step_damage": Estimand("erasure", above_floor=True, settings=_OF_KIND),
    "step_minus_frame": Estimand("erasure", above_floor=True, settings=_OF_KIND),
    "step_minus_frame_share": Estimand("erasure", settings=_OF_KIND),
    "direction_of_damage": Estimand("erasure", settings=_OF_KIND),
    "early_persistence": Estimand("erasure", above_floor=True, settings=_OF_KIND),
    "sensitivity_peak": Estimand("erasure", above_floor=True, settings=_OF_KIND),
    "plant_lead": Estimand("plant"),
    "middle_swap": Estimand("swap", settings={"layers": list}),
    "object_rise": Estimand("layers"),
    "ensemble_gain": Estimand("ensemble", settings={"window": list, "against": tuple(AGAINST)}),
    "steps_loss": Estimand("orders", settings={"steps": int}),
    "frames_loss": Estimand("orders", settings={"frames": int}),
    "steps_minus_frames": Estimand("orders", settings={"steps": int, "frames": int}),
    "depth_difference": Estimand("orders", models=2),
}


def check_entries(entries: Sequence[dict], where: object = FILE) -> None:
    """Refuse entries that follow their schema and still cannot be judged.

    Parameters
    ----------
    entries : sequence of dict
        The ``claims`` list of ``config/claims.yaml``.
    where : object
        File that a refusal names, beside the id of the entry.

    Raises
    ------
    Refused
        Unknown estimand, setting, test, direction or role; an id or a question twice; experiments, models, test or
        direction that do not fit the estimand, the test or the role; a confirmatory entry without a control, or a
        control with one.
    """
    controls = [entry["id"] for entry in entries if entry["role"] == "control"]
    for position, entry in enumerate(entries):
        untestable = entry["role"] == "untestable"
        for name in ("reason",) if untestable else NEEDED:
            if name not in entry:
                raise Refused(where, f"{entry['id']}.{name}", "nothing", f"a value, for role {entry['role']}")
        if not untestable:
            _check_entry(entry, controls, where)
        before = entries[:position]
        if entry["id"] == ANSWER or entry["id"] in [other["id"] for other in before]:
            raise Refused(where, f"{entry['id']}.id", entry["id"], "an id of its own")
        asked = [_question(other) for other in before if other["role"] != "untestable"]
        if not untestable and _question(entry) in asked:
            given = f"{entry['estimand']} of {', '.join(entry['experiments'])} twice"
            raise Refused(where, f"{entry['id']}.estimand", given, "one entry each")


def check_experiments(entries: Sequence[dict], kinds: Mapping[str, str], where: object = FILE) -> None:
    """Refuse entries whose experiments are not there, or are of a kind that their estimand does not read.

    Parameters
    ----------
    entries : sequence of dict
        As `check_entries` accepts them.
    kinds : mapping
        Kind of each experiment of the configuration, `FEATURES` for those that only sample.
    where : object

    Raises
    ------
    Refused
    """
    for entry in entries:
        for name in entry.get("experiments", ()):
            wanted = ESTIMANDS[entry["estimand"]].kind
            fitting = [other for other, kind in kinds.items() if kind == wanted]
            _require(name in fitting, entry, "experiments", ", ".join(fitting) or f"one of kind {wanted}", where, name)


def restricted(entries: Sequence[dict], ids: Collection[str]) -> list[dict]:
    """Entries of these ids, each with those of its controls that are among them."""
    kept = [entry for entry in entries if entry["id"] in ids]
    return [
        entry | ({"controls": [name for name in entry["controls"] if name in ids]} if "controls" in entry else {})
        for entry in kept
    ]


def asked_of(entries: Sequence[dict], experiments: Collection[str]) -> list[dict]:
    """Entries that features of these experiments suffice for, controls among them."""
    ids = [
        entry["id"]
        for entry in entries
        if entry["role"] != "untestable"
        and ESTIMANDS[entry["estimand"]].kind == FEATURES
        and set(entry["experiments"]) <= set(experiments)
    ]
    return restricted(entries, ids)


def hash_entry(entry: dict, settings: object) -> str:
    """What is registered of an entry: a SHA-256 of all that it says and of the settings that it is measured by."""
    return hashlib.sha256(json.dumps([entry, settings], sort_keys=True).encode()).hexdigest()


def _check_entry(entry: dict, controls: list[str], where: object) -> None:
    words = {"estimand": tuple(ESTIMANDS), "test": TESTS, "direction": DIRECTIONS, "role": ROLES}
    for name, accepted in (words | {"population": POPULATIONS}).items():
        _require(entry[name] in accepted, entry, name, ", ".join(accepted), where)
    estimand = ESTIMANDS[entry["estimand"]]
    fits = len(entry["experiments"]) == estimand.experiments
    _require(fits, entry, "experiments", f"{estimand.experiments} for {entry['estimand']}", where)
    if estimand.kind in (FEATURES, SCORES):
        # Only the run's own model is sampled.
        _require(not entry.get("models"), entry, "models", f"none, for {entry['estimand']}", where)
        _require(entry["population"] == "families", entry, "population", f"families, for {entry['estimand']}", where)
    else:
        given = entry.get("models", ["that of the run"])
        _require(len(given) == estimand.models, entry, "models", f"{estimand.models} for {entry['estimand']}", where)
    _check_settings(entry, estimand, where)
    # Signs and changes of cases say nothing of a difference from other cases.
    fitting = ("tost", "bootstrap") if estimand.above_floor else ("tost", "bootstrap", "sign_flip", "mcnemar")
    fitting = ("permutation",) if estimand.slope_on else fitting
    _require(entry["test"] in fitting, entry, "test", f"{', '.join(fitting)}, for {entry['estimand']}", where)
    fits = (entry["test"] == "tost") == (entry["direction"] == "equivalent")
    _require(fits, entry, "direction", "equivalent with tost, and only with it", where)
    given = entry.get("controls", [])
    if entry["role"] == "control":
        directed = entry["direction"] != "different"
        _require(directed, entry, "direction", "greater, less, equivalent or absent, for a control", where)
        _require(not given, entry, "controls", "none, for a control", where)
    else:
        _require(entry["direction"] != "absent", entry, "direction", "any but absent, which is for controls", where)
        _require(bool(given), entry, "controls", ", ".join(controls) or "the id of a control", where)
        for name in given:
            _require(name in controls, entry, "controls", ", ".join(controls), where, name)


def _check_settings(entry: dict, estimand: Estimand, where: object) -> None:
    given = entry.get("settings", {})
    for name, accepted in estimand.settings.items():
        if isinstance(accepted, tuple):
            _require(
                given.get(name) in accepted, entry, f"settings.{name}", ", ".join(accepted), where, given.get(name)
            )
        else:
            fits = isinstance(given.get(name), accepted)
            _require(fits, entry, f"settings.{name}", f"a value of type {accepted.__name__}", where, given.get(name))
    for name in set(given) - set(estimand.settings):
        accepted = ", ".join(estimand.settings) or f"none for {entry['estimand']}"
        raise Refused(where, f"{entry['id']}.settings.{name}", "an unknown key", accepted)


def _require(holds: bool, entry: dict, name: str, accepted: str, where: object, *given: object) -> None:
    if not holds:
        raise Refused(where, f"{entry['id']}.{name}", repr(given[0] if given else entry.get(name)), accepted)


def _question(entry: dict) -> tuple:
    # A difference the other way round is the same question.
    settings = json.dumps(entry.get("settings", {}), sort_keys=True)
    parts = (sorted(entry[name]) if name in entry else [] for name in ("experiments", "models"))
    return entry["estimand"], *parts, entry["population"], settings
