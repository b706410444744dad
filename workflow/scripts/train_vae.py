"""Train the VAE of a mini reasoner on single frames; writes the diffusers folder ``vae/`` and its log."""

import pandas as pd
import torch

from chainofsteps.models.train_vae import check_round_trip, read_after_round_trip, train_decoder, train_vae
from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.refusal import at_the_door

HELD_OUT = 30  # pilot cases a family

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    training = snakemake.params.training
    vae, log = train_vae(training["vae"], training["families"], training["seed"])
    log += train_decoder(vae, training["vae"], tuple(training["families"]), training["seed"])
    held_out = {family: case_dataset(family, "pilot", 0, HELD_OUT, field="HELD_OUT") for family in training["families"]}
    shares = {
        family: read_after_round_trip(vae, [case_of(cases, case_id) for case_id in cases["case"].values])[0]
        for family, cases in held_out.items()
    }
    print(f"frames read right after the VAE: {shares}")
    check_round_trip(snakemake.params.folder, shares)
    pd.DataFrame(log).to_csv(snakemake.output.log, index=False)
    vae.save_pretrained(snakemake.params.folder, safe_serialization=True)
