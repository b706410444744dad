"""``python -m chainofsteps.ledger``, in the project's folder."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from chainofsteps.ledger.stages import build_stages, read_jobs, render
from chainofsteps.refusal import or_exit

DVC_YAML = Path("dvc.yaml")


def main(arguments: list[str] | None = None) -> int:
    """Write or check dvc.yaml; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m chainofsteps.ledger", description="The DVC side of the workflow.")
    commands = parser.add_subparsers(dest="command", required=True)
    stages = commands.add_parser("stages", help="write dvc.yaml from the DAG of the default configuration")
    stages.add_argument("--check", action="store_true", help="write nothing; print the difference, exit 1 if any")
    check = parser.parse_args(arguments).check
    with or_exit():
        text = render(build_stages(read_jobs()))
    if check:
        committed = DVC_YAML.read_text() if DVC_YAML.is_file() else ""
        names = str(DVC_YAML), "the workflow"
        difference = difflib.unified_diff(committed.splitlines(True), text.splitlines(True), *names)
        sys.stdout.writelines(difference)
        return int(committed != text)
    DVC_YAML.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
