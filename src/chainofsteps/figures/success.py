"""Success by family, level, order and step, of all models."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, caption, use_style
from chainofsteps.figures.words import label

_COLUMNS = 4


def success_by_level(tables: dict[str, pd.DataFrame], orders: dict[str, dict[str, dict]]) -> Figure:
    """Share solved over the last frame's steps, a panel a family; colours are levels, styles orders, a block a model.

    In joint order the last frame takes its steps with all others; frame by frame, a video is whole only once its last
    frame is being denoised.

    Parameters
    ----------
    tables : dict
        Model -> table of :func:`chainofsteps.readout.success.measure_success`.
    orders : dict
        Model -> its orders by name, each with its ``order`` and ``steps``.
    """
    use_style()
    blocks = {name: list(table["family"].unique()) for name, table in tables.items()}
    rows = {name: -(-len(families) // _COLUMNS) for name, families in blocks.items()}
    figure = plt.figure(figsize=(COLUMN_INCHES, 1.55 * sum(rows.values()) + 0.5 * len(rows) + 0.3))
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=list(rows.values()))[:, 0]
    for (name, table), part in zip(tables.items(), parts, strict=True):
        of_frame = table["order"].map({order: given["steps"] for order, given in orders[name].items()})
        in_run = table.groupby(["family", "level", "order"])["step"].transform("max") + 1
        shown = table.assign(share=(table["step"] + 1 - in_run + of_frame) / of_frame)
        shown = shown[shown["share"] > 0]
        shown["order"] = shown["order"].map(label)
        axes = part.subplots(rows[name], _COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat[len(blocks[name]) :]:
            axis.set_axis_off()
        for family, axis in zip(blocks[name], axes.flat, strict=False):
            sns.lineplot(
                shown[shown["family"] == family],
                x="share",
                y="success",
                hue="level",
                style="order",
                # A run of one step is a point.
                markers=True,
                markersize=3.5,
                markeredgewidth=0,
                errorbar=None,
                legend=family == blocks[name][-1],
                ax=axis,
            )
            axis.set(title=label(family), xlim=(0, 1.04), ylim=(-0.04, 1.04), xlabel="", ylabel="")
        # Of the block, not of a panel: a panel makes room for its own legend at its neighbours' cost.
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
        part.legend(handles, labels, frameon=False, fontsize="x-small", loc="outside right upper", handlelength=3)
        part.supylabel("share solved", fontsize="small")
        part.suptitle(label(name), fontsize="medium")
        sns.despine(part)
    n = pd.concat(table["n"] for table in tables.values())
    return caption(
        figure,
        f"steps of the last frame, as a share of all of its steps; pilot cases, {n.min()} a family and level,"
        f" {n.max()} at the last step of\nthe longest run of each order; 95 % intervals in the table",
    )
