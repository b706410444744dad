"""Training throughput: this repository's loop beside a plain loop over the same diffusers modules, same batch.

    python benchmarks/training_speed.py [MODEL]

Writes benchmarks/training_speed.csv. Latents are random: speed does not depend on what they show. The plain loop is
what one writes first: float32, no compilation, the default attention, AdamW. Rounds take turns; the first blocks of a
round (compilation, caches) are left out. The ratio is of the medians.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import WanTransformer3DModel

from chainofsteps.configuration import load_yaml
from chainofsteps.models.mini import build_transformer
from chainofsteps.models.train_reasoner import clean_estimate_loss, draw_sigmas, train_reasoner

BLOCK, BLOCKS, SKIPPED, ROUNDS = 10, 6, 2, 2
CASES, TOKENS = 256, 20


def shipped_loop(transformer: WanTransformer3DModel, latents: torch.Tensor, text: dict, settings: dict) -> list[float]:
    """Seconds a block of the loop of `snakemake train`, its checkpoints included."""
    times = []

    def stamp(_: WanTransformer3DModel) -> dict:
        times.append(time.perf_counter())
        return {}

    own = settings | {"steps": BLOCK * (BLOCKS + 1), "checkpoint_every": BLOCK, "evaluate_every": BLOCK, "warmup": 1}
    with tempfile.TemporaryDirectory() as folder:
        train_reasoner(transformer, {"any": latents}, text, {"any": 1.0}, own, 1, Path(folder), stamp)
    return np.diff(times).tolist()


def plain_loop(transformer: WanTransformer3DModel, latents: torch.Tensor, text: dict, settings: dict) -> list[float]:
    """Seconds a block of the loop that one would write first."""
    optimiser = torch.optim.AdamW(transformer.parameters(), settings["learning_rate"])
    generator, times = torch.Generator().manual_seed(1), [time.perf_counter()]
    for _ in range(BLOCKS):
        for _ in range(BLOCK):
            chosen = torch.randint(CASES, (settings["batch"],), generator=generator)
            clean = latents[chosen].float()
            sigma = draw_sigmas(len(clean), clean.shape[2], settings["noise_levels"], settings["shift"], generator)
            words = text["any"].expand(len(clean), -1, -1)
            noise = torch.randn(clean.shape, generator=generator)
            loss = clean_estimate_loss(transformer, clean, words, sigma, noise)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
            optimiser.step()
        times.append(time.perf_counter())
    return np.diff(times).tolist()


def main(name: str = "mini") -> None:
    """Measure and write the table."""
    training = load_yaml("config/models.yaml")[name]["training"]
    settings = training["transformer"]
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(CASES, settings["architecture"]["in_channels"], 9, 8, 8, generator=generator).half()
    text = {key: torch.randn(TOKENS, settings["architecture"]["text_dim"], generator=generator) for key in ("", "any")}
    loops = {"shipped": shipped_loop, "plain": plain_loop}
    rows = []
    for turn in range(ROUNDS):
        for loop, run in loops.items():
            transformer = build_transformer(settings["architecture"], training["seed"])
            for seconds in run(transformer, latents, text, settings)[SKIPPED:]:
                rows.append({"loop": loop, "round": turn, "samples_per_second": BLOCK * settings["batch"] / seconds})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby("loop")["samples_per_second"].agg(["median", "min", "max", "count"])
    table["ratio"] = table["median"] / table.loc["plain", "median"]
    table.to_csv(Path(__file__).with_suffix(".csv"), float_format="%.2f")
    print(table)


if __name__ == "__main__":
    main(*sys.argv[1:])
