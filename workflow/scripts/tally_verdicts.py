"""Judge each block of cases by itself, and count how often each verdict came out."""

from pathlib import Path

import pandas as pd

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.figures.stability import verdicts_by_block
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.stability import repeated_claims, tally
from chainofsteps.statistics.verdicts import judge

with at_the_door(snakemake.log[0]):
    claims = repeated_claims(load_yaml(snakemake.input.claims)["claims"], snakemake.params.experiments)
    scores = [datasets.read(path, "score_controls") for path in snakemake.input.scores]
    runs: dict[tuple[str, str], list] = {}
    for path in snakemake.input.features:
        block, _, model, *_ = Path(path).parts[-5:]
        runs.setdefault((block, model), []).append(datasets.read(path, "features"))
    tables = [
        judge(claims, [*features, *scores], **snakemake.params.statistics, tests=snakemake.params.tests).assign(
            block=int(block)
        )
        for (block, _), features in runs.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(snakemake.output.verdicts, index=False, float_format="%.6g")
    counts = tally(table)
    counts.to_csv(snakemake.output.stability, index=False, float_format="%.6g")
    verdicts_by_block(table).savefig(snakemake.output.figure)
