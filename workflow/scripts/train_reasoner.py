"""Train the reasoner on encoded videos, or go on from its checkpoint; writes the pipeline folder and the log."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from chainofsteps import worlds
from chainofsteps.models import mini
from chainofsteps.models.check import write_manifest
from chainofsteps.models.encode import load_vae
from chainofsteps.models.load import load_pipeline
from chainofsteps.models.train_reasoner import train_reasoner
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.success import video_scores
from chainofsteps.refusal import at_the_door
from chainofsteps.sampling.trajectories import sample_videos

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    training, model, orders = snakemake.params.training, snakemake.params.model, snakemake.params.orders
    settings, families, seed = training["transformer"], training["families"], training["seed"]
    folder = Path(snakemake.params.folder)

    prompts = {family: worlds.family(family).PROMPT for family in families} | {"": ""}
    tokenizer = mini.build_tokenizer(list(prompts.values()), model["max_sequence_length"])
    text_encoder = mini.build_text_encoder(training["text_encoder"], len(tokenizer), seed)
    transformer = mini.build_transformer(settings["architecture"], seed)
    for manifest in snakemake.input.start:
        start = load_pipeline(Path(manifest).parent)
        transformer.load_state_dict(start.transformer.state_dict())
        text_encoder = mini.choose_text_encoder(start, tokenizer, text_encoder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    transformer.to(device)
    parts = {
        "vae": load_vae(snakemake.params.vae),
        "tokenizer": tokenizer,
        "text_encoder": text_encoder,
        "shift": settings["shift"],
    }
    pipe = mini.build_pipeline(transformer=transformer, **parts).to(device)
    text = {
        family: pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=model["max_sequence_length"]
        )[0][0].detach()
        for family, prompt in prompts.items()
    }
    asked = f"{snakemake.wildcards.model}.training.transformer.evaluate_cases"
    held_out = {
        family: case_dataset(family, "pilot", 0, settings["evaluate_cases"], field=asked) for family in families
    }

    def evaluate(averaged):
        """Held-out success by family and order, on pilot cases."""
        trained = mini.build_pipeline(transformer=averaged, **parts)
        return {
            f"{family}_{name}": float(
                np.mean(video_scores(cases, sample_videos(trained, cases, model, order, [0], len(cases["case"]))) == 1)
            )
            for family, cases in held_out.items()
            for name, order in orders.items()
        }

    latents = {Path(path).stem: load_file(path)["latents"] for path in snakemake.input.latents}
    shares = {family: given["share"] for family, given in families.items()}
    averaged = train_reasoner(transformer, latents, text, shares, settings, seed, folder, evaluate)
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    pd.DataFrame(rows).to_csv(snakemake.output.log, index=False)
    pipeline = Path(snakemake.output.manifest).parent
    # Half precision on the disk, and only there: it is loaded to float32.
    trained = mini.build_pipeline(transformer=averaged, **parts).to("cpu").to(torch.float16)
    trained.save_pretrained(pipeline, safe_serialization=True)
    write_manifest(pipeline)
