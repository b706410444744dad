"""Whether planted plans show a chain where frames take turns, with cases enough to tell (E5's controls).

    python benchmarks/planted_chain.py [MODEL] [COUNT] [SHUFFLED]

Writes benchmarks/planted_chain.csv: pilot cases of the worlds of the experiment, its own settings; how much more the
frames behind a planted plan take it on than those before it, with the interval over cases as the verdicts take it, by
sampling order, and the share of undisturbed videos solved. ``chain``: whether the control that asks for one would pass
(the whole interval above its bound). COUNT cases frame by frame, SHUFFLED in shuffled turns.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from chainofsteps.configuration import load_yaml
from chainofsteps.experiments.plant import run_plant
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset
from chainofsteps.statistics import inference
from chainofsteps.statistics.experiment_estimands import plant_lead

FIRST, WORKERS = 420_000, 2
EXPERIMENTS = ("plant_frame_by_frame", "plant_shuffled")


def measure(name: str, family: str, counts: list[int]) -> list[dict]:
    """Rows of a world, one an order."""
    torch.set_num_threads(1)
    model, config = load_yaml("config/models.yaml")[name], load_yaml("config/config.yaml")["interventions"]
    claims = load_yaml("config/claims.yaml")["claims"]
    (bound,) = [claim["smallest_effect"]["value"] for claim in claims if claim["id"] == "E5_control"]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    rows = []
    for experiment, count in zip(EXPERIMENTS, counts, strict=True):
        settings = config["experiments"][experiment]
        cases = case_dataset(family, "pilot", FIRST, count)
        made = run_plant(pipe, cases, model, settings, config["seeds"], config["batch"])
        lead = plant_lead(made)
        strata = inference.strata_of(made["difficulty"].sel(case=lead["case"]).values)
        low, high = inference.mean_interval(lead.values, seed=1, strata=strata)
        found = {"n": len(lead), "lead": inference.estimate(lead.values), "ci_low": low, "ci_high": high}
        solved = float((made["correct"].isel(arm=0) == 1).mean())
        rows.append({"family": family, "order": settings["order"], **found, "solved": solved, "chain": low > bound})
    return rows


def main(name: str = "mini", count: str = "256", shuffled: str = "128") -> None:
    """Measure and write the table."""
    families = load_yaml("config/config.yaml")["interventions"]["experiments"][EXPERIMENTS[0]]["families"]
    counts = [int(count), int(shuffled)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        parts = pool.map(measure, [name] * len(families), families, [counts] * len(families))
        table = pd.DataFrame([row for part in parts for row in part])
    table.to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3f")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
