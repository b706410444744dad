"""The look that all figures share."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import seaborn as sns
from matplotlib.figure import Figure

PALETTE = "colorblind"
COLUMN_INCHES = 6.8
# Mean over cases and its percentile bootstrap; the seed makes the picture reproducible.
INTERVAL = {"errorbar": ("ci", 95), "n_boot": 1000, "seed": 1}


def use_style() -> None:
    """Set seaborn's theme for the next figure."""
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, font_scale=0.95)
    matplotlib.rcParams["savefig.dpi"] = 150
    matplotlib.rcParams["figure.constrained_layout.use"] = True


def caption(figure: Figure, text: str) -> Figure:
    """Write n and the meaning of intervals under a figure."""
    figure.supxlabel(text, fontsize="small", color="0.35")
    return figure


def label(name: str) -> str:
    """Words for a name of the configuration: ``frame_by_frame`` -> ``frame by frame``."""
    return name.replace("_", " ")
