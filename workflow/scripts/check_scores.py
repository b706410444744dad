"""Score plans whose score is known, and read the solution sharp, blurred and noisy."""

from chainofsteps import datasets
from chainofsteps.readout.score_controls import score_controls
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    cases = datasets.read(snakemake.input.cases[0], "cases")
    datasets.write(score_controls(cases), snakemake.output[0], "score_controls")
