"""Sample a dataset of cases and keep the decoded clean estimate of every step and frame, or of chosen ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np
import torch
import xarray as xr
from diffusers import WanImageToVideoPipeline
from tqdm import tqdm

from chainofsteps.datasets import attributes
from chainofsteps.models.placement import precision
from chainofsteps.sampling.decode import TrajectoryDecoder, decode
from chainofsteps.sampling.loop import Moment, Stream, prepare_order, sample
from chainofsteps.sampling.orders import decoded_frames, decoded_steps
from chainofsteps.sampling.parts import Parts


def stream_seed(case_seed: int, seed: int) -> int:
    """Seed of a stream's initial noise: cases that share a generation seed do not share their noise."""
    return int(np.random.SeedSequence([case_seed, seed]).generate_state(1)[0])


class TrajectoryRecorder:
    """Observer of one batch: decoded clean estimates, passed on as they come, and where each latent frame stands.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    batch : int
        Streams decoded at once.
    steps : sequence of int
        Evaluations that are decoded, in order.
    keep : callable
        Called with (evaluation, videos); videos are uint8 (stream, frame, y, x, channel).
    frames : sequence of int, optional
        Video frames that are decoded, where not all are. The last of the evaluations is the video and left whole.

    Attributes
    ----------
    timetable : list of tuple of Tensor, (latent_frame,)
        sigma, timestep and active of each of them.
    """

    def __init__(
        self,
        pipe: WanImageToVideoPipeline,
        batch: int,
        steps: Sequence[int],
        keep: Callable[[int, np.ndarray], None],
        frames: Sequence[int] | None = None,
    ):
        self._decoders = dict.fromkeys(steps, TrajectoryDecoder(pipe, batch, frames))
        if frames is not None:
            self._decoders[steps[-1]] = partial(decode, pipe, batch=batch)
        self._keep = keep
        self.timetable: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def __call__(self, moment: Moment) -> None:
        """Keep what a moment shows."""
        if moment.index in self._decoders:
            self._keep(moment.index, self._decoders[moment.index](moment.clean_estimate))
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
    names = ["frames", "height", "width", "guidance_scale", "negative_prompt", "max_sequence_length"]
    names += ["guidance_scale_2"] * ("guidance_scale_2" in model)
    return {"order": experiment["order"], "steps": experiment["steps"], **{name: model[name] for name in names}}


def sample_videos(
    pipe: WanImageToVideoPipeline, cases: xr.Dataset, model: dict, experiment: dict, seeds: list[int], batch: int
) -> np.ndarray:
    """Finished videos only, uint8 (case, seed, frame, y, x, channel); arguments as :func:`sample_trajectories`."""
    streams, settings = streams_of(cases, seeds), loop_settings(model, experiment)
    parts = [streams[start : start + batch] for start in range(0, len(streams), batch)]
    videos = np.concatenate([TrajectoryDecoder(pipe, batch)(sample(pipe, part, **settings)) for part in parts])
    return videos.reshape(cases.sizes["case"], len(seeds), *videos.shape[1:])


