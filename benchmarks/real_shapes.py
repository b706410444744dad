"""Tiny networks at the shapes of the real models, for two steps: what breaks at 80 frames of 480 x 832 breaks here.

    python benchmarks/real_shapes.py --out benchmarks/real_shapes.csv

Random pipelines of all three Wan forms, of two blocks of 24 channels, in bfloat16 with the VAE in float32, on a CPU:
factors, frames and pixels are those of config/models.yaml, so the network sees the real number of tokens. Two streams,
one erased at the second step; the last clean estimate is decoded in tiles. Each form is a process of its own;
``peak_gb`` is what was resident at most.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import SPATIAL_FACTOR, TEMPORAL_FACTOR
from chainofsteps.sampling.decode import TrajectoryDecoder
from chainofsteps.sampling.interventions import StateIntervention
from chainofsteps.sampling.loop import Stream, sample

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from pipelines import build_pipeline  # noqa: E402

MODELS = {"single": "wan2.1_i2v_14b", "two_networks": "wan2.2_i2v_a14b", "ti2v": "wan2.2_ti2v_5b"}
STEPS = 2
# The VAE of Wan2.2-TI2V-5B, as narrow as can be: pictures in patches of two, 16 pixels and four frames to a latent.
TI2V_VAE = {
    "base_dim": 4,
    "decoder_base_dim": 4,
    "z_dim": 48,
    "dim_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
    "is_residual": True,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_temporal": TEMPORAL_FACTOR,
    "scale_factor_spatial": 16,
}


def build(form: str):
    """A random pipeline of a form with the real factors and room for the real positions."""
    pipe = build_pipeline(form, "unipc")
    torch.manual_seed(0)
    if form == "ti2v":
        pipe.register_modules(vae=AutoencoderKLWan(**TI2V_VAE).eval())
        pipe.vae_scale_factor_temporal, pipe.vae_scale_factor_spatial = TEMPORAL_FACTOR, 16
    for name in ("transformer", "transformer_2"):
        network = getattr(pipe, name)
        if network is not None:
            config = {**network.config, "rope_max_seq_len": 1024}
            config |= {"in_channels": 48, "out_channels": 48} if form == "ti2v" else {}
            made = WanTransformer3DModel.from_config(config).to(torch.bfloat16).eval()
            pipe.register_modules(**{name: made})
    pipe.vae.enable_tiling()
    return pipe


def measure(form: str) -> dict:
    """One form, in this process."""
    model, pipe = load_yaml(ROOT / "config/models.yaml")[MODELS[form]], build(form)
    shape = {name: model[name] for name in ("frames", "height", "width")}
    image = np.random.default_rng(0).integers(0, 256, (model["height"], model["width"], 3), np.uint8)
    erase = StateIntervention("erase", (1,), (2,), 0)
    streams = [Stream("a", image, "solve the maze", 0), Stream("b", image, "solve the maze", 0, (erase,))]
    decoder, decoded = TrajectoryDecoder(pipe, 1), []

    def observe(moment) -> None:
        if moment.index == STEPS - 1:
            decoded.append(decoder(moment.clean_estimate[:1]))

    start = time.perf_counter()
    latents = sample(pipe, streams, "joint", STEPS, **shape, batch=1, observers=[observe])
    seconds = time.perf_counter() - start
    spatial = 16 if form == "ti2v" else SPATIAL_FACTOR
    expected = ((model["frames"] - 1) // TEMPORAL_FACTOR + 1, model["height"] // spatial, model["width"] // spatial)
    assert tuple(latents.shape[2:]) == expected, (latents.shape, expected)
    assert decoded[0].shape[1:] == (*shape.values(), 3), decoded[0].shape
    assert torch.isfinite(latents).all() and (latents[0] != latents[1]).any()
    return {
        "form": form,
        "frames": model["frames"],
        "height": model["height"],
        "width": model["width"],
        "latent_frames": expected[0],
        "tokens": expected[0] * (expected[1] // 2) * (expected[2] // 2),
        "seconds": seconds,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = []
    for form in MODELS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, (form,)))
        print(
            {key: round(value, 3) if isinstance(value, float) else value for key, value in rows[-1].items()}, flush=True
        )
    pd.DataFrame(rows).to_csv(given.out, index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
