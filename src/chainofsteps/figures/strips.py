"""What the model sees coming: clean estimates of one stream, steps down, frames across."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, PALETTE, caption, use_style
from chainofsteps.figures.words import label


def clean_estimate_strip(
    cases: xr.Dataset,
    trajectories: xr.Dataset,
    case_id: str | None = None,
    seed: int | None = None,
    marked: tuple[int, int] | None = None,
    rows: int = 6,
) -> Figure:
    """Clean estimates of a stream, and the ground truth below, which is one right answer where there are several.

    Parameters
    ----------
    cases, trajectories : Dataset
        By their schemas.
    case_id : str, optional
        The first of the trajectories, if not given; likewise the seed.
    seed : int, optional
    marked : (step, frame), optional
        A clean estimate that is framed; its step is among those shown.
    rows : int
        Steps shown, evenly spaced, the first and the last among them.
    """
    use_style()
    stream = trajectories.sel(
        case=trajectories["case"].values[0] if case_id is None else case_id,
        seed=trajectories["seed"].values[0] if seed is None else seed,
    )
    spaced = np.linspace(0, stream.sizes["step"] - 1, rows).round().astype(int)
    steps = np.unique([*spaced, *([] if marked is None else marked[:1])])
    truth = cases.sel(case=stream["case"].item())
    frames = stream.sizes["frame"]
    figure, axes = plt.subplots(
        len(steps) + 1, frames, figsize=(COLUMN_INCHES, COLUMN_INCHES * (len(steps) + 1.6) / (frames + 1.6))
    )
    for row, step in enumerate(steps):
        active = stream["active"].isel(step=step).values.astype(bool)
        sigma = stream["sigma"].isel(step=step).values[active].max()
        for frame, axis in enumerate(axes[row]):
            axis.imshow(stream["clean_estimate"].isel(step=step, frame=frame).values)
        axes[row, 0].set_ylabel(f"step {step}\nσ {sigma:.2f}", rotation=0, ha="right", va="center")
    for frame, axis in enumerate(axes[-1]):
        axis.imshow(truth["ground_truth"].isel(frame=frame).values)
        axis.set_xlabel(f"frame {frame}")
    axes[-1, 0].set_ylabel("a right\nanswer", rotation=0, ha="right", va="center")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    if marked is not None:
        for spine in axes[np.flatnonzero(steps == marked[0])[0], marked[1]].spines.values():
            spine.set(color=sns.color_palette(PALETTE)[3], linewidth=3)
    family, experiment = trajectories.attrs["family"], label(trajectories.attrs["experiment"])
    figure.suptitle(f"Clean estimates of one {family} case, {experiment}")
    waiting = (stream["active"].isel(latent_frame=slice(1, None)) == 0).any()
    noise = "; coloured noise: a frame that still waits" if waiting else ""
    return caption(figure, f"case {stream['case'].item()}, seed {stream['seed'].item()}; frame 0 is given{noise}")
