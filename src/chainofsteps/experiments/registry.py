"""Experiments by name: what each runs, and the schema of what it makes.

To add one: a module of this package with its ``plan_<kind>`` and ``run_<kind>``, a schema in
:mod:`chainofsteps.datasets`, and its name here. Modules are imported when asked for, so that an edited experiment
leaves the others as they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr

from chainofsteps.experiments.arms import Run

KINDS = ("erasure", "plant", "swap", "ensemble", "orders", "layers")


@dataclass(frozen=True)
class Experiment:
    """A kind of experiment.

    Attributes
    ----------
    plan : callable
        (pipe, cases, model, settings, seeds, batch) -> list of Run; no network evaluation is made.
    run : callable
        The same arguments -> Dataset by the schema of the experiment's name.
    """

    plan: Callable[..., list[Run]]
    run: Callable[..., xr.Dataset]


def experiment(kind: str) -> Experiment:
    """The experiment of a kind, one of `KINDS`."""
    module = importlib.import_module(f"chainofsteps.experiments.{kind}")
    return Experiment(getattr(module, f"plan_{kind}"), getattr(module, f"run_{kind}"))
