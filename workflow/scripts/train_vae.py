"""Train the VAE of a mini reasoner on single frames; writes the diffusers folder ``vae/`` and its log."""

import pandas as pd
import torch

from chainofsteps.models.train_vae import train_vae
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    training = snakemake.params.training
    vae, log = train_vae(training["vae"], training["families"], training["seed"])
    pd.DataFrame(log).to_csv(snakemake.output.log, index=False)
    vae.save_pretrained(snakemake.params.folder, safe_serialization=True)
