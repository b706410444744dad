"""Read every clean estimate of a shard of trajectories; see chainofsteps.datasets for the variables made.

A script of its own: what keeps shards is no input of an undivided run.
"""

from chainofsteps import datasets
from chainofsteps.readout.features import extract_features
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.parts import open_part, write_shard

with at_the_door(snakemake.log[0]), open_part(snakemake.input.trajectories[0]) as trajectories:
    cases = datasets.read(snakemake.input.cases[0], "cases")
    # Not loaded: clean estimates are read case by case.
    write_shard(extract_features(cases, datasets.finished(trajectories, "trajectories")), snakemake.output[0])
