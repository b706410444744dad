"""The sampling loop at the shapes of real latents, on a CPU: tiny random networks, as many tokens as the large models.

    python benchmarks/real_shapes.py --out benchmarks/real_shapes.csv

Every form goes through two steps, with one erased frame at the second, in bfloat16 with the VAE in float32. What it
shows is that shapes, masks, timesteps and interventions fit together at full size; its seconds say nothing of a GPU.
Pictures have the models' own size where the tiny VAE compresses as theirs does; the ti2v form's VAE does not, and its
pictures are as large as its latents need.
"""

from __future__ import annotations

import argparse
import runpy
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import WanTransformer3DModel

from chainofsteps.sampling.interventions import StateIntervention
from chainofsteps.sampling.loop import Stream, sample

ROOT = Path(__file__).parents[1]
# frames, height, width: latents of 21 x 60 x 104 (Wan2.1 and 2.2, 480p), and of 31 x 44 x 80 (Wan2.2-TI2V-5B).
SHAPES = {"two_networks": (81, 480, 832), "single": (81, 480, 832), "ti2v": (31, 176, 320)}


def lengthened(network: WanTransformer3DModel) -> WanTransformer3DModel:
    """The same network with positions for as many tokens as the real ones have."""
    longer = WanTransformer3DModel.from_config({**network.config, "rope_max_seq_len": 1024})
    longer.load_state_dict(network.state_dict())
    return longer.eval().to(torch.bfloat16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    build = runpy.run_path(str(ROOT / "tests/pipelines.py"))["build_pipeline"]
    rows = []
    for form, (frames, height, width) in SHAPES.items():
        pipe = build(form)
        pipe.transformer = lengthened(pipe.transformer)
        if pipe.transformer_2 is not None:
            pipe.transformer_2 = lengthened(pipe.transformer_2)
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        erased = StateIntervention("erase", steps=(1,), frames=(3,), seed=1)
        streams = [Stream("real", image, "solve the maze", 0, acting) for acting in ((), (erased,))]
        start = time.perf_counter()
        latents = sample(pipe, streams, "joint", 2, frames=frames, height=height, width=width, batch=1)
        seconds = time.perf_counter() - start
        assert torch.isfinite(latents).all() and not torch.equal(*latents)
        tokens = latents.shape[2] * (latents.shape[3] // 2) * (latents.shape[4] // 2)
        shape = " x ".join(map(str, latents.shape[1:]))
        rows.append({"form": form, "latents": shape, "tokens": tokens, "seconds": seconds})
        print(rows[-1], flush=True)
        pd.DataFrame(rows).to_csv(given.out, index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
