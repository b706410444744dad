"""Join the shards of a job; see chainofsteps.datasets for the variables made."""

import shutil
from pathlib import Path

from chainofsteps import datasets
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.parts import join_shards

with at_the_door(snakemake.log[0]):
    output = Path(snakemake.output[0])
    # On the output's own disk, since a large variable does not fit everywhere; a killed job leaves one of them.
    folder = Path(f"{output}.join")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        datasets.write(join_shards(snakemake.input.shards, folder), output, snakemake.params.schema)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
