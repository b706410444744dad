"""Judge whole tables under the null: a row an entry and family, and one on the table."""

import gc

import pandas as pd

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.calibration import simulate_null, summarise, summarise_table
from chainofsteps.statistics.planted import plantable, populations

with at_the_door(snakemake.log[0]):
    families = populations(datasets.read(path, "features") for path in snakemake.input.features)
    claims = plantable(load_yaml(snakemake.input.claims)["claims"], snakemake.params.experiments)
    gc.freeze()  # statsmodels collects garbage in each correction, and goes through all that is loaded
    records = simulate_null(claims, families, snakemake.params.tests, **snakemake.params.settings)
    table = pd.concat([summarise(records), summarise_table(records)], ignore_index=True)
    table.to_csv(snakemake.output[0], index=False, float_format="%.6g")
