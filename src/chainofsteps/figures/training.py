"""How the mini reasoner learned."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from chainofsteps.figures.style import COLUMN_INCHES, caption, use_style
from chainofsteps.figures.words import label


def training_curves(log: pd.DataFrame, vae_log: pd.DataFrame | None, held_out: int, orders: Sequence[str]) -> Figure:
    """Loss of the reasoner, reconstruction of its VAE, and held-out success by family, one map an order.

    Parameters
    ----------
    log : DataFrame
        ``samples``, ``loss`` and a column ``<family>_<order>`` for each held-out success, empty where not evaluated.
    vae_log : DataFrame, optional
        ``step``, ``loss``, ``psnr`` (dB); none where the VAE is another model's.
    held_out : int
        Cases behind each success.
    orders : sequence of str
        Names of the orders shown, none of which ends as another does.
    """
    use_style()
    figure = plt.figure(figsize=(COLUMN_INCHES, 5.6))
    curves, maps = figure.subfigures(2, 1, height_ratios=[1, 1.5])
    axes = curves.subplots(1, 1 if vae_log is None else 2, squeeze=False)[0]
    sns.lineplot(log, x="samples", y="loss", ax=axes[-1])
    axes[-1].set(title="reasoner", ylabel="loss", yscale="log")
    axes[-1].xaxis.set_major_formatter(EngFormatter())
    if vae_log is not None:
        sns.lineplot(vae_log, x="step", y="psnr", ax=axes[0])
        axes[0].set(title="VAE", xlabel="training step", ylabel="PSNR of a batch (dB)")
    sns.despine(curves)
    panels = maps.subplots(1, len(orders), sharey=True, squeeze=False)[0]
    for order, axis in zip(orders, panels, strict=True):
        columns = {name: name.removesuffix(f"_{order}") for name in log.columns if name.endswith(f"_{order}")}
        evaluated = log.dropna(subset=list(columns)).set_index("samples")[list(columns)].rename(columns=columns)
        evaluated.index = [f"{samples / 1000:.0f} k" for samples in evaluated.index]
        shown = evaluated.rename(columns=label).T
        sns.heatmap(shown, vmin=0, vmax=1, cmap="cividis", annot=True, fmt=".2f", cbar=False, ax=axis)
        axis.set(title=label(order), xlabel="samples", ylabel="")
        axis.tick_params(axis="both", rotation=0)
    return caption(figure, f"maps: share solved of {held_out} held-out pilot cases a family, by sampling order")
