"""One word and a cause for each result: what dvc.lock recorded against what lies here.

Content alone counts; a changed time is no change. Nothing is written and nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from chainofsteps.configuration import load_yaml
from chainofsteps.ledger.compare import Differs, largest_difference
from chainofsteps.ledger.lock import Stage, changed_inputs, md5_if_there, read_stages, recorded_bytes
from chainofsteps.ledger.stages import CONFIG

CURRENT, TOLERATED, STALE = "current", "drifted within tolerance", "stale"
DRIFTED, MISSING, ORPHAN = "drifted", "missing", "orphan"
STATES = (CURRENT, TOLERATED, STALE, DRIFTED, MISSING, ORPHAN)
PROVENANCE = "provenance.json"  # beside the results; of record, not of a rule
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """What is said of a result: its path, one of `STATES`, and why; the stage that makes it, if any does.

    `compared` is false where nothing is here to tell a difference from last digits.
    """

    path: str
    state: str
    cause: str = ""
    stage: str = ""
    compared: bool = True

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def audit(makes: Collection[re.Pattern] = ()) -> list[Finding]:
    """Findings on every output of dvc.yaml, and on files in the results folder that nothing makes.

    Parameters
    ----------
    makes : collection of compiled patterns
        Paths that some rule makes, on request or without being recorded (`stages.read_patterns`): these are no orphans.

    Returns
    -------
    list of Finding
        By stage, in the order of dvc.yaml; orphans last.

    Raises
    ------
    Refused
        As `read_stages`; a file of config/ that is missing or no YAML mapping.
    """
    stages = read_stages()
    own = {path: md5_if_there(path) for path in _paths(stages)}
    findings: dict[str, Finding] = {}
    changed: dict[str, str] = {}  # cause by stage that is stale
    maker = {path: stage.name for stage in stages for path in stage.made}
    for stage in stages:
        causes = list(_causes(stage, own, findings, changed, maker))
        if causes:
            more = f", and {len(causes) - _SHOWN} more" if len(causes) > _SHOWN else ""
            changed[stage.name] = ", ".join(causes[:_SHOWN]) + more
        for path in stage.made:
            findings[path] = _finding(path, stage, own[path], changed.get(stage.name, ""))
    return [*findings.values(), *_orphans(stages, findings, makes)]


def is_clean(findings: Iterable[Finding], tolerant: bool = False) -> bool:
    """Whether all are current; or, if tolerant, drifted by no more than last digits."""
    accepted = (CURRENT, TOLERATED) if tolerant else (CURRENT,)
    return all(finding.state in accepted for finding in findings)


def render_table(findings: list[Finding]) -> str:
    """Findings that are not current, a line each, and a last line that counts the states."""
    lines = [f"{each.state:<24}  {each.path}  {each.cause}".rstrip() for each in findings if each.state != CURRENT]
    counts = {state: sum(each.state == state for each in findings) for state in STATES}
    return "\n".join([*lines, ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing"])


def _paths(stages: list[Stage]) -> set[str]:
    return {path for stage in stages for path in (*stage.made, *stage.deps, *stage.outs)}


def _causes(
    stage: Stage, own: dict, findings: dict[str, Finding], changed: dict[str, str], maker: dict[str, str]
) -> Iterable[str]:
    """Why what a stage made is not what it would make now."""
    yield from changed_inputs(stage, {path: own[path] for path in stage.deps if path not in maker})
    taken = [path for path in sorted(stage.deps) if path in maker and path in stage.asked]
    for path in taken:
        # Without a copy these may be last digits: what was made from them speaks for itself.
        if findings[path].state in (DRIFTED, MISSING) and findings[path].compared:
            yield f"{path} is {findings[path].state}"
    for name in sorted({maker[path] for path in taken} & set(changed)):
        yield f"stage {name} is stale"


def _finding(path: str, stage: Stage, own: str | None, stale: str) -> Finding:
    recorded = stage.outs.get(path)
    if own is None:
        return Finding(path, MISSING, "recorded, not here" if recorded else "neither recorded nor here", stage.name)
    if recorded is None:
        return Finding(path, DRIFTED, "never recorded", stage.name)
    if own == recorded:
        return Finding(path, STALE if stale else CURRENT, stale, stage.name)
    content = recorded_bytes(path, recorded)
    behind = f"; {stale}" if stale else ""
    if content is None:
        cause = f"content differs from the record, of which no copy is here to tell by how much{behind}"
        return Finding(path, DRIFTED, cause, stage.name, compared=False)
    try:
        difference = largest_difference(path, content, Path(path).read_bytes())
    except Differs as cause:
        return Finding(path, DRIFTED, f"{cause}{behind}", stage.name)
    if stale:
        return Finding(path, STALE, f"{stale}; {difference}", stage.name)
    return Finding(path, TOLERATED, difference, stage.name)


def _orphans(stages: list[Stage], findings: dict[str, Finding], makes: Collection[re.Pattern]) -> list[Finding]:
    results = Path(load_yaml(CONFIG)["results"])
    once = {path for stage in stages for path in stage.outs}
    found = []
    for file in sorted(results.rglob("*")):
        path = file.as_posix()
        if not file.is_file() or path in findings or file.name in (PROVENANCE, ".gitignore"):
            continue
        if not any(pattern.fullmatch(path) for pattern in makes):
            found.append(Finding(path, ORPHAN, "recorded once, made no longer" if path in once else "no rule makes it"))
    return found
