"""Execute a notebook with papermill and write it as one page that needs no network."""

from pathlib import Path

import nbformat
import papermill
from nbconvert import HTMLExporter

from chainofsteps.figures.report import page
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log.text):
    papermill.execute_notebook(
        snakemake.input.notebook,
        snakemake.log.notebook,
        parameters=snakemake.params.notebook,
        kernel_name="python3",
        progress_bar=False,
    )
    body, _ = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True).from_notebook_node(
        nbformat.read(snakemake.log.notebook, as_version=4)
    )
    Path(snakemake.output.page).write_text(page(snakemake.params.title, body))
