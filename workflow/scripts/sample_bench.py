"""Sample the cases of a bench: features of every step, and the finished videos as files."""

import shutil
from pathlib import Path

import torch
import xarray as xr

from chainofsteps import datasets
from chainofsteps.models.entry import model_attributes, open_model
from chainofsteps.readout.bench import bench_features
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.trajectories import sample_trajectories
from chainofsteps.videos.bench_cases import ground_truth, write_videos

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, seeds, batch = snakemake.params.model, snakemake.params.seeds, snakemake.params.batch
    cases = datasets.read(snakemake.input.cases[0], "bench_cases")
    pipe = open_model(model, snakemake.params.folder, snakemake.params.lora)
    folder, parts = Path(f"{snakemake.output.videos}.part"), []
    shutil.rmtree(folder, ignore_errors=True)
    # All clean estimates of a bench would fill the memory: some cases are sampled and read, then the next.
    at_once = max(1, batch // len(seeds))
    for start in range(0, cases.sizes["case"], at_once):
        some = cases.isel(case=slice(start, start + at_once))
        made = sample_trajectories(pipe, some, model, snakemake.params.experiment, seeds, batch)
        truths = [
            ground_truth(snakemake.params.root, some, case, model["frames"]) for case in some["case"].values.astype(str)
        ]
        parts.append(bench_features(made, truths, *snakemake.params.grid))
        write_videos(folder, some, made["clean_estimate"].isel(step=-1))
    features = xr.concat(parts, "case", data_vars="minimal").assign_attrs(
        datasets.attributes(
            [part.attrs["config_hash"] for part in parts] + [snakemake.params.grid],
            **{key: parts[0].attrs[key] for key in ("family", "purpose", "order", "scheduler", "dtype")},
            **model_attributes(snakemake.params.name, model),
            experiment=snakemake.wildcards.sampled,
        )
    )
    datasets.write(features, snakemake.output.features, "bench_features")
    folder.rename(snakemake.output.videos)
