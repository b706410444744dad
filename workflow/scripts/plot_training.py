"""Plot the training logs."""

import pandas as pd

from chainofsteps.figures.training import training_curves
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    log = pd.read_csv(snakemake.input.log)
    vae_log = pd.read_csv(snakemake.input.vae_log[0]) if snakemake.input.vae_log else None
    training_curves(log, vae_log, snakemake.params.held_out, list(snakemake.params.orders)).savefig(snakemake.output[0])
