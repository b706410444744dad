"""Sample the cases of a family; see chainofsteps.datasets for the variables made."""

import torch

from chainofsteps import datasets
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import forget, load_pipeline
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.trajectories import sample_trajectories

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, experiment = snakemake.params.model, snakemake.params.experiment
    cases = datasets.read(snakemake.input.cases[0], "cases").isel(case=slice(experiment["count"]))
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    if experiment["weights"] == "untrained":
        forget(pipe, experiment["seed"])
    trajectories = sample_trajectories(pipe, cases, model, experiment, experiment["seeds"], snakemake.params.batch)
    trajectories.attrs |= {
        "model_id": snakemake.wildcards.model,
        "model_revision": model["revision"],
        "experiment": snakemake.wildcards.experiment,
    }
    datasets.write(trajectories, snakemake.output[0], "trajectories")
