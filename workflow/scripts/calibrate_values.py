"""Judge the values of rows whose data cannot be planted, drawn anew: a row an entry, family and scenario."""

from pathlib import Path

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.calibration import simulate_values, summarise
from chainofsteps.statistics.planted import plantable
from chainofsteps.statistics.verdicts import tested_samples

with at_the_door(snakemake.log[0]):
    claims, params = load_yaml(snakemake.input.claims)["claims"], snakemake.params
    planted = [claim["id"] for claim in plantable(claims, params.experiments)]
    read = [datasets.read(path, "features") for path in snakemake.input.features]
    read += [datasets.read(path, params.kinds[Path(path).stem]) for path in snakemake.input.interventions]
    rows = [row for row in tested_samples(claims, read) if row[0]["id"] not in planted]
    records = simulate_values(rows, params.tests, **params.settings)
    summarise(records).to_csv(snakemake.output[0], index=False, float_format="%.6g")
