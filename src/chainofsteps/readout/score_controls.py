"""Score and reader against what is known: plans whose score is known, and pictures whose state is."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from chainofsteps import datasets, worlds
from chainofsteps.readout.cases import case_of

BLUR = 0.5  # standard deviation, in pixels
NOISE = 12.0  # standard deviation, in grey values of 255
DISTURBANCES = ("sharp", "blurred", "noisy")


def disturbed(video: np.ndarray, disturbance: str, seed: int) -> np.ndarray:
    """A video as it is, blurred, or noisy.

    Parameters
    ----------
    video : ndarray of uint8, (frame, y, x, channel)
    disturbance : str
        One of `DISTURBANCES`.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray of uint8
    """
    if disturbance == "blurred":
        return gaussian_filter(video.astype(float), (0, BLUR, BLUR, 0)).round().astype(np.uint8)
    if disturbance == "noisy":
        noise = np.random.default_rng(seed).normal(0, NOISE, video.shape)
        return np.clip(video + noise, 0, 255).round().astype(np.uint8)
    return video


def score_controls(cases: xr.Dataset) -> xr.Dataset:
    """Scores of the solution and of plans that are wrong, and whether the solution's states are read from its pictures.

    Parameters
    ----------
    cases : Dataset
        By the ``cases`` schema.

    Returns
    -------
    Dataset
        By the ``score_controls`` schema.
    """
    drawn = [case_of(cases, case_id) for case_id in cases["case"].values]
    names = list(worlds.control_plans(drawn[0]))
    scores = [[worlds.score(case, plan)["correct"] for plan in worlds.control_plans(case).values()] for case in drawn]
    read = [
        [(case.read(disturbed(case.video, how, case.seed % 2**32)).plan == case.plan).all() for how in DISTURBANCES]
        for case in drawn
    ]
    return xr.Dataset(
        {
            "score": (("case", "plan_kind"), np.array(scores, np.float32)),
            "read_right": (("case", "disturbance"), np.array(read, np.int8)),
        },
        coords={
            "case": cases["case"],
            "plan_kind": np.array(names, object),
            "disturbance": np.array(DISTURBANCES, object),
        },
        attrs=datasets.attributes(
            {"cases": cases.attrs["config_hash"], "blur": BLUR, "noise": NOISE},
            family=cases.attrs["family"],
            purpose=cases.attrs["purpose"],
            experiment="score_controls",
            model_id="none",
            order="none",
        ),
    )
