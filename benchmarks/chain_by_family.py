"""Whether frames in turn are found to be a chain in every family that the model knows, beyond those of the run (E1).

    python benchmarks/chain_by_family.py [MODEL] [COUNT]

Writes benchmarks/chain_by_family.csv: pilot cases, one seed; sequentiality by family and sampling order with its 95 %
interval over cases, taken as the verdicts take it, and the share of cases solved. Settings are those of the run.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.features import extract_features
from chainofsteps.sampling.trajectories import sample_trajectories
from chainofsteps.statistics import inference
from chainofsteps.statistics.estimands import sequentiality

FIRST, BATCH, WORKERS = 400_000, 32, 2


def measure(name: str, family: str, count: int) -> list[dict]:
    """Rows of a family, one an order."""
    torch.set_num_threads(1)
    model, config = load_yaml("config/models.yaml")[name], load_yaml("config/config.yaml")
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    cases = case_dataset(family, "pilot", FIRST, count)
    asked = config["experiments"] | {"shuffled": config["controls"]["experiments"]["shuffled"]}
    rows = []
    for order, settings in asked.items():
        features = extract_features(cases, sample_trajectories(pipe, cases, model, settings, [0], BATCH))
        kappa = sequentiality(features).values
        strata = inference.strata_of(cases["difficulty"].values)
        low, high = inference.mean_interval(kappa, seed=1, strata=strata)
        solved = float((features["correct"].isel(step=-1) == 1).mean())
        found = {"kappa": inference.estimate(kappa), "ci_low": low, "ci_high": high, "solved": solved}
        rows.append({"family": family, "order": order, "n": count, **found})
    return rows


def main(name: str = "mini", count: str = "16") -> None:
    """Measure and write the table."""
    families = list(load_yaml("config/models.yaml")[name]["training"]["families"])
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        parts = pool.map(measure, [name] * len(families), families, [int(count)] * len(families))
        table = pd.DataFrame([row for part in parts for row in part])
    table.to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3f")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
