"""Execute the notebook of a chapter with papermill; what it shows becomes a part of the report."""

from pathlib import Path

from chainofsteps.figures.notebooks import execute
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log.text):
    body = execute(snakemake.input.notebook, snakemake.log.notebook, snakemake.params.notebook)
    Path(snakemake.output.chapter).write_text(body)
