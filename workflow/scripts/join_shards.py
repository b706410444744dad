"""Join the shards of a job, and their videos where they have some; see chainofsteps.datasets for the variables made."""

import shutil
from pathlib import Path

from chainofsteps import datasets
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.parts import gather, join_shards

with at_the_door(snakemake.log[0]):
    output = Path(snakemake.output[0])
    # On the output's own disk, since a large variable does not fit everywhere; a killed job leaves one of them.
    folder = Path(f"{output}.join")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        datasets.write(join_shards(snakemake.input.shards, folder), output, snakemake.params.schema)
        if videos := snakemake.input.get("videos"):
            gather(videos, folder / "videos").rename(snakemake.output.videos)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
