"""Erase and plant in videos of a bench, or make them with fewer steps and frames."""

import functools

import torch

from chainofsteps import datasets
from chainofsteps.experiments.bench import fewer_frames_and_steps, intervene
from chainofsteps.models.entry import model_attributes, open_model
from chainofsteps.refusal import at_the_door
from chainofsteps.videos.bench_cases import ground_truth

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, kind = snakemake.params.model, snakemake.wildcards.bench_kind
    cases = datasets.read(snakemake.input.cases[0], "bench_cases")
    pipe = open_model(model, snakemake.params.folder, snakemake.params.lora)
    truth_of = functools.partial(ground_truth, snakemake.params.root, cases, frames=model["frames"])
    act = {"interventions": intervene, "orders": fewer_frames_and_steps}[kind]
    settings, seeds, batch = snakemake.params.settings, snakemake.params.seeds, snakemake.params.batch
    outcome = act(pipe, cases, model, settings, seeds, batch, truth_of, tuple(snakemake.params.grid))
    outcome.attrs |= model_attributes(snakemake.params.name, model) | {
        "kind": kind,
        "experiment": f"bench_{kind}",
        "boundary": str(pipe.config.boundary_ratio or "none"),
        "scheduler": type(pipe.scheduler).__name__,
        "dtype": str(pipe.dtype).removeprefix("torch."),
    }
    datasets.write(outcome, snakemake.output[0], f"bench_{kind}")
