"""Join the families' success tables of each model and plot those of all models."""

from pathlib import Path

import pandas as pd

from chainofsteps.figures.success import success_by_level
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    tables = {}
    for name, path in zip(snakemake.params.models, snakemake.output.tables, strict=True):
        parts = [part for part in snakemake.input.tables if Path(part).parent.name == name]
        tables[name] = pd.concat([pd.read_csv(part) for part in parts], ignore_index=True)
        tables[name].to_csv(path, index=False, float_format="%.4f")
    success_by_level(tables, snakemake.params.orders).savefig(snakemake.output.figure)
