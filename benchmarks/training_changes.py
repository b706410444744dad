"""What single changes of the training recipe do: held-out success, error of the clean estimate, samples a second.

    python benchmarks/training_changes.py

Writes benchmarks/training_changes.csv. The base is the recipe of *mini_shallow* in config/models.yaml (three layers)
with four families at their easy level and 1,200 steps in all: a model in small, on which a change can be tried in
minutes. What helps there need not help in a whole training. Every row differs from the base in what it says and in
nothing else: the same seed and draws. AdamW has one rate, .001, where the base has .002 for the matrices of the blocks:
that row differs in the rate of these too.

Success is of 64 pilot cases a family, joint with 20 steps and frame by frame with 4 a frame, of the averaged weights;
the error of the clean estimate is of 48, all free frames at one sigma. A second training of the base with another seed
shows how much of a difference is chance, at least.
"""

import copy
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.models import mini, train_reasoner
from chainofsteps.models.check import read_manifest
from chainofsteps.models.encode import encode_cases, encode_videos
from chainofsteps.models.load import load_pipeline
from chainofsteps.models.train_vae import training_case
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.trajectories import sample_videos

MODEL, SHARES = "mini_shallow", {"maze": 0.4, "largest": 0.2, "largest_tie": 0.2, "reappearance": 0.2}
CASES, STEPS, BLOCK = 3000, 1200, 200
FIRST, HELD_OUT, ERRORS = 500_000, 64, 48
SIGMAS = (1.0, 0.5)
THREADS = 2
ORDERS = {"joint": {"order": "joint", "steps": 20}, "frame_by_frame": {"order": "frame_by_frame", "steps": 4}}

# Name -> settings that differ (of the architecture, those given), and what stands in for a function of the module.
CHANGES = {
    "base": {},
    "base, another seed": {"seed": 1},
    "AdamW at .001 for all weights": {"replace": "build_optimisers"},
    "loss of the velocity": {"replace": "clean_estimate_loss"},
    "no moving average": {"ema": 0.0},
    "shared levels only": {"noise_levels": {"shared": 1.0, "frame_by_frame": 0.0, "independent": 0.0}},
    "independent levels only": {"noise_levels": {"shared": 0.0, "frame_by_frame": 0.0, "independent": 1.0}},
    "half the rates": {"learning_rate": 0.0005, "muon_learning_rate": 0.001},
    "twice the rates": {"learning_rate": 0.002, "muon_learning_rate": 0.004},
    "twice the steps": {"steps": 2 * STEPS},
    "eight layers": {"architecture": {"num_layers": 8}},
}


def adamw_for_all(transformer: torch.nn.Module, settings: dict) -> list[torch.optim.Optimizer]:
    """One AdamW in place of Muon and AdamW."""
    rate = settings["learning_rate"]
    group = {"params": list(transformer.parameters()), "full_rate": rate}
    return [torch.optim.AdamW([group], lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True)]


