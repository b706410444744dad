"""What the model sees coming: clean estimates of one stream, steps down, frames across."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, caption, label, use_style


def clean_estimate_strip(cases: xr.Dataset, trajectories: xr.Dataset, case_index: int = 0, rows: int = 6) -> Figure:
    """Clean estimates of the first seed of a case, and the ground truth below.

    Parameters
    ----------
    cases, trajectories : Dataset
        By their schemas.
    case_index : int
        Position of the case in the trajectories.
    rows : int
        Steps shown, evenly spaced, the first and the last among them.
    """
    use_style()
    stream = trajectories.isel(case=case_index, seed=0)
    steps = np.unique(np.linspace(0, stream.sizes["step"] - 1, rows).round().astype(int))
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
    axes[-1, 0].set_ylabel("ground\ntruth", rotation=0, ha="right", va="center")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    family, experiment = trajectories.attrs["family"], label(trajectories.attrs["experiment"])
    figure.suptitle(f"Clean estimates of one {family} case, {experiment}")
    return caption(figure, f"case {stream['case'].item()}, seed {stream['seed'].item()}; frame 0 is given")
