"""Sample the cases of a bench, or a shard of them: features of clean estimates, and the finished videos as files."""

import functools
import math
import shutil
from pathlib import Path

import torch
import xarray as xr

from chainofsteps import datasets
from chainofsteps.experiments.arms import join_groups
from chainofsteps.experiments.plan import room_for
from chainofsteps.models.placement import opened, revision_of
from chainofsteps.readout.bench import bench_features, finished_videos
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.loop import prepare_order
from chainofsteps.sampling.orders import kept_pictures
from chainofsteps.sampling.parts import Parts, case_groups, cases_a_batch, file_hashes, gather, write_shard
from chainofsteps.sampling.trajectories import sample_trajectories
from chainofsteps.videos.bench_cases import ground_truth, write_videos

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, seeds, batch = snakemake.params.model, snakemake.params.seeds, snakemake.params.batch
    cases = datasets.read(snakemake.input.cases[0], "bench_cases")
    files = [*snakemake.input.cases, *snakemake.input.weights, *snakemake.input.modules]
    # All clean estimates of a bench would fill the memory: some cases are sampled, read and kept, then the next.
    groups = case_groups(cases.sizes["case"], cases_a_batch(batch, len(seeds)))
    shard = snakemake.params.get("shard")
    bench = Path(snakemake.output.features).parents[1 if shard else 0]  # where the other experiments are sampled, too
    if shard:
        groups = groups[slice(*shard)]
    with opened(model) as pipe:
        basis = [dict(snakemake.params.items()), file_hashes(files), snakemake.threads, str(pipe._execution_device)]
        parts = Parts(f"{snakemake.output.features}.parts", basis)
        asked, shape = snakemake.params.experiment, (model["frames"], model["height"], model["width"])
        order = prepare_order(pipe, asked["order"], asked["steps"], *shape)
        bytes_a_case = len(seeds) * kept_pictures(asked, len(order.active), shape[0]) * math.prod(shape[1:]) * 3

        def make(first: int, end: int) -> xr.Dataset:
            some, folder = cases.isel(case=slice(first, end)), parts.folder / f"videos_{first:06d}"
            scratch = parts.folder / f"streams_{first:06d}"
            with room_for(some.sizes["case"] * bytes_a_case, scratch, bench) as kept:
                sampled = sample_trajectories(pipe, some, model, snakemake.params.experiment, seeds, batch, kept)
                truths = [
                    ground_truth(snakemake.params.root, some, case, model["frames"])
                    for case in some["case"].values.astype(str)
                ]
                shutil.rmtree(folder, ignore_errors=True)
                write_videos(folder, some, finished_videos(sampled))
                return bench_features(sampled, truths, *snakemake.params.grid)

        made = {
            f"cases_{first:06d}": parts.part(f"cases_{first:06d}", functools.partial(make, first, end))
            for first, end in groups
        }
        hashes = {name: each.attrs["config_hash"] for name, each in made.items()} | {"grid": snakemake.params.grid}
        features = join_groups(list(made.values())).assign_attrs(
            datasets.attributes(list(hashes.values())),
            model_id=snakemake.params.name,
            model_revision=revision_of(model),
            experiment=snakemake.wildcards.sampled,
        )
        videos = gather((parts.folder / f"videos_{first:06d}" for first, _ in groups), parts.folder / "videos")
        if shard:
            write_shard(features, snakemake.output.features, hashes)
        else:
            datasets.write(features, snakemake.output.features, "bench_features")
        videos.rename(snakemake.output.videos)
        parts.remove()
