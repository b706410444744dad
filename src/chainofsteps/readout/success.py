"""Success of finished videos."""

from __future__ import annotations

import numpy as np
import xarray as xr

from chainofsteps import worlds
from chainofsteps.readout.cases import case_of


def video_scores(cases: xr.Dataset, videos: np.ndarray) -> np.ndarray:
    """Score of each finished video.

    Parameters
    ----------
    cases : Dataset
        By the ``cases`` schema.
    videos : ndarray of uint8, (case, seed, frame, 32, 32, 3)

    Returns
    -------
    ndarray, (case, seed), in [0, 1]; 1 is success
    """
    scores = []
    for case_id, streams in zip(cases["case"].values, videos, strict=True):
        case = case_of(cases, case_id)
        reading = case.read(streams)
        scores.append(
            [
                worlds.score(case, plan, count)["correct"]
                for plan, count in zip(reading.plan, reading.mover_count, strict=True)
            ]
        )
    return np.array(scores)
