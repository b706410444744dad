"""Features of the videos of a bench: :mod:`chainofsteps.readout.motion_energy`, for all streams of a case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from chainofsteps.readout.motion_energy import change_map, cosine, motion_energy, motion_features


def bench_features(trajectories: xr.Dataset, truths: Sequence[np.ndarray], rows: int, cols: int) -> xr.Dataset:
    """Read every clean estimate of the trajectories of a bench.

    Parameters
    ----------
    trajectories : Dataset
        By the ``trajectories`` schema; of all steps or of chosen ones.
    truths : sequence of ndarray of uint8, (frame, y, x, channel)
        Ground truth of each case, of the model's frames and pixels.
    rows, cols : int
        Of the grid of cells.

    Returns
    -------
    Dataset
        By the ``bench_features`` schema, with the attributes of the trajectories.
    """
    estimates = trajectories["clean_estimate"].transpose("case", "seed", "step", "frame", "y", "x", "channel").values
    steps = trajectories["step"].values
    parts = [
        xr.concat([motion_features(stream, truth, rows, cols, steps) for stream in streams], "seed")
        for streams, truth in zip(estimates, truths, strict=True)
    ]
    features = xr.concat(parts, "case").assign_coords(case=trajectories["case"], seed=trajectories["seed"])
    for name in ("commitment", "motion_commitment", "agreement"):
        features[name] = features[name].clip(0, 1).astype(np.float32)
    features["commitment_step"] = features["commitment_step"].transpose("case", "seed", "frame")
    kept = trajectories[["difficulty", "sigma", "timestep", "active"]]
    return features.merge(kept).assign_attrs(trajectories.attrs)


def frame_agreement(video: np.ndarray, truth: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """How well each frame of a video changes where the truth's does: cosine of change maps, 0 to 1, (frame,).

    Parameters
    ----------
    video, truth : ndarray of uint8, (frame, y, x, channel)
        As many frames and pixels each.
    rows, cols : int
        Of the grid of cells.
    """
    return cosine(change_map(video, rows, cols), change_map(truth, rows, cols)).clip(0, 1)


def video_agreement(video: np.ndarray, truth: np.ndarray, rows: int, cols: int) -> float:
    """How well a video moves where the truth does, 0 to 1; as `frame_agreement`."""
    return float(cosine(motion_energy(video, rows, cols), motion_energy(truth, rows, cols)).clip(0, 1))
