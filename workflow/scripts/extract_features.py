"""Read every clean estimate of a trajectories dataset; see chainofsteps.datasets for the variables made."""

from chainofsteps import datasets
from chainofsteps.readout.features import extract_features
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    cases = datasets.read(snakemake.input.cases[0], "cases")
    trajectories = datasets.read(snakemake.input.trajectories[0], "trajectories")
    datasets.write(extract_features(cases, trajectories), snakemake.output[0], "features")
