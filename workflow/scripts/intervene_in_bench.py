"""Erase and plant in videos of a bench, or make them with fewer steps and frames; of all cases or a shard."""

import functools

import torch
import xarray as xr

from chainofsteps import datasets
from chainofsteps.experiments.arms import join_groups
from chainofsteps.experiments.bench import fewer_frames_and_steps, intervene
from chainofsteps.models.placement import opened, precision, revision_of
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.parts import Parts, file_hashes, write_shard
from chainofsteps.videos.bench_cases import ground_truth

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, kind = snakemake.params.model, snakemake.wildcards.bench_kind
    cases = datasets.read(snakemake.input.cases[0], "bench_cases")
    files = [*snakemake.input.cases, *snakemake.input.weights, *snakemake.input.modules]
    truth_of = functools.partial(ground_truth, snakemake.params.root, cases, frames=model["frames"])
    act = {"interventions": intervene, "orders": fewer_frames_and_steps}[kind]
    settings, seeds, batch = snakemake.params.settings, snakemake.params.seeds, snakemake.params.batch
    with opened(model) as pipe:
        basis = [dict(snakemake.params.items()), file_hashes(files), snakemake.threads, str(pipe._execution_device)]
        parts = Parts(f"{snakemake.output[0]}.parts", basis)

        def make(case: int) -> xr.Dataset:
            one = cases.isel(case=[case])
            return act(pipe, one, model, settings, seeds, batch, truth_of, tuple(snakemake.params.grid))

        shard = snakemake.params.get("shard")
        numbers = range(*(shard or (cases.sizes["case"],)))
        made = [parts.part(f"case_{case:06d}", functools.partial(make, case)) for case in numbers]
        outcome = join_groups(made)
        outcome.attrs |= {
            "model_id": snakemake.params.name,
            "model_revision": revision_of(model),
            "kind": kind,
            "experiment": f"bench_{kind}",
            "boundary": str(pipe.config.boundary_ratio or "none"),
            "scheduler": type(pipe.scheduler).__name__,
            "dtype": precision(pipe),
        }
        if shard:
            write_shard(outcome, snakemake.output[0])
        else:
            datasets.write(outcome, snakemake.output[0], f"bench_{kind}")
        parts.remove()
