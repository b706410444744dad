"""Judge the claims: verdicts.csv, one row a claim and family, and metrics.json with their numbers."""

import json
from pathlib import Path

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.verdicts import judge, metrics

with at_the_door(snakemake.log[0]):
    features = [datasets.read(path, "features") for path in snakemake.input.features]
    table = judge(load_yaml(snakemake.input.claims)["claims"], features, **snakemake.params.statistics)
    table.to_csv(snakemake.output.verdicts, index=False, float_format="%.6g")
    Path(snakemake.output.metrics).write_text(json.dumps(metrics(table), indent=1, sort_keys=True) + "\n")
