"""Execute a notebook with papermill and write it as one page that needs no network."""

from pathlib import Path

from chainofsteps.figures.notebooks import execute
from chainofsteps.figures.report import page
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log.text):
    body = execute(snakemake.input.notebook, snakemake.log.notebook, snakemake.params.notebook)
    Path(snakemake.output.page).write_text(page(snakemake.params.title, body))
