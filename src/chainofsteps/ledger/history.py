"""Recorded runs, from Git alone: every commit of dvc.lock, with its settings and the verdicts that moved."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import pandas as pd
import yaml

from chainofsteps.ledger import commands
from chainofsteps.ledger.lock import DVC_LOCK
from chainofsteps.ledger.stages import CONFIG
from chainofsteps.refusal import Refused

_KEY = ["id", "family"]


@dataclass(frozen=True)
class Recorded:
    """A recorded run: commit and its date, sha256 of the settings (twelve digits), stages whose results differ from
    the run before, and verdicts that moved, as ``id family: before -> now``."""

    commit: str
    date: str
    config: str
    stages: tuple[str, ...]
    moved: tuple[str, ...]


def history() -> list[Recorded]:
    """Recorded runs, the latest first.

    Raises
    ------
    Refused
        No Git repository, or dvc.lock was never committed.
    """
    lines = commands.git("log", "--reverse", "--format=%H %cs", "--", DVC_LOCK.as_posix()).splitlines()
    if not lines:
        raise Refused(DVC_LOCK, "history", "never committed", "a recorded run: `make record`, and a commit")
    found: list[Recorded] = []
    outs_before: dict[str, dict] = {}
    verdicts_before: dict[tuple, str] = {}
    for line in lines:
        commit, date = line.split()
        lock = yaml.safe_load(_shown(commit, DVC_LOCK.as_posix()) or "{}")
        outs = {
            name: {out["path"]: out["md5"] for out in s.get("outs", [])} for name, s in lock.get("stages", {}).items()
        }
        config = _shown(commit, CONFIG.as_posix())
        verdicts = _verdicts(
            commit, [path for stage in outs.values() for path in stage if path.endswith("/verdicts.csv")]
        )
        moved = [
            f"{' '.join(key)}: {verdicts_before.get(key, 'none')} -> {verdicts.get(key, 'none')}"
            for key in sorted({*verdicts_before, *verdicts})
            if verdicts_before.get(key) != verdicts.get(key)
        ]
        changed = tuple(name for name in outs if outs[name] != outs_before.get(name))
        digest = hashlib.sha256(config.encode()).hexdigest()[:12]
        found.append(Recorded(commit[:12], date, digest, changed, tuple(moved) if found else ()))
        outs_before, verdicts_before = outs, verdicts
    return found[::-1]


def render_history(runs: list[Recorded]) -> str:
    """A line a run, and a line each verdict that moved."""
    lines = []
    for run in runs:
        lines.append(f"{run.commit}  {run.date}  config {run.config}  results of: {', '.join(run.stages) or 'none'}")
        lines += [f"    {each}" for each in run.moved]
    return "\n".join(lines)


def _verdicts(commit: str, paths: list[str]) -> dict[tuple, str]:
    """Verdict word by entry and family; of an answer, its reading."""
    found: dict[tuple, str] = {}
    for path in paths:
        text = _shown(commit, path)
        if text:
            table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
            # An answer has no verdict; the first records had no readings.
            words = table["verdict"].where(table["verdict"] != "", table.get("reading", ""))
            found |= dict(zip(table[_KEY].itertuples(index=False, name=None), words, strict=True))
    return found


def _shown(commit: str, path: str) -> str:
    """A file as a commit has it; empty where it has none."""
    try:
        return commands.git("show", f"{commit}:{path}")
    except Refused:
        return ""
