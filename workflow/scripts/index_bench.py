"""List the cases of a bench of videos; see chainofsteps.datasets for the variables made."""

from chainofsteps import datasets
from chainofsteps.refusal import Refused, at_the_door
from chainofsteps.videos.vbvr import index_tree

with at_the_door(snakemake.log[0]):
    if not snakemake.params.root:
        raise Refused("config/config.yaml", "vbvr", "nothing", "the folder of VBVR-Bench or VBVR-Pro-Bench")
    datasets.write(index_tree(snakemake.params.root), snakemake.output[0], "bench")
