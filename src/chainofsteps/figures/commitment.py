"""Since when does each frame hold its final state."""

from __future__ import annotations

import seaborn as sns
import xarray as xr
from matplotlib.figure import Figure

from chainofsteps.figures.correctness import counts
from chainofsteps.figures.style import INTERVAL, caption, share_panels
from chainofsteps.figures.words import label


def commitment_by_frame(by_family: dict[str, dict[str, xr.Dataset]]) -> Figure:
    """Commitment step over frame, as a share of the run's evaluations, a panel a family and a line an experiment.

    Parameters
    ----------
    by_family : dict
        Family -> experiment -> features dataset.
    """
    figure, axes = share_panels(by_family)
    for family, by_experiment in by_family.items():
        axis = axes[family]
        for experiment, features in by_experiment.items():
            free = features["commitment_step"].isel(frame=slice(1, None)).mean("seed") / features.sizes["step"]
            table = free.rename("commitment").to_dataframe().reset_index()
            sns.lineplot(
                table, x="frame", y="commitment", marker="o", ax=axis, label=label(experiment), legend=False, **INTERVAL
            )
        axis.set(xlabel="frame", ylabel="commitment step / steps")
        axis.set_xticks(range(1, features.sizes["frame"]))
    next(iter(axes.values())).legend(frameon=False, loc="upper left", fontsize="small")
    figure.suptitle("When each frame commits: flat is all at once, the diagonal is in turn")
    first = next(iter(next(iter(by_family.values())).values()))
    return caption(figure, f"{counts(first)} a family; mean over cases, 95 % bootstrap over cases")
