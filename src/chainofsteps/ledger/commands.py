"""Git, DVC and Snakemake as the ledger calls them: each in the project's folder, with its refusal in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from chainofsteps.refusal import Refused


def git(*arguments: str) -> str:
    """Output of a Git command; refused where Git refuses."""
    return _run("git", ["git"], arguments).stdout


def dvc(*arguments: str) -> str:
    """Output of a DVC command; refused where DVC refuses. Not to be asked quietly: it would not say why."""
    return _run("dvc", [sys.executable, "-m", "dvc"], arguments).stdout


def snakemake(*arguments: str) -> str:
    """Output of Snakemake, standard error included; refused where it refuses."""
    done = _run("snakemake", [sys.executable, "-m", "snakemake"], arguments)
    return done.stdout + done.stderr


def touch(targets: Sequence[str]) -> None:
    """Let Snakemake take files as made, each job's after those of the jobs before it; refused where it refuses."""
    # It waits .1 s before each job, longer than any file system here needs to tell two times apart.
    call = (
        "from snakemake.executors.touch import Executor; Executor.SLEEPING_TIME = 0.01; "
        "from snakemake.cli import main; main()"
    )
    options = ("--cores", "1", "--touch", "--forceall", "--quiet", "all", "--", *targets)
    _run("snakemake", [sys.executable, "-c", call], options)


def planned(targets: Sequence[str] = ()) -> list[str]:
    """Rules that Snakemake would run for some files, or for the default target: empty where nothing is to be done."""
    said = snakemake("-n", "--quiet", "host", *(("--", *targets) if targets else ()))
    if "Job stats:" not in said:
        return []
    rows = (line.split() for line in said.rsplit("Job stats:", 1)[1].splitlines())
    counted = [row[0] for row in rows if len(row) == 2 and row[1].isdigit()]
    return [rule for rule in counted if rule not in ("total", "all", "replicate")]


def _run(name: str, call: Sequence[str], arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*call, *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        told = [line for line in lines if line.lower().startswith(("error", "fatal", "refused"))] or lines[-1:]
        given = "; ".join(told[:3]) or f"status {done.returncode}"
        raise Refused(name, " ".join(arguments)[:80], given, "a command that ends well")
    return done
