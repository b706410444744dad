"""Success by family, level, order and step, of all models."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, caption, label, use_style

_COLUMNS = 4


def success_by_level(tables: dict[str, pd.DataFrame], orders: dict[str, list[str]]) -> Figure:
    """Share solved over the share of a run, a panel a family; colours are levels, line styles orders, a block a model.

    Parameters
    ----------
    tables : dict
        Model -> table of :func:`chainofsteps.readout.success.measure_success`.
    orders : dict
        Model -> names of the orders drawn.
    """
    use_style()
    blocks = {name: list(table["family"].unique()) for name, table in tables.items()}
    rows = {name: -(-len(families) // _COLUMNS) for name, families in blocks.items()}
    figure = plt.figure(figsize=(COLUMN_INCHES, 1.55 * sum(rows.values()) + 0.5 * len(rows) + 0.3))
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=list(rows.values()))[:, 0]
    for (name, table), part in zip(tables.items(), parts, strict=True):
        shown = table[table["order"].isin(orders[name])].copy()
        steps = shown.groupby(["family", "level", "order"])["step"].transform("max")
        shown["share of the run"] = (shown["step"] + 1) / (steps + 1)
        shown["order"] = shown["order"].map(label)
        axes = part.subplots(rows[name], _COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat[len(blocks[name]) :]:
            axis.set_axis_off()
        for family, axis in zip(blocks[name], axes.flat, strict=False):
            sns.lineplot(
                shown[shown["family"] == family],
                x="share of the run",
                y="success",
                hue="level",
                style="order",
                # A run of one step is a point.
                marker="o",
                markersize=3,
                markeredgewidth=0,
                errorbar=None,
                legend=family == blocks[name][-1],
                ax=axis,
            )
            axis.set(title=label(family), xlim=(0, 1.04), ylim=(-0.04, 1.04), xlabel="", ylabel="")
        # Of the block, not of a panel: a panel makes room for its own legend at its neighbours' cost.
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
        for handle in handles:
            handle.set_marker("")  # it would hide the dashes
        part.legend(handles, labels, frameon=False, fontsize="x-small", loc="outside right upper", handlelength=3)
        part.supylabel("share solved", fontsize="small")
        part.suptitle(label(name), fontsize="medium")
        sns.despine(part)
    last = pd.concat(table[table["order"].isin(orders[name])]["n"] for name, table in tables.items())
    return caption(
        figure,
        f"network evaluations as a share of the run; pilot cases, {last.min()} a family and level, {last.max()} at the"
        " last step;\n95 % intervals in the table",
    )
