"""Record what is claimed of a block of cases, before they are drawn; what is recorded stays as it is."""

from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.registration import register

with at_the_door(snakemake.log[0]):
    register(snakemake.output[0], snakemake.params.hashes)
