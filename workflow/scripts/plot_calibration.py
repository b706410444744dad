"""Plot what the calibration counted."""

import pandas as pd

from chainofsteps.figures.calibration import coverage_and_power, false_positives
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.calibration import NO_EFFECT

with at_the_door(snakemake.log[0]):
    null, values = (pd.read_csv(path) for path in (snakemake.input.null[0], snakemake.input.values[0]))
    families = pd.concat([pd.read_csv(path) for path in snakemake.input.families], ignore_index=True)
    drawn = values[values["scenario"] == NO_EFFECT]
    false_positives(pd.concat([null, drawn], ignore_index=True)).savefig(snakemake.output.false_positives)
    own = pd.concat([families[families["cases"] == snakemake.params.cases], values[values["scenario"] == "measured"]])
    coverage_and_power(own, families).savefig(snakemake.output.coverage_and_power)
