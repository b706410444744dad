"""Experiments by name: what each runs, and the schema of what it makes.

To add one: a module with its ``plan`` and ``run``, a schema in :mod:`chainofsteps.datasets`, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr

from chainofsteps.experiments.arms import Run
from chainofsteps.experiments.ensemble import plan_ensemble, run_ensemble
from chainofsteps.experiments.erasure import plan_erasure, run_erasure
from chainofsteps.experiments.layers import plan_layers, run_layers
from chainofsteps.experiments.orders import plan_orders, run_orders
from chainofsteps.experiments.plant import plan_plant, run_plant
from chainofsteps.experiments.swap import plan_swap, run_swap


@dataclass(frozen=True)
class Experiment:
    """A kind of experiment.

    Attributes
    ----------
    plan : callable
        (pipe, cases, model, settings, seeds, batch) -> list of Run; evaluates nothing.
    run : callable
        The same arguments -> Dataset by the schema of the experiment's name.
    """

    plan: Callable[..., list[Run]]
    run: Callable[..., xr.Dataset]


EXPERIMENTS = {
    "erasure": Experiment(plan_erasure, run_erasure),
    "plant": Experiment(plan_plant, run_plant),
    "swap": Experiment(plan_swap, run_swap),
    "ensemble": Experiment(plan_ensemble, run_ensemble),
    "orders": Experiment(plan_orders, run_orders),
    "layers": Experiment(plan_layers, run_layers),
}
