"""The same claims on other cases and seeds: what each block says."""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, caption, use_style
from chainofsteps.figures.words import label
from chainofsteps.statistics.claims import ANSWER
from chainofsteps.statistics.verdicts import VERDICT_CODE

_PANELS = 2  # a row
_MARKERS = ("o", "^", "s", "X", "D", "P")
_UNIT_WIDTH = 36  # characters that a panel has room for


def verdicts_by_block(verdicts: pd.DataFrame) -> Figure:
    """Estimate of each block, a panel an entry and a line a family (and model); colour and marker say the verdict.

    Parameters
    ----------
    verdicts : DataFrame
        As :func:`chainofsteps.statistics.stability.tally` takes it.
    """
    use_style()
    table = verdicts[(verdicts["id"] != ANSWER) & verdicts["estimate"].notna()]
    models = table["model_id"].nunique()
    table = table.assign(line=table["family"] + (", " + table["model_id"] if models > 1 else ""))
    entries, lines = list(dict.fromkeys(table["id"])), sorted(set(table["line"]))
    words = [word for word in VERDICT_CODE if word in set(table["verdict"])]
    colours = dict(zip(VERDICT_CODE, sns.color_palette(n_colors=len(VERDICT_CODE)), strict=True))
    markers = dict(zip(VERDICT_CODE, _MARKERS, strict=True))
    rows = -(-len(entries) // _PANELS)
    height = rows * (0.24 * len(lines) + 0.75) + 0.8
    figure, axes = plt.subplots(rows, _PANELS, figsize=(COLUMN_INCHES, height), sharey=True, squeeze=False)
    for axis, entry in zip(axes.flat, entries, strict=False):
        here = table[table["id"] == entry]
        for word in words:
            said = here[here["verdict"] == word]
            axis.scatter(
                said["estimate"],
                [lines.index(line) for line in said["line"]],
                color=colours[word],
                marker=markers[word],
                edgecolor="white",
                linewidth=0.4,
                s=36,
                label=word,
                zorder=2,
            )
        axis.axvline(0, color="0.6", lw=0.8, zorder=1)
        axis.set(title=label(entry), xlabel=textwrap.fill(f"estimate ({here['unit'].iloc[0]})", _UNIT_WIDTH))
        axis.set_yticks(range(len(lines)), [label(line) for line in lines])
        axis.set_ylim(len(lines) - 0.5, -0.5)
    for axis in axes.flat[len(entries) :]:
        axis.set_axis_off()
    sns.despine(figure)
    named = [zip(*axis.get_legend_handles_labels(), strict=True) for axis in axes.flat]
    handles = {text: handle for pairs in named for handle, text in pairs}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(words), frameon=False)
    blocks, cases, seeds = verdicts["block"].nunique(), int(verdicts["n_cases"].max()), int(verdicts["n_seeds"].max())
    return caption(
        figure,
        f"{blocks} disjoint blocks of {cases} cases a family and {seeds} seeds, {models} model(s);"
        " each block judged and corrected by itself",
    )
