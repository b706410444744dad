"""What it brings to tell a network its timesteps once for all states of a batch, in place of once a state.

    python benchmarks/timestep.py

Writes benchmarks/timestep.csv: processor time of a forward pass of the shipped mini reasoner, a state, in milliseconds,
one thread, the least of 12 passes each way in turns; and the largest difference of the two answers.
"""

import time
from pathlib import Path

import pandas as pd
import torch

from chainofsteps.configuration import load_yaml
from chainofsteps.models.load import load_pipeline

ROOT = Path(__file__).parents[1]
STATES = (1, 4, 8, 16, 32)
PASSES = 12


@torch.no_grad()
def main() -> None:
    """Measure and write the table."""
    torch.set_num_threads(1)
    model = load_yaml(ROOT / "config/models.yaml")["mini"]
    network = load_pipeline(ROOT / model["path"]).transformer
    config, frames = network.config, model["frames"]
    draw = torch.Generator().manual_seed(0)
    told = torch.full((1, frames * 16), 500.0)
    told[:, :16] = 0  # the given frame
    rows = []
    for states in STATES:
        state = torch.randn(states, config.in_channels, frames, 8, 8, generator=draw)
        text = torch.randn(states, model["max_sequence_length"], config.text_dim, generator=draw)
        ways = {"once_a_state": told.expand(states, -1), "once": told}
        least, answers = dict.fromkeys(ways, float("inf")), {}
        for _ in range(PASSES + 1):  # the first pass allocates
            for way, timestep in ways.items():
                start = time.process_time()
                given = {"hidden_states": state, "timestep": timestep, "encoder_hidden_states": text}
                answers[way] = network(**given, return_dict=False)[0]
                least[way] = min(least[way], time.process_time() - start)
        one, other = answers.values()
        rows.append(
            {
                "states": states,
                **{f"{way}_ms": 1e3 * seconds / states for way, seconds in least.items()},
                "ratio": least["once"] / least["once_a_state"],
                "largest_difference": float((one - other).abs().max()),
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(ROOT / "benchmarks" / "timestep.csv", index=False, float_format="%.3g")
    print(table.to_string())


if __name__ == "__main__":
    main()
