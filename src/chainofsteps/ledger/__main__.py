"""``python -m chainofsteps.ledger``, in the project's folder."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable

from chainofsteps.ledger.audit import audit, is_clean, render_table
from chainofsteps.ledger.history import history, render_history
from chainofsteps.ledger.lock import DVC_YAML
from chainofsteps.ledger.record import record
from chainofsteps.ledger.restore import restore
from chainofsteps.ledger.stages import build_stages, read_jobs, read_patterns, render
from chainofsteps.refusal import or_exit


def _stages(given: argparse.Namespace) -> int:
    text = render(build_stages(read_jobs()))
    if given.check:
        committed = DVC_YAML.read_text() if DVC_YAML.is_file() else ""
        names = str(DVC_YAML), "the workflow"
        difference = difflib.unified_diff(committed.splitlines(True), text.splitlines(True), *names)
        sys.stdout.writelines(difference)
        return int(committed != text)
    DVC_YAML.write_text(text)
    return 0


def _record(given: argparse.Namespace) -> int:
    print("recorded; commit", ", ".join(record()))
    return 0


def _restore(given: argparse.Namespace) -> int:
    print(f"{restore(given.remote)} outputs are here as they were recorded")
    return 0


def _audit(given: argparse.Namespace) -> int:
    findings = audit(read_patterns())
    if given.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        print(render_table(findings))
    return int(not is_clean(findings, given.tolerant))


def _history(given: argparse.Namespace) -> int:
    print(render_history(history()))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m chainofsteps.ledger", description="The DVC side of the workflow.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, action: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=words, description=words)
        added.set_defaults(action=action)
        return added

    stages = command("stages", _stages, "write dvc.yaml from the DAG of the default configuration")
    stages.add_argument("--check", action="store_true", help="write nothing; print the difference, exit 1 if any")
    command("record", _record, "hash a finished run into dvc.lock, with a sidecar on where and how it ran")
    words = "bring recorded results back from a DVC remote, without running a rule"
    command("restore", _restore, words).add_argument("--remote", help="name of a DVC remote (the default one)")
    audited = command(
        "audit", _audit, "say of each result what it is against the record; exit 1 unless all are current"
    )
    audited.add_argument("--json", action="store_true", help="print every finding, for machines")
    audited.add_argument("--tolerant", action="store_true", help="take last digits of another machine for current")
    command("history", _history, "list recorded runs, latest first, with the verdicts that moved")
    given = parser.parse_args(arguments)
    with or_exit():
        return given.action(given)


if __name__ == "__main__":
    sys.exit(main())
