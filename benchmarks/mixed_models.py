"""Whether a mixed model can take the place of tests on case means: fits of E0 and E1 on the run's features.

    python benchmarks/mixed_models.py --out benchmarks/mixed_models.csv

statsmodels' ``MixedLM``: random intercepts of cases and of seeds within them. E0: right at the last step against the
first. E1: commitment step, as a share of the run, over the place of the free frame. Each estimate stands beside that of
the verdicts' case means with its BCa interval (10,000 draws). Takes the features of ``snakemake --cores 2``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

from chainofsteps import datasets
from chainofsteps.statistics import estimands, inference

FEATURES = Path(__file__).parents[1] / "results/features/mini"


def ends(features):
    """Right or not in the first clean estimate and at the last step, a row a stream and end."""
    table = (features["correct"] == 1).astype(float).isel(step=[0, -1]).rename("value").to_dataframe().reset_index()
    return table.assign(place=(table["step"] > 0).astype(float))


def commitments(features):
    """Commitment steps of free frames, as shares of the run, a row a stream and frame."""
    free = features["commitment_step"].sel(frame=features["frame"] > estimands.GIVEN_FRAME) / features.sizes["step"]
    table = free.rename("value").to_dataframe().reset_index()
    return table.assign(place=(table["frame"] - table["frame"].min()) / (table["frame"].max() - table["frame"].min()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = []
    for path in sorted(FEATURES.glob("[jf]*/*.nc")):
        features = datasets.read(path, "features")
        for entry, table, of_case in (
            ("E0", ends(features), estimands.gain_of_steps),
            ("E1", commitments(features), estimands.sequentiality),
        ):
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = MixedLM.from_formula(
                    "value ~ place", table, groups="case", re_formula="1", vc_formula={"seed": "0 + C(seed)"}
                )
                fit = model.fit()
            seconds = time.perf_counter() - start
            low, high = fit.conf_int().loc["place"]
            values = of_case(features).values
            case_low, case_high = inference.mean_interval(values)
            rows.append(
                {
                    "entry": entry,
                    "experiment": path.parent.name,
                    "family": path.stem,
                    "converged": fit.converged,
                    "seconds": seconds,
                    "mixed": fit.params["place"],
                    "mixed_low": low,
                    "mixed_high": high,
                    "case_means": inference.estimate(values),
                    "case_means_low": case_low,
                    "case_means_high": case_high,
                }
            )
            print({key: round(value, 3) if isinstance(value, float) else value for key, value in rows[-1].items()})
    pd.DataFrame(rows).to_csv(given.out, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