def sample_trajectories(
    pipe: WanImageToVideoPipeline,
    cases: xr.Dataset,
    model: dict,
    experiment: dict,
    seeds: list[int],
    batch: int,
    parts: Parts | None = None,
) -> xr.Dataset:
    """Trajectories of every case and seed under one experiment.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    cases : Dataset
        By the ``cases`` schema.
    model, experiment : dict
        Entries of config/models.yaml and of ``experiments`` in the configuration. Where an experiment has
        ``decoded_steps``, the dataset holds these and the last alone, by their numbers; where it has
        ``decoded_frames``, these alone.
    seeds : list of int
        Generation seeds.
    batch : int
        Streams denoised at once: a part.
    parts : Parts, optional
        Where finished batches are kept, and taken from; nothing is kept where it is None.

    Returns
    -------
    Dataset
        By the ``trajectories`` schema; root attributes of the run are the caller's to add. Its large variables are
        maps of files. Where frames were chosen also ``finished_video``, over ``video_frame``: read, and not written.
    """
    if parts is None:
        with TemporaryDirectory() as folder:
            return sample_trajectories(pipe, cases, model, experiment, seeds, batch, Parts(folder, None))
    streams, settings = streams_of(cases, seeds), loop_settings(model, experiment)
    shape = {name: settings[name] for name in ("frames", "height", "width")}
    evaluations, latent_frames = prepare_order(pipe, settings["order"], settings["steps"], **shape).active.shape
    decoded, chosen = decoded_steps(experiment, evaluations), decoded_frames(experiment, shape["frames"])
    whole = shape["frames"], shape["height"], shape["width"], 3
    all_chosen = len(chosen) == shape["frames"]
    sides = [shape[name] // pipe.vae_scale_factor_spatial for name in ("height", "width")]
    estimates = parts.array("clean_estimate", (len(streams), len(decoded), len(chosen), *whole[1:]), np.uint8)
    finals = parts.array("final_latents", (len(streams), pipe.vae.config.z_dim, latent_frames, *sides), np.float32)
    finished = None if all_chosen else parts.array("finished_video", (len(streams), *whole), np.uint8)

    def make(start: int) -> xr.Dataset:
        def keep(index: int, videos: np.ndarray) -> None:
            for number, video in enumerate(videos, start):
                if finished is not None and index == decoded[-1]:
                    finished.put((number,), video)
                    video = video[chosen]
                estimates.put((number, decoded.index(index)), video)

        recorder = TrajectoryRecorder(pipe, batch, decoded, keep, None if all_chosen else chosen)
        latents = sample(pipe, streams[start : start + batch], observers=[recorder], **settings)
        for number, latent in enumerate(latents.cpu().numpy(), start):
            finals.put((number,), latent)
        sigma, timestep, active = (
            torch.stack(column).cpu().numpy() for column in zip(*recorder.timetable, strict=True)
        )
        return xr.Dataset(
            {
                "sigma": (("step", "latent_frame"), sigma.astype(np.float32)),
                "timestep": (("step", "latent_frame"), timestep.astype(np.float32)),
                "active": (("step", "latent_frame"), active.astype(np.int8)),
            }
        )

    for start in tqdm(range(0, len(streams), batch), desc=cases.attrs["family"], unit="batch"):
        timetable = parts.part(f"streams_{start:06d}", lambda start=start: make(start))
    # A dim without gaps gets its numbers when the dataset is finished.
    gaps = {"step": np.array(decoded, np.int64)} if len(decoded) < evaluations else {}
    by_case = (cases.sizes["case"], len(seeds))
    videos = {}
    if finished is not None:
        gaps["frame"] = np.array(chosen, np.int64)
        dims = ("case", "seed", "video_frame", "y", "x", "channel")
        videos["finished_video"] = (dims, finished.whole().reshape(*by_case, *finished.shape[1:]))
    return xr.Dataset(
        {
            "difficulty": cases["difficulty"],
            **timetable.data_vars,
            "clean_estimate": (
                ("case", "seed", "step", "frame", "y", "x", "channel"),
                estimates.whole().reshape(*by_case, *estimates.shape[1:]),
            ),
            "final_latents": (
                ("case", "seed", "latent_channel", "latent_frame", "latent_row", "latent_col"),
                finals.whole().reshape(*by_case, *finals.shape[1:]),
            ),
            **videos,
        },
        coords={"case": cases["case"], "seed": np.array(seeds, np.int64), "channel": cases["channel"], **gaps},
        attrs=attributes(
            {"model": model, "experiment": experiment, "seeds": seeds, "cases": cases.attrs["config_hash"]},
            family=cases.attrs["family"],
            purpose=cases.attrs["purpose"],
            order=experiment["order"],
            scheduler=type(pipe.scheduler).__name__,
            dtype=precision(pipe),
        ),
    )
