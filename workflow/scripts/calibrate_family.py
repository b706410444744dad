"""Judge a family drawn anew, as measured and with known effects: a row an entry, scenario and number of cases."""

import gc

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.calibration import simulate_family, summarise
from chainofsteps.statistics.planted import plantable, populations

with at_the_door(snakemake.log[0]):
    claims = plantable(load_yaml(snakemake.input.claims)["claims"], snakemake.params.experiments)
    (features,) = populations(datasets.read(path, "features") for path in snakemake.input.features).values()
    gc.freeze()  # statsmodels collects garbage in each correction, and goes through all that is loaded
    records = simulate_family(claims, features, snakemake.params.tests, **snakemake.params.settings)
    summarise(records).to_csv(snakemake.output[0], index=False, float_format="%.6g")
