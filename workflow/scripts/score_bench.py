"""Score the finished videos of a bench, and its controls, with others' scorers; scores are kept case by case."""

import functools
import tempfile
from pathlib import Path

import xarray as xr

from chainofsteps import datasets
from chainofsteps.models.placement import revision_of
from chainofsteps.readout.bench_scores import check_scorable, score_bench, score_table
from chainofsteps.readout.scorers import find_scorers
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.parts import Parts, file_hashes

with at_the_door(snakemake.log[0]), tempfile.TemporaryDirectory(dir=snakemake.resources.tmpdir) as scratch:
    cases = datasets.read(snakemake.input.cases[0], "bench_cases")
    folders = dict(zip(snakemake.params.sampled, map(Path, snakemake.input.videos), strict=True))
    root, seeds, found = snakemake.params.root, snakemake.params.seeds, find_scorers()
    check_scorable(root, cases["case"].values.astype(str).tolist(), found)
    videos = [path for folder in folders.values() for path in sorted(folder.rglob("*.mp4"))]
    files = [*snakemake.input.cases, *snakemake.input.modules, *videos]
    basis = [dict(snakemake.params.items()), file_hashes(files), found.name, found.version]
    parts = Parts(f"{snakemake.output.scores}.parts", basis)

    def make(case: int) -> xr.Dataset:
        return score_bench(root, cases.isel(case=[case]), folders, seeds, found, Path(scratch))

    made = [parts.part(f"case_{case:06d}", functools.partial(make, case)) for case in range(cases.sizes["case"])]
    scores = xr.concat(made, "case", combine_attrs="override")
    scores.attrs |= {"model_id": snakemake.params.name, "model_revision": revision_of(snakemake.params.model)}
    datasets.write(scores, snakemake.output.scores, "bench_scores")
    score_table(scores).to_csv(snakemake.output.table, index=False, float_format="%.4f")
    parts.remove()
