"""How the mini reasoner learned."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, caption, label, use_style


def training_curves(vae_log: pd.DataFrame, log: pd.DataFrame, held_out: int) -> Figure:
    """Reconstruction of the VAE, loss of the reasoner, held-out success by family and order.

    Parameters
    ----------
    vae_log : DataFrame
        ``step``, ``loss``, ``psnr`` (dB).
    log : DataFrame
        ``samples``, ``loss`` and a column ``<family>_<order>`` for each held-out success, empty where not evaluated.
    held_out : int
        Cases behind each success.
    """
    use_style()
    figure, axes = plt.subplots(1, 3, figsize=(COLUMN_INCHES, 2.6), width_ratios=[1, 1, 1.6])
    sns.lineplot(vae_log, x="step", y="psnr", ax=axes[0])
    axes[0].set(title="VAE", xlabel="training step", ylabel="PSNR of a batch (dB)")
    sns.lineplot(log, x="samples", y="loss", ax=axes[1])
    axes[1].set(title="reasoner", ylabel="flow-matching loss", yscale="log")
    orders = ("frame_by_frame", "joint")
    scores = [name for name in log.columns if name.endswith(orders)]
    table = log.dropna(subset=scores).melt("samples", scores, "name", "success")
    table["order"] = [next(o for o in orders if name.endswith(o)) for name in table["name"]]
    table["family"] = [name.removesuffix(f"_{o}") for name, o in zip(table["name"], table["order"], strict=True)]
    table["order"] = table["order"].map(label)
    sns.lineplot(table, x="samples", y="success", hue="family", style="order", ax=axes[2], errorbar=None)
    axes[2].set(title="held out", ylabel="share solved", ylim=(-0.02, 1.02))
    axes[2].legend(frameon=False, fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    sns.despine(figure)
    return caption(figure, f"held-out success of {held_out} pilot cases a family")
