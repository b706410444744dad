"""Run one experiment in all of its worlds; see chainofsteps.datasets for the variables made."""

import torch

from chainofsteps import datasets
from chainofsteps.experiments.arms import join_worlds
from chainofsteps.experiments.registry import EXPERIMENTS
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, given = snakemake.params.model, snakemake.params.intervention
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    run = EXPERIMENTS[given["kind"]].run
    parts = []
    for path in snakemake.input.cases:
        cases = datasets.read(path, "cases").isel(case=slice(given["count"]))
        parts.append(run(pipe, cases, model, given["settings"], given["seeds"], snakemake.params.batch))
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
