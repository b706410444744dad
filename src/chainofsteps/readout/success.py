"""Success of finished videos, and of the clean estimates that led to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from diffusers import WanImageToVideoPipeline
from statsmodels.stats.proportion import proportion_confint

from chainofsteps import worlds
from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.readout.features import extract_features
from chainofsteps.sampling.orders import longest
from chainofsteps.sampling.trajectories import sample_trajectories, sample_videos


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


def success_table(by_step: np.ndarray, unfollowed: np.ndarray) -> pd.DataFrame:
    """Share solved at each step, with its 95 % Wilson interval.

    Parameters
    ----------
    by_step : ndarray of bool, (case, step)
        Cases whose clean estimates were read at every step; that of the last step is the finished video.
    unfollowed : ndarray of bool, (case,)
        Cases of which the finished video alone was read: they count at the last step.

    Returns
    -------
    DataFrame
        ``step``, ``n``, ``success``, ``ci_low``, ``ci_high``; a row a step.
    """
    solved, n = by_step.sum(0), np.full(by_step.shape[1], len(by_step))
    solved[-1] += unfollowed.sum()
    n[-1] += len(unfollowed)
    low, high = proportion_confint(solved, n, method="wilson")
    steps = np.arange(len(n))
    return pd.DataFrame({"step": steps, "n": n, "success": solved / n, "ci_low": low, "ci_high": high})


def measure_success(
    pipe: WanImageToVideoPipeline, family: str, model: dict, orders: dict[str, dict], settings: dict, batch: int
) -> pd.DataFrame:
    """Success of a model in one family, by level, order and step, on pilot cases.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    family : str
    model : dict
        Entry of config/models.yaml.
    orders : dict
        Name -> ``order`` and ``steps``.
    settings : dict
        ``success`` of the configuration: ``first`` case, ``count`` a level, and how many of them are ``followed``
        through all steps. Of orders of one kind, all but the longest are measured in the followed cases alone.
    batch : int
        Streams denoised at once.

    Returns
    -------
    DataFrame
        ``family``, ``level``, ``order`` and the columns of `success_table`.
    """
    parts = []
    for level in worlds.family(family).LEVELS:
        cases = case_dataset(family, "pilot", settings["first"], settings["count"], level, field="success.count")
        followed = cases.isel(case=slice(None, settings["followed"]))
        rest = cases.isel(case=slice(settings["followed"], None))
        for name, order in orders.items():
            features = extract_features(followed, sample_trajectories(pipe, followed, model, order, [0], batch))
            by_step = (features["correct"] == 1).isel(seed=0).transpose("case", "step").values
            unfollowed = np.zeros(0, bool)
            if rest.sizes["case"] and name in longest(orders):
                unfollowed = video_scores(rest, sample_videos(pipe, rest, model, order, [0], batch))[:, 0] == 1
            part = success_table(by_step, unfollowed)
            part.insert(0, "order", name)
            part.insert(0, "level", level)
            part.insert(0, "family", family)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)
