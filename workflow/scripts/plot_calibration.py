"""Plot what the calibration counted."""

import pandas as pd

from chainofsteps.figures.calibration import coverage_and_power, false_positives
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    false_positives(pd.read_csv(snakemake.input.null[0])).savefig(snakemake.output.false_positives)
    families = pd.concat([pd.read_csv(path) for path in snakemake.input.families], ignore_index=True)
    coverage_and_power(families, snakemake.params.cases).savefig(snakemake.output.coverage_and_power)
