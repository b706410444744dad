"""Where the loss of a trained model stands: by family and noise level.

    python benchmarks/loss_by_noise_level.py [MODEL]

Writes benchmarks/loss_by_noise_level.csv: over pilot cases, all free frames at one sigma, the mean squared error of the
velocity and of the clean estimate (sigma squared times it), and the share of it that stands on tokens which differ from
the given frame in the ground truth.
"""

import sys
from pathlib import Path

import pandas as pd
import torch

from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import read_manifest
from chainofsteps.models.encode import encode_videos
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset

FIRST, COUNT = 400_000, 48
SIGMAS = (1.0, 0.9, 0.75, 0.5, 0.25, 0.1)
CHANGED = 0.3  # of a latent's standard deviation


def by_token(values: torch.Tensor) -> torch.Tensor:
    """Largest value of each token, of (case, channel, frame, row, col): (case, frame, token row, token col)."""
    return torch.nn.functional.max_pool3d(values.amax(1, keepdim=True), (1, 2, 2))[:, 0]


@torch.no_grad()
def main(name: str = "mini") -> None:
    """Measure and write the table."""
    model = load_yaml("config/models.yaml")[name]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    rows = []
    for family in model["training"]["families"]:
        cases = case_dataset(family, "pilot", FIRST, COUNT)
        clean = encode_videos(pipe.vae, cases["ground_truth"].values).float()
        changed = by_token((clean - clean[:, :, :1]).abs())[:, 1:] > CHANGED
        text = pipe.encode_prompt(
            str(cases["prompt"].values[0]),
            do_classifier_free_guidance=False,
            max_sequence_length=model["max_sequence_length"],
        )[0].expand(len(clean), -1, -1)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(FIRST))
        for sigma in SIGMAS:
            state = torch.cat([clean[:, :, :1], (sigma * noise + (1 - sigma) * clean)[:, :, 1:]], dim=2)
            tokens = changed[0, 0].numel()
            timestep = torch.full((len(clean), clean.shape[2]), sigma * 1000)
            timestep[:, 0] = 0
            velocity = pipe.transformer(state, timestep.repeat_interleave(tokens, dim=1), text, return_dict=False)[0]
            error = (velocity - (noise - clean)).square()[:, :, 1:].mean(1, keepdim=True)
            error = torch.nn.functional.avg_pool3d(error, (1, 2, 2))[:, 0]
            rows.append(
                {
                    "family": family,
                    "sigma": sigma,
                    "n": len(clean),
                    "velocity_error": error.mean().item(),
                    "clean_estimate_error": sigma**2 * error.mean().item(),
                    "share_on_changed_tokens": ((error * changed).sum() / error.sum()).item(),
                }
            )
        print(pd.DataFrame(rows[-len(SIGMAS) :]).to_string(), flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.4g")


if __name__ == "__main__":
    main(*sys.argv[1:])
