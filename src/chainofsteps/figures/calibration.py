"""What the statistics do on data whose truth is known: false positives, coverage, power."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, caption, use_style
from chainofsteps.figures.words import label, span

WANTED_COVERAGE = (0.93, 0.97)
_PANELS = 3  # a row


def false_positives(rates: pd.DataFrame, level: float = 0.05) -> Figure:
    """Rates under the null, a row an entry and a colour a family: of small p-values, and of verdicts.

    Parameters
    ----------
    rates : pd.DataFrame
        As of :func:`chainofsteps.statistics.calibration.summarise`, with the row of the whole table.
    level : float
        What a test promises.
    """
    use_style()
    entries = list(dict.fromkeys(rates["id"]))
    figure, axes = plt.subplots(1, 2, figsize=(COLUMN_INCHES, 0.42 * len(entries) + 1.4), sharey=True)
    n = int(rates["datasets"].min())
    error = 2 * np.sqrt(level * (1 - level) / n)
    titles = {"significant": "p at most .05", "claimed": "replicated or direction only"}
    for axis, (rate, title) in zip(axes, titles.items(), strict=True):
        axis.axvspan(max(level - error, 0), level + error, color="0.9", lw=0)
        axis.axvline(level, color="0.4", lw=0.8)
        _points(rates, rate, entries, axis)
        axis.set(title=title, xlabel="share of data sets", ylabel="", xlim=(-0.004, None))
    _one_legend(figure, axes[0], list(axes))
    sns.despine(figure)
    return caption(
        figure,
        f"{n} data sets with no effect, {span(rates['cases'])} cases. p unadjusted (table: any adjusted p); verdicts\n"
        "corrected for the whole table. Grey: .05 and 2 Monte Carlo errors; bars: 2 Monte Carlo errors.\n"
        "Equivalences and controls stand at their bounds. How the data are made: docs/calibration.md",
    )


def coverage_and_power(own: pd.DataFrame, rates: pd.DataFrame) -> Figure:
    """Coverage of the intervals at the run's number of cases, and power over numbers of cases.

    Parameters
    ----------
    own : pd.DataFrame
        As of :func:`chainofsteps.statistics.calibration.summarise`, at as many cases as the run has.
    rates : pd.DataFrame
        Likewise, of all families and numbers of cases.
    """
    use_style()
    entries = list(dict.fromkeys(own["id"]))
    curves = rates[rates["scenario"].isin(["smallest", "twice"])]
    panels = [entry for entry in entries if entry in set(curves["id"])]
    rows = max(1, -(-len(panels) // _PANELS))
    heights = [0.36 * len(entries) + 0.9, 1.75 * rows + 0.4]
    figure = plt.figure(figsize=(COLUMN_INCHES, sum(heights) + 0.4))
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)

    axis = top.subplots()
    axis.axvspan(*WANTED_COVERAGE, color="0.9", lw=0)
    axis.axvline(0.95, color="0.4", lw=0.8)
    measured = own[own["scenario"] == "measured"]
    _points(measured, "coverage", entries, axis)
    axis.set(title="coverage", xlabel="share of intervals", ylabel="", xlim=(None, 1.01))
    _one_legend(top, axis, [])

    axes = bottom.subplots(rows, _PANELS, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    counts = sorted(curves["cases"].unique())
    for axis, entry in zip(axes.flat, panels, strict=False):
        sns.lineplot(
            curves[curves["id"] == entry],
            x="cases",
            y="claimed",
            hue="family",
            hue_order=_families(rates),
            style="scenario",
            style_order=["smallest", "twice"],
            markers=True,
            markersize=4,
            markeredgewidth=0,
            errorbar=None,
            legend=entry == panels[0],
            ax=axis,
        )
        axis.axhline(0.8, color="0.8", lw=0.8, zorder=0)
        axis.set(title=label(entry), ylim=(-0.04, 1.04), ylabel="power", xscale="log")
        axis.set(xlim=(counts[0] / 1.15, counts[-1] * 1.15))
        axis.set_xticks(counts, [str(count) for count in counts])
        axis.minorticks_off()
    if panels:
        _one_legend(bottom, axes.flat[0], [])
    sns.despine(figure)
    n, cases = measured["datasets"].max(), span(measured["cases"])
    few = f", {int(curves['datasets'].min())} a point of the curves" if len(curves) else ""
    return caption(
        figure,
        f"Coverage of 95 % intervals: {int(n)} data sets of {cases} cases, drawn from the measured ones as a run\n"
        f"draws them, which are the truth; bars 2 Monte Carlo errors, grey .93 to .97. Power{few}:\n"
        "share replicated or direction only, corrected for the whole table, at the smallest effect of interest\n"
        "and at twice that (E1: where kappa is 0); line at .8. A curve is missing where these cases cannot\n"
        "have the effect",
    )


def _families(rates: pd.DataFrame) -> list[str]:
    return sorted(set(rates["family"]) - {"all"}) + (["all"] if "all" in set(rates["family"]) else [])


def _points(rates: pd.DataFrame, rate: str, entries: Sequence[str], axis: Axes) -> None:
    """A point a row with 2 Monte Carlo errors either way."""
    # Three values a row, of which seaborn draws the middle one and the range.
    around = [rates.assign(shown=rates[rate] + k * rates[f"{rate}_error"]) for k in (-2, 0, 2)]
    families = _families(rates)
    sns.pointplot(
        pd.concat(around).dropna(subset="shown"),
        x="shown",
        y="id",
        hue="family",
        order=entries,
        hue_order=families,
        estimator="median",
        errorbar=("pi", 100),
        dodge=0.1 * len(families) if len(families) > 1 else False,
        linestyle="none",
        markersize=3.5,
        err_kws={"linewidth": 1},
        ax=axis,
    )
    axis.set_yticks(range(len(entries)), [label(entry) for entry in entries])


def _one_legend(figure: Figure, source: Axes, axes: Sequence[Axes]) -> None:
    """Of the figure, at its right: a panel would make room for it at its neighbours' cost."""
    handles, labels = source.get_legend_handles_labels()
    for axis in {source, *axes}:
        if axis.get_legend():
            axis.get_legend().remove()
    texts = [label(text) for text in labels]
    figure.legend(handles, texts, frameon=False, fontsize="x-small", loc="outside right upper")
