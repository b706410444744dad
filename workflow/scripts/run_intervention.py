"""Run one experiment in all of its worlds; see chainofsteps.datasets for the variables made."""

from pathlib import Path

import pandas as pd
import torch

from chainofsteps import datasets
from chainofsteps.experiments.arms import join_worlds
from chainofsteps.experiments.plan import check_disk, plan_rows
from chainofsteps.experiments.registry import experiment
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, given = snakemake.params.model, snakemake.params.intervention
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    cases_of = {
        Path(path).stem: datasets.read(path, "cases").isel(case=slice(given["count"])) for path in snakemake.input.cases
    }
    batch, names = snakemake.params.batch, (snakemake.wildcards.model, model, snakemake.wildcards.intervention)
    plan = pd.DataFrame(plan_rows(pipe, *names, given, cases_of, batch))
    print(plan.to_string())
    check_disk(plan, snakemake.output[0])
    run = experiment(given["kind"]).run
    parts = [run(pipe, cases, model, given["settings"], given["seeds"], batch) for cases in cases_of.values()]
    outcome = join_worlds(parts)
    outcome.attrs |= {
        "kind": given["kind"],
        "experiment": snakemake.wildcards.intervention,
        "model_id": snakemake.wildcards.model,
        "model_revision": model["revision"],
        # σ at which a model of two networks passes from one to the other.
        "boundary": str(pipe.config.boundary_ratio or "none"),
        "scheduler": type(pipe.scheduler).__name__,
        "dtype": str(pipe.dtype).removeprefix("torch."),
    }
    datasets.write(outcome, snakemake.output[0], given["kind"])
