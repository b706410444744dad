"""Execute a chapter's notebook with papermill and write what it says, for the page that joins the chapters."""

from pathlib import Path

from chainofsteps.figures.notebooks import execute
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log.text):
    on_request = snakemake.params.on_request
    figures = [*snakemake.input.figures, *on_request["figures"]]
    parameters = {**on_request, "verdicts": snakemake.input.verdicts, "figures": figures}
    body = execute(snakemake.input.notebook, snakemake.log.notebook, parameters)
    Path(snakemake.output[0]).write_text(body)
