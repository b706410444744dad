"""A clone of the project in a new folder, and Snakemake in it, from nothing or from a process that has imported all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.browser import Browser
from tests.integration.warm import Warm

ROOT = Path(__file__).parents[2]
QUICK = ("--configfile", "config/quick.yaml")


class Clone:
    """A copy of the project's files, without results.

    Parameters
    ----------
    folder : path
    warm : Warm, optional
        What Snakemake and its jobs are forked from; each a new Python where there is none.
    jobs : str
        Python of its jobs, if they are not to be forked.
    """

    def __init__(self, folder: Path, warm: Warm | None = None, jobs: str = ""):
        self.folder, self.warm, self._jobs = folder, warm, jobs
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            source, target = ROOT / name, folder / name
            if name.startswith("results/") or not source.is_file():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        if (ROOT / "profiles").is_symlink():
            (folder / "profiles").unlink(missing_ok=True)
            (folder / "profiles").symlink_to("workflow/profiles")

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake here with this clone's package."""
        environment = os.environ | {
            "PYTHONDONTWRITEBYTECODE": "",  # the clone's modules are compiled once, not in every job
            "PYTHONPATH": str(self.folder / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        # Workflows of few jobs: three seconds later (profiles/default), Snakemake would end after most of their time.
        command = ("-m", "snakemake", "--max-jobs-per-timespan", "100/1s", *arguments)
        if self.warm:
            return self.warm.run(*command, folder=self.folder, environment=environment, python=self._jobs)
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def planned(self, *arguments: str) -> set[str]:
        """Rules that a dry run would run, the target rule left out."""
        return set(self.jobs(*arguments)) - {"total", "replicate", "all"}

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Jobs of a dry run by rule, ``total`` among them; none where nothing is to be done."""
        done = self.snakemake("-n", "--quiet", "host", *arguments)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        if "Job stats:" not in said:
            assert "Nothing to be done" in said
            return {}
        rows = re.findall(r"^([a-z_]+) +(\d+)$", said.rsplit("Job stats:", 1)[1], flags=re.MULTILINE)
        return {rule: int(count) for rule, count in rows}


@pytest.fixture(scope="session")
def warm(tmp_path_factory) -> Iterator[Warm]:
    """The process that has imported all."""
    started = Warm(tmp_path_factory.mktemp("warm"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory, request) -> Callable[..., Clone]:
    """``make_clone(name, warm=True, jobs="")``: a new clone; not warm, its Snakemake and jobs start as a user's do."""

    def make(name: str, warm: bool = True, jobs: str = "") -> Clone:
        return Clone(tmp_path_factory.mktemp(name), request.getfixturevalue("warm") if warm else None, jobs)

    return make


@pytest.fixture(scope="session")
def finished(make_clone) -> Clone:
    """A clone in which the quick configuration was run to its end. Put back what you change."""
    clone = make_clone("finished")
    # Counted over three seconds (profiles/default): here are many jobs.
    done = clone.snakemake("--max-jobs-per-timespan", "300/3s", "--cores", "2", *QUICK)
    assert done.returncode == 0, done.stderr
    return clone


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    """One window for all pages."""
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
