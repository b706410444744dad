"""Fixtures that more than one test module uses."""

from __future__ import annotations

import gc
import os
import runpy
from functools import cache
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: torch, asked later, takes one each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What is imported and collected stays to the end: searches for garbage among it take almost half of the time of
# collection, and statsmodels makes one in each correction.
gc.disable()

# Of unit tests; shortest first, one worker would end alone on the longest.
LONG = ("test_shards.py", "test_mini.py", "test_worlds.py")


def pytest_collection_modifyitems(items):
    """Whole workflows first, then the long files of unit tests, then the others."""
    items.sort(key=lambda item: (item.path.parent.name != "integration", item.path.name not in LONG))


def pytest_collection_finish():
    """Look for garbage from here on, among what tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def tiny_pipeline():
    """``tiny_pipeline(form, scheduler="euler")``: built once a session, not to be changed."""
    # Run late, since most tests need no torch, and by path, since tests are no package.
    return cache(runpy.run_path(str(Path(__file__).with_name("pipelines.py")))["build_pipeline"])


@pytest.fixture(scope="session")
def build_pipeline():
    """``build_pipeline(form, scheduler="euler")``: a new one at each call, to be changed at will."""
    return runpy.run_path(str(Path(__file__).with_name("pipelines.py")))["build_pipeline"]
