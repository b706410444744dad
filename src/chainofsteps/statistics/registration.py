"""What was claimed when the cases were drawn: recorded before, asked when the claims are judged.

Entries that read features belong to the block ``cases`` of case seeds, entries that read experiments to the block
``interventions``. A block and the index of its first case name a registration; new cases (another first index) take a
new one. Entries are held by hash, so that nothing of an entry, nor of what it is measured by, can change unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from chainofsteps.refusal import Refused
from chainofsteps.statistics.claims import ESTIMANDS, FEATURES, SCORES, hash_entry

BLOCKS = ("cases", "interventions")
NONE = "none"  # registration of pilot cases, which prove nothing


def block_of(entry: dict) -> str | None:
    """Block of case seeds that an entry is judged on; None where it is not tested."""
    if entry["role"] == "untestable":
        return None
    return "cases" if ESTIMANDS[entry["estimand"]].kind in (FEATURES, SCORES) else "interventions"


def entry_hashes(
    entries: Sequence[dict], config: Mapping, experiments: Mapping[str, dict], revisions: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """What is registered of each entry, by block.

    Parameters
    ----------
    entries : sequence of dict
        The ``claims`` list of ``config/claims.yaml``.
    config : mapping
        Configuration of the run.
    experiments : mapping
        Settings by name of every experiment that entries may name.
    revisions : mapping
        Revision of each model by name.

    Returns
    -------
    dict
        Block -> id -> hash of the entry with its experiments, cases, seeds, statistics and models.
    """
    shared = {
        "cases": {"families": config["cases"]["families"], "count": config["cases"]["count"], "seeds": config["seeds"]},
        "interventions": {},
    }
    hashes: dict[str, dict[str, str]] = {block: {} for block in BLOCKS}
    for entry in entries:
        block = block_of(entry)
        if block is not None:
            measured_by = {
                "experiments": {name: experiments[name] for name in entry["experiments"]},
                "statistics": config["statistics"],
                "models": {name: revisions.get(name, "") for name in entry.get("models", [config["model"]])},
                **shared[block],
            }
            if ESTIMANDS[entry["estimand"]].kind == SCORES:
                measured_by["scored"] = config["interventions"]["scored"]
            hashes[block][entry["id"]] = hash_entry(entry, measured_by)
    return hashes


def register(path: str | Path, hashes: Mapping[str, str]) -> None:
    """Record entries once; what is recorded stays as it is.

    Raises
    ------
    Refused
        The file is there and is no registration.
    """
    path = Path(path)
    if path.exists():
        read_registration(path)
        return
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(dict(hashes), indent=1, sort_keys=True) + "\n")
    partial.replace(path)


def read_registration(path: str | Path) -> tuple[dict[str, str], str]:
    """Entries of a registration, and the hash of the file, which cases carry that were drawn under it.

    Raises
    ------
    Refused
        No such file, or none that `register` wrote.
    """
    path = Path(path)
    if not path.is_file():
        raise Refused(path, "file", "nothing", "a registration")
    content = path.read_bytes()
    try:
        entries = json.loads(content)
    except ValueError:
        entries = None
    if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
        raise Refused(path, "file", "no registration", "hashes of entries by id")
    return entries, hashlib.sha256(content).hexdigest()


def registered_ids(
    registrations: Mapping[str, str | Path],
    hashes: Mapping[str, Mapping[str, str]],
    drawn_under: Mapping[str, Iterable[str]],
) -> set[str]:
    """Entries that are as they were when their cases were drawn.

    Parameters
    ----------
    registrations : mapping
        File by block.
    hashes : mapping
        As `entry_hashes` gives them, now.
    drawn_under : mapping
        Registrations (hashes of files) that the cases of each block carry.

    Raises
    ------
    Refused
        Cases were drawn under another registration than the one that stands there now.
    """
    found: set[str] = set()
    for block, path in registrations.items():
        entries, file_hash = read_registration(path)
        for other in set(drawn_under[block]) - {file_hash}:
            raise Refused(path, "sha256", file_hash[:12], f"{other[:12]}, under which the cases were drawn")
        found |= {name for name, value in hashes[block].items() if entries.get(name) == value}
    return found
