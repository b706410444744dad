"""From latents to pictures and back, as the pipeline does it, and not twice what did not change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import WanImageToVideoPipeline

from chainofsteps.models.frame_wise import frame_wise, is_frame_wise
from chainofsteps.models.mini import normalise
from chainofsteps.sampling.kernels import fast_norms


@torch.no_grad()
def decode(
    pipe: WanImageToVideoPipeline, latents: torch.Tensor, batch: int = 32, frames: Sequence[int] | None = None
) -> np.ndarray:
    """Latents to videos; frame by frame where the VAE is frame-wise, which is less work for the same pictures.

    Where frames are chosen, a frame-wise VAE decodes these alone. Another one must begin with the first latent frame
    and ends with the last one that is needed; its other pictures are dropped before the next streams are decoded.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    latents : Tensor, (stream, channel, latent_frame, row, col)
        Normalised latents: a result of `sample`, or a clean estimate.
    batch : int
        Streams decoded at once; of a frame-wise VAE, as many different frames as so many streams have.
    frames : sequence of int, optional
        Numbers of the video frames that are wanted, where not all are.

    Returns
    -------
    ndarray of uint8, (stream, frame, height, width, 3)
        Rounded half to even.
    """
    device = pipe._execution_device
    if not is_frame_wise(pipe.vae):
        if frames is None:
            return _decode(pipe, latents, batch, device)
        needed = needed_latents(frames, pipe.vae_scale_factor_temporal)
        parts = latents[:, :, :needed].split(batch)
        return np.concatenate([_decode(pipe, part, batch, device)[:, frames] for part in parts])
    return _decode_frames(pipe, latents if frames is None else latents[:, :, frames], batch, device)


def _decode_frames(
    pipe: WanImageToVideoPipeline, latents: torch.Tensor, batch: int, device: torch.device
) -> np.ndarray:
    """Each latent frame of a frame-wise VAE by itself, and those that are alike, as the given ones of a case, once."""
    streams, count = latents.shape[0], latents.shape[2]
    singles, place = latents.transpose(1, 2).flatten(0, 1).unique(dim=0, return_inverse=True)
    singles = singles.contiguous(memory_format=torch.channels_last)[:, :, None]
    with frame_wise(pipe.vae), fast_norms(pipe.vae):
        pictures = _decode(pipe, singles, batch * count, device)
    return pictures[place.cpu().numpy()].reshape(streams, count, *pictures.shape[2:])


def _decode(pipe: WanImageToVideoPipeline, latents: torch.Tensor, batch: int, device: torch.device) -> np.ndarray:
    videos = []
    for part in latents.split(batch):
        part = part.to(device, pipe.vae.dtype)
        mean = torch.tensor(pipe.vae.config.latents_mean).view(1, -1, 1, 1, 1).to(part)
        inverse_std = 1.0 / torch.tensor(pipe.vae.config.latents_std).view(1, -1, 1, 1, 1).to(part)
        video = pipe.vae.decode(part / inverse_std + mean, return_dict=False)[0]
        pixels = ((video.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        videos.append(pixels.permute(0, 2, 3, 4, 1).cpu().numpy())
    return np.concatenate(videos)


def needed_latents(frames: Sequence[int], factor: int) -> int:
    """Latent frames, from the first, that a causal VAE with so many video frames a latent frame makes frames from."""
    return -(-max(frames) // factor) + 1


@torch.no_grad()
def encode(pipe: WanImageToVideoPipeline, videos: np.ndarray, batch: int = 32) -> torch.Tensor:
    """Videos to latents, the other way round.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    videos : ndarray of uint8, (stream, frame, height, width, 3)
    batch : int
        Videos encoded at once.

    Returns
    -------
    Tensor of float32, (stream, channel, latent_frame, row, col)
        Normalised latents, the mode of the VAE's posterior.
    """
    pixels = torch.from_numpy(videos).permute(0, 4, 1, 2, 3)
    parts = []
    for part in pixels.split(batch):
        part = part.to(pipe._execution_device, pipe.vae.dtype) / 127.5 - 1
        parts.append(normalise(pipe.vae.encode(part).latent_dist.mode(), pipe.vae).float())
    return torch.cat(parts)


class TrajectoryDecoder:
    """Decodes the clean estimates of one batch of streams, step after step.

    Where the VAE is frame-wise, only the frames that changed since the step before are decoded: in the frame-by-frame
    order one frame in F moves at a time, and decoding would take most of the run.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    batch : int
        Streams decoded at once.
    frames : sequence of int, optional
        Numbers of the video frames that are wanted, where not all are.
    """

    def __init__(self, pipe: WanImageToVideoPipeline, batch: int, frames: Sequence[int] | None = None):
        # Asked once: the pipeline looks through all of its modules for either.
        self._frame_wise, self._device = is_frame_wise(pipe.vae), pipe._execution_device
        self._pipe, self._batch, self._frames = pipe, batch, frames
        self._latents: torch.Tensor | None = None
        self._video: np.ndarray | None = None

    def __call__(self, latents: torch.Tensor) -> np.ndarray:
        """Videos of all streams, as `decode` gives them; takes the same latents' next step at each call."""
        if not self._frame_wise:
            return decode(self._pipe, latents, self._batch, self._frames)
        if self._frames is not None:
            latents = latents[:, :, self._frames]
        changed = torch.ones(latents.shape[2], dtype=torch.bool, device=latents.device)
        if self._latents is not None:
            changed = (latents != self._latents).any(4).any(3).any(1).any(0)
            if not changed.any():
                return self._video
        frames = _decode_frames(self._pipe, latents[:, :, changed], self._batch, self._device)
        video = frames if self._video is None else self._video.copy()
        video[:, changed.cpu().numpy()] = frames
        self._latents, self._video = latents, video
        return video
