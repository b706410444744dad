"""Measure a model's success in one family, by level, order and step; writes a table."""

import torch

from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.success import measure_success
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model = snakemake.params.model
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    table = measure_success(
        pipe,
        snakemake.wildcards.family,
        model,
        snakemake.params.orders,
        snakemake.params.settings,
        snakemake.params.batch,
    )
    table.to_csv(snakemake.output[0], index=False, float_format="%.4f")