def velocity_loss(
    transformer: torch.nn.Module, clean: torch.Tensor, text: torch.Tensor, sigma: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Mean squared error of the velocity on the frames that carry noise."""
    velocity = _velocity(transformer, clean, text, sigma, noise)
    noisy = sigma > 0
    return ((velocity - (noise - clean)).square().mean((1, 3, 4)) * noisy).sum() / noisy.sum()


def _velocity(
    transformer: torch.nn.Module, clean: torch.Tensor, text: torch.Tensor, sigma: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """The network's velocity of clean latents with noise at their levels."""
    level = sigma[:, None, :, None, None]
    timestep = (sigma * 1000).repeat_interleave(clean.shape[-2] // 2 * (clean.shape[-1] // 2), dim=1)
    return transformer((1 - level) * clean + level * noise, timestep, text, return_dict=False)[0].float()


REPLACEMENTS = {"build_optimisers": adamw_for_all, "clean_estimate_loss": velocity_loss}


class Bench:
    """What all trainings share: VAE, prompts, encoded cases, held-out cases."""

    def __init__(self):
        models = load_yaml("config/models.yaml")
        self.model = models[MODEL]
        self.training = self.model["training"]
        self.shipped = load_pipeline(
            self.model["path"], hashes=read_manifest(self.model["path"], self.model["revision"])
        )
        drawn = {
            family: [training_case(family, index, worlds.family(family).LEVELS["easy"]) for index in range(CASES)]
            for family in SHARES
        }
        self.latents = {family: encode_cases(self.shipped.vae, cases) for family, cases in drawn.items()}
        prompts = {family: worlds.family(family).PROMPT for family in SHARES} | {"": ""}
        length = self.model["max_sequence_length"]
        with torch.no_grad():
            self.text = {
                key: self.shipped.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=length)[
                    0
                ][0]
                for key, prompt in prompts.items()
            }
        self.held_out = {family: case_dataset(family, "pilot", FIRST, HELD_OUT, "easy") for family in SHARES}

    def train(self, changes: dict) -> tuple[torch.nn.Module, float]:
        """A training with changes: the averaged network and its samples a second, compilation left out."""
        changes = copy.deepcopy(changes)
        replaced, seed = changes.pop("replace", None), changes.pop("seed", self.training["seed"])
        settings = copy.deepcopy(self.training["transformer"])
        settings["architecture"] |= changes.pop("architecture", {})
        settings |= {"steps": STEPS, "checkpoint_every": BLOCK, "evaluate_every": BLOCK} | changes
        transformer = mini.build_transformer(settings["architecture"], seed)
        stamps = []

        def stamp(_: torch.nn.Module) -> dict:
            stamps.append(time.perf_counter())
            return {}

        other = patch.object(train_reasoner, replaced, REPLACEMENTS[replaced]) if replaced else nullcontext()
        with tempfile.TemporaryDirectory() as folder, other:
            averaged = train_reasoner.train_reasoner(
                transformer, self.latents, self.text, SHARES, settings, seed, Path(folder), stamp
            )
        torch.compiler.reset()
        return averaged, BLOCK * settings["batch"] / float(np.median(np.diff(stamps)))

    @torch.no_grad()
    def measure(self, averaged: torch.nn.Module) -> dict[str, float]:
        """Held-out success by family and order, and the error of the clean estimate by sigma."""
        pipe = mini.build_pipeline(
            self.shipped.vae,
            averaged,
            self.shipped.tokenizer,
            self.shipped.text_encoder,
            self.training["transformer"]["shift"],
        )
        errors = {sigma: [] for sigma in SIGMAS}
        for family, cases in self.held_out.items():
            clean = encode_videos(self.shipped.vae, cases["ground_truth"].values[:ERRORS]).float()
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(FIRST))
            words = self.text[family].expand(len(clean), -1, -1)
            for level in SIGMAS:
                sigma = torch.full((len(clean), clean.shape[2]), level)
                sigma[:, 0] = 0
                velocity = _velocity(averaged, clean, words, sigma, noise)
                errors[level].append(level**2 * (velocity - (noise - clean)).square()[:, :, 1:].mean().item())
        return {
            f"{family}_{name}": float(
                np.mean(video_scores(cases, sample_videos(pipe, cases, self.model, order, [0], HELD_OUT)) == 1)
            )
            for name, order in ORDERS.items()
            for family, cases in self.held_out.items()
        } | {f"error_at_{sigma:g}": float(np.mean(each)) for sigma, each in errors.items()}


def main() -> None:
    """Train, measure and write the table; a row is written as soon as it is known."""
    torch.set_num_threads(THREADS)
    bench, rows = Bench(), []
    for name, changes in CHANGES.items():
        averaged, speed = bench.train(changes)
        steps, batch = changes.get("steps", STEPS), changes.get("batch", bench.training["transformer"]["batch"])
        row = {"change": name, "samples": steps * batch, "samples_per_second": speed, "n": HELD_OUT}
        rows.append(row | bench.measure(averaged))
        print(rows[-1], flush=True)
        pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
