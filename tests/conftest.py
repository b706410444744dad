"""Fixtures that more than one test module uses."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_pipeline():
    """``tiny_pipeline(form, scheduler="euler")``: built once a session, not to be changed."""
    # Run late, since most tests need no torch, and by path, since tests are no package.
    return cache(runpy.run_path(str(Path(__file__).with_name("pipelines.py")))["build_pipeline"])
