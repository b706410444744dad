"""Sample a dataset of cases and keep the decoded clean estimate of every step."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from diffusers import WanImageToVideoPipeline
from tqdm import tqdm

from chainofsteps.datasets import attributes
from chainofsteps.sampling.decode import TrajectoryDecoder
from chainofsteps.sampling.loop import Moment, Stream, sample


def stream_seed(case_seed: int, seed: int) -> int:
    """Seed of a stream's initial noise: cases that share a generation seed do not share their noise."""
    return int(np.random.SeedSequence([case_seed, seed]).generate_state(1)[0])


class TrajectoryRecorder:
    """Observer of one batch: decoded clean estimates and where each latent frame stands.

    Attributes
    ----------
    decoded : list of ndarray of uint8, (stream, frame, y, x, channel)
        One an evaluation.
    timetable : list of tuple of Tensor, (latent_frame,)
        sigma, timestep and active of each evaluation.
    """

    def __init__(self, pipe: WanImageToVideoPipeline, batch: int):
        self._decode = TrajectoryDecoder(pipe, batch)
        self.decoded: list[np.ndarray] = []
        self.timetable: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def __call__(self, moment: Moment) -> None:
        """Keep what a moment shows."""
        self.decoded.append(self._decode(moment.clean_estimate))
        self.timetable.append((moment.sigma, moment.timestep, moment.active))


def streams_of(cases: xr.Dataset, seeds: list[int]) -> list[Stream]:
    """Streams of all cases and seeds, the seeds of a case side by side."""
    rows = zip(*(cases[name].values for name in ("case", "first_frame", "prompt", "case_seed")), strict=True)
    return [
        Stream(str(case_id), image, str(prompt), stream_seed(int(case_seed), seed))
        for case_id, image, prompt, case_seed in rows
        for seed in seeds
    ]


def loop_settings(model: dict, experiment: dict) -> dict:
    """Arguments of :func:`chainofsteps.sampling.loop.sample` from a model's and an experiment's entry."""
    names = ("frames", "height", "width", "guidance_scale", "negative_prompt", "max_sequence_length")
    second = {name: model[name] for name in ("guidance_scale_2",) if name in model}
    return {
        "order": experiment["order"],
        "steps": experiment["steps"],
        **{name: model[name] for name in names},
        **second,
    }


def sample_videos(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, experiment: dict, seeds: list[int], batch: int
) -> np.ndarray:
    """Finished videos only, uint8 (case, seed, frame, y, x, channel); arguments as :func:`sample_trajectories`."""
    streams, settings = streams_of(cases, seeds), loop_settings(model, experiment)
    parts = [streams[start : start + batch] for start in range(0, len(streams), batch)]
    videos = np.concatenate([TrajectoryDecoder(pipe, batch)(sample(pipe, part, **settings)) for part in parts])
    return videos.reshape(cases.sizes["case"], len(seeds), *videos.shape[1:])


def sample_trajectories(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, experiment: dict, seeds: list[int], batch: int
) -> xr.Dataset:
    """Trajectories of every case and seed under one experiment.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    cases : Dataset
        By the ``cases`` schema.
    model, experiment : dict
        Entries of config/models.yaml and of ``experiments`` in the configuration.
    seeds : list of int
        Generation seeds.
    batch : int
        Streams denoised at once.

    Returns
    -------
    Dataset
        By the ``trajectories`` schema; root attributes of the run are the caller's to add.
    """
    streams, settings = streams_of(cases, seeds), loop_settings(model, experiment)
    estimates, finals, timetable = [], [], []
    for start in tqdm(range(0, len(streams), batch), desc=cases.attrs["family"], unit="batch"):
        recorder = TrajectoryRecorder(pipe, batch)
        latents = sample(pipe, streams[start : start + batch], observers=[recorder], **settings)
        finals.append(latents.cpu().numpy())
        estimates.append(np.stack(recorder.decoded, axis=1))
        timetable = recorder.timetable

    def by_case(parts: list[np.ndarray]) -> np.ndarray:
        whole = np.concatenate(parts)
        return whole.reshape(cases.sizes["case"], len(seeds), *whole.shape[1:])

    sigma, timestep, active = (torch.stack(column).cpu().numpy() for column in zip(*timetable, strict=True))
    return xr.Dataset(
        {
            "difficulty": cases["difficulty"],
            "sigma": (("step", "latent_frame"), sigma.astype(np.float32)),
            "timestep": (("step", "latent_frame"), timestep.astype(np.float32)),
            "active": (("step", "latent_frame"), active.astype(np.int8)),
            "clean_estimate": (("case", "seed", "step", "frame", "y", "x", "channel"), by_case(estimates)),
            "final_latents": (
                ("case", "seed", "latent_channel", "latent_frame", "latent_row", "latent_col"),
                by_case(finals),
            ),
        },
        coords={"case": cases["case"], "seed": np.array(seeds, np.int64), "channel": cases["channel"]},
        attrs=attributes(
            {"model": model, "experiment": experiment, "seeds": seeds, "cases": cases.attrs["config_hash"]},
            family=cases.attrs["family"],
            purpose=cases.attrs["purpose"],
            order=experiment["order"],
            scheduler=type(pipe.scheduler).__name__,
            dtype=str(pipe.dtype).removeprefix("torch."),
        ),
    )
