"""Fixtures that more than one test module uses."""

from __future__ import annotations

import os
import runpy
from functools import cache
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: torch, asked later, takes one each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_pipeline():
    """``tiny_pipeline(form, scheduler="euler")``: built once a session, not to be changed."""
    # Run late, since most tests need no torch, and by path, since tests are no package.
    return cache(runpy.run_path(str(Path(__file__).with_name("pipelines.py")))["build_pipeline"])


@pytest.fixture(scope="session")
def build_pipeline():
    """``build_pipeline(form, scheduler="euler")``: a new one at each call, to be changed at will."""
    return runpy.run_path(str(Path(__file__).with_name("pipelines.py")))["build_pipeline"]
