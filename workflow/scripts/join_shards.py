"""Join the shards of a job; see chainofsteps.datasets for the variables made."""

from pathlib import Path
from tempfile import TemporaryDirectory

from chainofsteps import datasets
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.parts import join_shards

with at_the_door(snakemake.log[0]):
    output = Path(snakemake.output[0])
    # On the output's own disk: a large variable does not fit everywhere.
    with TemporaryDirectory(prefix=f"{output.name}.", dir=output.parent) as folder:
        datasets.write(join_shards(snakemake.input.shards, folder), output, snakemake.params.schema)
