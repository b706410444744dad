"""Draw the cases of a world of the experiments; see chainofsteps.datasets for the variables made."""

from chainofsteps import datasets
from chainofsteps.readout.cases import case_dataset
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    params = snakemake.params
    cases = case_dataset(
        params.family,
        params.purpose,
        params.first_case,
        params.case_count,
        field="interventions.count",
        solved=params.solved,
    )
    datasets.write(cases, snakemake.output[0], "cases")
