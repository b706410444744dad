"""Draw a family's training cases and encode their videos once; latents as float16 safetensors."""

import torch
from safetensors.torch import save_file

from chainofsteps.models.encode import encode_cases, load_vae
from chainofsteps.models.train_vae import training_case
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    vae = load_vae(snakemake.params.vae)
    family, given = snakemake.wildcards.family, snakemake.params.family
    cases = [training_case(family, index, given["difficulties"]) for index in range(given["cases"])]
    save_file({"latents": encode_cases(vae, cases)}, snakemake.output[0])
