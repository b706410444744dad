"""Features of the videos of a bench: :mod:`chainofsteps.readout.motion_energy`, for all streams of a case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from chainofsteps.readout.motion_energy import change_map, cosine, motion_energy, motion_features


def finished_videos(trajectories: xr.Dataset) -> xr.DataArray:
    """Finished videos of trajectories, whole whatever frames were chosen; (case, seed, frame, y, x, channel)."""
    if "finished_video" in trajectories:
        return trajectories["finished_video"].rename(video_frame="frame")
    return trajectories["clean_estimate"].isel(step=-1)


def bench_features(trajectories: xr.Dataset, truths: Sequence[np.ndarray], rows: int, cols: int) -> xr.Dataset:
    """Read every clean estimate of the trajectories of a bench.

    Parameters
    ----------
    trajectories : Dataset
        By the ``trajectories`` schema; of all steps and frames or of chosen ones.
    truths : sequence of ndarray of uint8, (frame, y, x, channel)
        Ground truth of each case, of the model's frames and pixels.
    rows, cols : int
        Of the grid of cells.

    Returns
    -------
    Dataset
        By the ``bench_features`` schema, with the attributes of the trajectories; where frames were chosen also
        ``frames_made``, those of the run.
    """
    estimates = trajectories["clean_estimate"].transpose("case", "seed", "step", "frame", "y", "x", "channel").values
    steps, frames = trajectories["step"].values, trajectories["frame"].values
    finished = finished_videos(trajectories).transpose("case", "seed", "frame", "y", "x", "channel").values
    parts = [
        xr.concat(
            [
                motion_features(stream, truth, rows, cols, steps, frames, video)
                for stream, video in zip(streams, videos, strict=True)
            ],
            "seed",
        )
        for streams, videos, truth in zip(estimates, finished, truths, strict=True)
    ]
    features = xr.concat(parts, "case").assign_coords(case=trajectories["case"], seed=trajectories["seed"])
    for name in ("commitment", "motion_commitment", "agreement"):
        features[name] = features[name].clip(0, 1).astype(np.float32)
    features["commitment_step"] = features["commitment_step"].transpose("case", "seed", "frame")
    kept = trajectories[["difficulty", "sigma", "timestep", "active"]]
    made = finished.shape[2]
    of_chosen = {"frames_made": made} if len(frames) < made else {}
    return features.merge(kept).assign_attrs(trajectories.attrs, **of_chosen)


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
