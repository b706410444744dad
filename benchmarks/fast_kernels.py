"""How long an evaluation of the network takes with the loop's kernels, over its own.

    python benchmarks/fast_kernels.py --out benchmarks/fast_kernels.csv

The shipped mini reasoner, one thread, so many states of one text at once, as a job has; both ways in turns, the median
of each. The largest difference of the answers is in the table.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from chainofsteps.configuration import load_yaml
from chainofsteps.models.load import load_pipeline
from chainofsteps.sampling.kernels import fast_kernels

ROOT = Path(__file__).parents[1]
STATES = (1, 4, 16, 32, 64)
REPEATS = 15


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model = load_yaml(ROOT / "config/models.yaml")["mini"]
    network = load_pipeline(ROOT / model["path"]).transformer
    torch.set_num_threads(1)
    rows = []
    for states in STATES:
        rng = torch.Generator().manual_seed(states)
        inputs = {
            "hidden_states": torch.randn(states, network.config.in_channels, model["frames"], 8, 8, generator=rng),
            "timestep": torch.full((1, model["frames"] * 16), 500.0),
            "encoder_hidden_states": torch.randn(
                1, model["max_sequence_length"], network.config.text_dim, generator=rng
            ).repeat(states, 1, 1),
            "return_dict": False,
        }
        seconds, answers = {"own": [], "loop": []}, {}
        for _ in range(REPEATS):
            for way, kernels in (
                ("own", contextlib.nullcontext()),
                ("loop", fast_kernels(network, torch.device("cpu"), one_text=True)),
            ):
                with kernels:
                    start = time.perf_counter()
                    answers[way] = network(**inputs)[0]
                    seconds[way].append(time.perf_counter() - start)
        own, loop = (np.median(seconds[way][1:]) / states * 1000 for way in ("own", "loop"))
        difference = float((answers["own"] - answers["loop"]).abs().max())
        rows.append(
            {"states": states, "own_ms": own, "loop_ms": loop, "ratio": loop / own, "largest_difference": difference}
        )
    table = pd.DataFrame(rows)
    table.to_csv(given.out, index=False, float_format="%.3g")
    print(table.to_string())


if __name__ == "__main__":
    main()
