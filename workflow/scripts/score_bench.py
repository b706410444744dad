"""Score the finished videos of a bench, and its controls, with others' scorers."""

import tempfile
from pathlib import Path

from chainofsteps import datasets
from chainofsteps.models.placement import revision_of
from chainofsteps.readout.bench_scores import score_bench, score_table
from chainofsteps.readout.scorers import find_scorers
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]), tempfile.TemporaryDirectory(dir=snakemake.resources.tmpdir) as scratch:
    cases = datasets.read(snakemake.input.cases[0], "bench_cases")
    folders = dict(zip(snakemake.params.sampled, map(Path, snakemake.input.videos), strict=True))
    found = find_scorers()
    scores = score_bench(snakemake.params.root, cases, folders, snakemake.params.seeds, found, Path(scratch))
    scores.attrs |= {"model_id": snakemake.params.name, "model_revision": revision_of(snakemake.params.model)}
    datasets.write(scores, snakemake.output.scores, "bench_scores")
    score_table(scores).to_csv(snakemake.output.table, index=False, float_format="%.4f")
