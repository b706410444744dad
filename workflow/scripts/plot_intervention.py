"""Draw one figure of the experiments of a kind."""

from pathlib import Path

from chainofsteps import datasets
from chainofsteps.figures.experiments import FIGURES
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    kind = snakemake.params.kind
    outcomes = {Path(path).stem: datasets.read(path, kind) for path in snakemake.input.datasets}
    FIGURES[kind][snakemake.wildcards.figure](outcomes).savefig(snakemake.output[0])
