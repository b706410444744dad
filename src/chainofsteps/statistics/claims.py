"""What an entry of ``config/claims.yaml`` may say. Imports nothing heavy: the Snakefile asks while it is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainofsteps.refusal import Refused

FILE = "config/claims.yaml"
TESTS = ("sign_flip", "tost", "bootstrap")
DIRECTIONS = ("greater", "less", "equivalent", "different")
ROLES = ("confirmatory", "control")
ANSWER = "answer"  # id of the rows that place a family, so no entry may have it


@dataclass(frozen=True)
class Estimand:
    """What an estimand is made of; ``estimands.PER_CASE`` computes it.

    Parameters
    ----------
    experiments : int
        How many features datasets it takes.
    slope_on : str or None
        Case variable on which the values are regressed; None where the estimate is their mean.
    """

    experiments: int = 1
    slope_on: str | None = None


ESTIMANDS = {
    "gain_of_steps": Estimand(),
    "sequentiality": Estimand(),
    "mean_commitment": Estimand(),
    "difficulty_slope": Estimand(slope_on="difficulty"),
    "success": Estimand(),
    "order_difference": Estimand(experiments=2),
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
        Unknown estimand, test, direction or role; an id or a question twice; experiments, test or direction that do not
        fit the estimand, the test or the role; a confirmatory entry without a control, or a control with one.
    """
    controls = [entry["id"] for entry in entries if entry["role"] == "control"]
    for position, entry in enumerate(entries):
        _check_entry(entry, controls, where)
        before = entries[:position]
        if entry["id"] == ANSWER or entry["id"] in [other["id"] for other in before]:
            raise Refused(where, f"{entry['id']}.id", entry["id"], "an id of its own")
        if _question(entry) in map(_question, before):
            given = f"{entry['estimand']} of {', '.join(entry['experiments'])} twice"
            raise Refused(where, f"{entry['id']}.estimand", given, "one entry each")


def _check_entry(entry: dict, controls: list[str], where: object) -> None:
    words = {"estimand": tuple(ESTIMANDS), "test": TESTS, "direction": DIRECTIONS, "role": ROLES}
    for field, accepted in words.items():
        _require(entry[field] in accepted, entry, field, ", ".join(accepted), where)
    estimand = ESTIMANDS[entry["estimand"]]
    fits = len(entry["experiments"]) == estimand.experiments
    _require(fits, entry, "experiments", f"{estimand.experiments} for {entry['estimand']}", where)
    sloped = estimand.slope_on is not None
    _require(not sloped or entry["test"] == "bootstrap", entry, "test", "bootstrap, for a slope over cases", where)
    fits = (entry["test"] == "tost") == (entry["direction"] == "equivalent")
    _require(fits, entry, "direction", "equivalent with tost, and only with it", where)
    if entry["role"] == "control":
        _require(entry["direction"] in ("greater", "less"), entry, "direction", "greater or less, for a control", where)
        _require(entry.get("control") is None, entry, "control", "null, for a control", where)
    else:
        accepted = ", ".join(controls) or "the id of a control"
        _require(entry.get("control") in controls, entry, "control", accepted, where)


def _require(holds: bool, entry: dict, field: str, accepted: str, where: object) -> None:
    if not holds:
        raise Refused(where, f"{entry['id']}.{field}", repr(entry.get(field)), accepted)


def _question(entry: dict) -> tuple[str, list[str]]:
    # A difference the other way round is the same question.
    return entry["estimand"], sorted(entry["experiments"])
