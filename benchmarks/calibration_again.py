"""Rows of the calibration that came out beyond its lines, with four times as many other data sets.

    python benchmarks/calibration_again.py      # after `snakemake calibration`; a few minutes on one core

Writes benchmarks/calibration_again.csv. Of 48 rows whose rates are just what they promise, one is likely to lie beyond
two Monte Carlo errors by chance. A row of `results/calibration/values.csv` that does, or whose intervals hold the truth
outside .93 to .97, is drawn again from another seed: ``found`` is what the calibration said, ``again`` what new data
sets say, ``line`` what is accepted of them (.05 and two errors; .93 to .97).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.statistics.calibration import MEASURED, NO_EFFECT, simulate_values, summarise
from chainofsteps.statistics.verdicts import ALPHA, tested_samples

RESULTS, DATASETS, SEED = Path("results"), 4000, 20261127
COVERED = (0.93, 0.97)


def line(count: int) -> float:
    """Highest rate of false positives that is accepted of so many data sets."""
    return ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / count)


def beyond(table: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """(id, family, scenario, rate) of what lies beyond the lines."""
    found = []
    for row in table[table["scenario"].isin([NO_EFFECT, MEASURED])].to_dict("records"):
        place = (row["id"], row["family"], row["scenario"])
        if row["scenario"] == NO_EFFECT and row["significant"] > line(row["datasets"]):
            found.append((*place, "significant"))
        if not COVERED[0] <= row["coverage"] <= COVERED[1]:
            found.append((*place, "coverage"))
    return found


def main() -> None:
    """Find the rows, draw again, write the table."""
    config, claims = load_yaml("config/config.yaml"), load_yaml("config/claims.yaml")["claims"]
    first = pd.read_csv(RESULTS / "calibration/values.csv")
    asked = beyond(first)
    kinds = {name: given["kind"] for name, given in config["interventions"]["experiments"].items()}
    read = [
        datasets.read(path, "features")
        for experiment in config["experiments"]
        for path in sorted((RESULTS / "features" / config["model"] / experiment).glob("*.nc"))
    ]
    read += [datasets.read(path, kinds[path.stem]) for path in sorted((RESULTS / "interventions").glob("mini*/*.nc"))]
    places = {(entry, family) for entry, family, *_ in asked}
    rows = [row for row in tested_samples(claims, read) if (row[0]["id"], row[1]) in places]
    draws = config["calibration"]["draws"]
    records = simulate_values(rows, 1, datasets=DATASETS, curve_datasets=0, draws=draws, seed=SEED)
    keys = ["id", "family", "scenario"]
    first, again = first.set_index(keys), summarise(records).set_index(keys)
    table = pd.DataFrame(
        {
            **dict(zip([*keys, "rate"], place, strict=True)),
            "found": first.loc[place[:3], place[3]],
            "again": again.loc[place[:3], place[3]],
            "datasets": DATASETS,
            "line": f"{line(DATASETS):.4f}" if place[3] == "significant" else "{} to {}".format(*COVERED),
        }
        for place in asked
    )
    table.to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.4f")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
