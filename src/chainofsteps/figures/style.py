"""The look that all figures share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = "colorblind"
COLUMN_INCHES = 6.8
_DRAWS = 1000


def bootstrap_interval(values: pd.Series) -> np.ndarray:
    """95 % percentile bootstrap of the mean: seaborn's ``("ci", 95)`` of the same seed, all draws at once."""
    values = values.to_numpy()
    return np.percentile(values[_resamples(len(values))].mean(axis=1), (2.5, 97.5))


@cache
def _resamples(count: int) -> np.ndarray:
    # Of a fixed seed: the picture is reproducible, and points of as many cases share their draws.
    return np.random.default_rng(1).integers(0, count, (_DRAWS, count))


# Mean over cases and its interval, as seaborn takes them.
INTERVAL = {"errorbar": bootstrap_interval}


def use_style() -> None:
    """Set seaborn's theme for the next figure."""
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, font_scale=0.95)
    matplotlib.rcParams["savefig.dpi"] = 150
    matplotlib.rcParams["figure.constrained_layout.use"] = True


def share_panels(families: Iterable[str]) -> tuple[Figure, dict[str, Axes]]:
    """A panel a family, side by side at column width, for something that goes from 0 to 1."""
    use_style()
    names = list(families)
    figure, axes = plt.subplots(1, len(names), figsize=(COLUMN_INCHES, 2.8), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set(title=name, ylim=(-0.04, 1.04))
    sns.despine(figure)
    return figure, dict(zip(names, axes[0], strict=True))


def caption(figure: Figure, text: str) -> Figure:
    """Write n and the meaning of intervals under a figure."""
    figure.supxlabel(text, fontsize="small", color="0.35")
    return figure
