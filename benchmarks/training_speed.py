"""Training throughput: this repository's loop beside a plain loop over the same diffusers modules, same batch.

    python benchmarks/training_speed.py [MODEL]

Writes benchmarks/training_speed.csv. Latents are random: speed does not depend on what they show. The plain loop is
what one writes first: float32, no compilation, the default attention, AdamW. ``shipped`` is the loop of `snakemake
train` as `make` starts it, ``shipped, plain memory`` the same without the settings of the Makefile for the C library's
memory. Each runs in a process of its own, in turns; the first blocks of each (compilation, caches) are left out. The
ratio is of the medians.
"""

import json
import os
import re
import subprocess
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
THREADS = 2
MEMORY = re.search(r"^MALLOC := (\S+)$", Path("Makefile").read_text(), re.MULTILINE)[1]


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


LOOPS = {"plain": (plain_loop, ""), "shipped, plain memory": (shipped_loop, ""), "shipped": (shipped_loop, MEMORY)}


def measure(name: str, loop: str) -> list[float]:
    """Samples a second of each block of a loop, in this process."""
    torch.set_num_threads(THREADS)
    training = load_yaml("config/models.yaml")[name]["training"]
    settings = training["transformer"]
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(CASES, settings["architecture"]["in_channels"], 9, 8, 8, generator=generator).half()
    text = {key: torch.randn(TOKENS, settings["architecture"]["text_dim"], generator=generator) for key in ("", "any")}
    transformer = build_transformer(settings["architecture"], training["seed"])
    seconds = LOOPS[loop][0](transformer, latents, text, settings)[SKIPPED:]
    return [BLOCK * settings["batch"] / each for each in seconds]


def main(name: str = "mini") -> None:
    """Measure and write the table."""
    rows = []
    for turn in range(ROUNDS):
        for loop, (_, memory) in LOOPS.items():
            environment = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
            done = subprocess.run(
                [sys.executable, __file__, name, loop],
                env=environment | ({"GLIBC_TUNABLES": memory} if memory else {}),
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
            measured = json.loads(done.stdout.splitlines()[-1])
            rows += [{"loop": loop, "round": turn, "samples_per_second": each} for each in measured]
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).groupby("loop")["samples_per_second"].agg(["median", "min", "max", "count"])
    table["ratio"] = table["median"] / table.loc["plain", "median"]
    table.to_csv(Path(__file__).with_suffix(".csv"), float_format="%.2f")
    print(table)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main(*sys.argv[1:])
