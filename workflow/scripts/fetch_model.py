"""Fetch a model from the hub, or from a mirror, and hold each file to its hash."""

from pathlib import Path

from chainofsteps.models.hub import fetch
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    folder = Path(snakemake.output[0]).parent
    mirror = snakemake.params.mirror and Path(snakemake.params.mirror) / folder.name
    fetch(folder, **snakemake.params.hub, mirror=mirror or None)
