"""Join the chapters to one page."""

import json
from pathlib import Path

from chainofsteps.figures.report import join_chapters, page, read_verdicts, run_lines
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    fingerprints = [json.loads(Path(path).read_text()) for path in snakemake.input.fingerprints]
    chapters = {Path(path).stem: Path(path).read_text() for path in snakemake.input.chapters}
    lines = run_lines(fingerprints, read_verdicts(snakemake.input.verdicts))
    body = join_chapters(snakemake.params.title, lines, chapters)
    Path(snakemake.output.page).write_text(page(snakemake.params.title, body))
