"""The environment is stated in three files; they must say the same."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
LOCK = [line for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
# The scorers are no part of the lock: `make scorers`.
DIRECT = [
    *PROJECT["dependencies"],
    *(each for name in ("test", "lora") for each in PROJECT["optional-dependencies"][name]),
]


def test_lock_holds_one_exact_public_version_of_each_package():
    assert [line for line in LOCK if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []
    assert sorted(LOCK, key=str.upper) == LOCK
    assert len({canonicalize_name(line.split("==")[0]) for line in LOCK}) == len(LOCK)


def test_environment_yml_has_the_pins_of_the_lock():
    pins = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    difference = list(difflib.unified_diff(LOCK, pins, "requirements.lock", "environment.yml", lineterm="", n=0))
    assert not difference, "run `make lock`:\n" + "\n".join(difference)


def test_environment_yml_takes_no_python_that_the_package_refuses():
    entry = next(entry for entry in ENVIRONMENT["dependencies"] if str(entry).startswith("python"))
    taken = {f"3.{minor}.{patch}" for minor in range(10, 15) for patch in range(30)}
    taken = set(Requirement(entry).specifier.filter(taken))
    assert taken
    assert taken <= set(Requirement(f"python{PROJECT['requires-python']}").specifier.filter(taken))


@pytest.mark.parametrize("dependency", DIRECT)
def test_direct_dependency_is_pinned_at_an_accepted_version(dependency):
    requirement = Requirement(dependency)
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in LOCK)}
    version = pins.get(canonicalize_name(requirement.name))
    assert version is not None, f"requirements.lock: {requirement.name}: not pinned; run `make lock`"
    assert requirement.specifier.contains(version), f"requirements.lock: {requirement.name}: {version}; {dependency}"
