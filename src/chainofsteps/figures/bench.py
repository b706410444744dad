"""What the videos of a bench say: agreement over steps, commitment over frames, estimands with their intervals."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, INTERVAL, caption, use_style
from chainofsteps.figures.words import label


def bench_summary(features: dict[str, xr.Dataset], means: pd.DataFrame) -> Figure:
    """Three panels.

    Parameters
    ----------
    features : dict
        Sampling experiment -> dataset by the ``bench_features`` schema.
    means : DataFrame
        Rows of means of :func:`chainofsteps.statistics.bench.bench_table` that have a value.
    """
    use_style()
    figure, axes = plt.subplots(1, 3, figsize=(1.6 * COLUMN_INCHES, 0.8 + 0.22 * max(len(means), 10)))
    for name, dataset in features.items():
        steps = dataset["step"].values + 1
        agreement = dataset["agreement"].mean("seed").assign_coords(step=steps)
        tau = dataset["commitment_step"].isel(frame=slice(1, None)).mean("seed") / steps[-1]
        for axis, values, along in ((axes[0], agreement, "step"), (axes[1], tau, "frame")):
            table = values.rename("value").to_dataframe().reset_index()
            sns.lineplot(table, x=along, y="value", marker="o", ax=axis, label=label(name), **INTERVAL)
    axes[0].set(xlabel="network evaluations", ylabel="agreement with the ground truth", ylim=(-0.04, 1.04))
    axes[1].set(xlabel="frame", ylabel="commitment step / steps", ylim=(-0.04, 1.04))
    for axis in axes[:2]:
        axis.legend(frameon=False, fontsize="small")
    parts = means[["estimand", "experiment", "setting"]].fillna("").astype(str)
    names = [label(", ".join(filter(None, row))) for row in parts.itertuples(index=False)]
    places = np.arange(len(means))
    axes[2].hlines(places, means["ci_low"], means["ci_high"], color="0.4")
    axes[2].plot(means["value"], places, "o", color="0.1", markersize=4)
    axes[2].axvline(0, color="0.7", linewidth=0.8)
    axes[2].set(yticks=places, yticklabels=names, xlabel="mean over cases")
    axes[2].tick_params(axis="y", labelsize="x-small")
    axes[2].invert_yaxis()
    sns.despine(figure)
    count = next(iter(features.values())).sizes["case"]
    return caption(figure, f"{count} cases of the bench; 95 % bootstrap over cases; no symbolic truth")
