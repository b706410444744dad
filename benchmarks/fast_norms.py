"""How long it takes to decode by `chainofsteps.sampling.decode.decode`, with and without its norms and memory layout.

    python benchmarks/fast_norms.py --out benchmarks/fast_norms.csv

Latents of the shipped mini reasoner, one thread, both ways in turns; medians. Pictures differ by at most the grey
values in the table.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from chainofsteps.configuration import load_yaml
from chainofsteps.models.frame_wise import frame_wise
from chainofsteps.models.load import load_pipeline
from chainofsteps.sampling import decode

ROOT = Path(__file__).parents[1]


def own(pipe, latents, batch):
    """Frames one by one, as before, by the VAE's own norms."""
    singles = latents.transpose(1, 2).flatten(0, 1)[:, :, None]
    with frame_wise(pipe.vae):
        return decode._decode(pipe, singles, batch * latents.shape[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    pipe = load_pipeline(ROOT / load_yaml(ROOT / "config/models.yaml")["mini"]["path"])
    latents = torch.randn(32, 8, 9, 8, 8, generator=torch.Generator().manual_seed(0))
    rows = []
    for batch in (1, 4, 16, 32):
        seconds, pictures = {}, {}
        for _ in range(given.repeats):
            for name, act in (("own", own), ("fast", decode.decode)):
                start = time.perf_counter()
                pictures[name] = act(pipe, latents, batch)
                seconds.setdefault(name, []).append(time.perf_counter() - start)
        slow, fast = (1000 * np.median(seconds[name]) / len(latents) for name in ("own", "fast"))
        apart = np.abs(pictures["own"].reshape(-1).astype(int) - pictures["fast"].reshape(-1)).max()
        rows.append(
            {"videos": batch, "own_ms": slow, "fast_ms": fast, "ratio": fast / slow, "grey_values_apart": apart}
        )
    pd.DataFrame(rows).to_csv(given.out, index=False, float_format="%.3g")
    print(pd.read_csv(given.out).to_string())


if __name__ == "__main__":
    main()
