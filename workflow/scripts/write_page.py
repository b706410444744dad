"""Execute a notebook with papermill and write it, with chapters behind it, as one page that needs no network."""

from pathlib import Path

from chainofsteps.figures.notebooks import execute
from chainofsteps.figures.report import page
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log.text):
    front = execute(snakemake.input.notebook, snakemake.log.notebook, snakemake.params.notebook)
    chapters = [
        (Path(path).stem, name, Path(path).read_text())
        for path, name in zip(snakemake.input.get("chapters", []), snakemake.params.get("chapters", []), strict=True)
    ]
    title = snakemake.params.title
    Path(snakemake.output.page).write_text(page(title, [("top", title, front), *chapters]))
