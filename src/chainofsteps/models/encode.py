"""Videos of the training cases to latents, once: the reasoner never sees a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from tqdm import tqdm

from chainofsteps import worlds
from chainofsteps.models.frame_wise import frame_wise
from chainofsteps.models.mini import normalise

_ENCODE_BATCH = 64


def load_vae(folder: str | Path) -> AutoencoderKLWan:
    """A VAE from its folder's safetensors: float32 (shipped ones are stored in half precision), in evaluation mode."""
    vae = AutoencoderKLWan.from_pretrained(
        str(folder), torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    return vae.eval()


@torch.no_grad()
def encode_videos(vae: AutoencoderKLWan, videos: np.ndarray) -> torch.Tensor:
    """Normalised latents of videos.

    Parameters
    ----------
    vae : AutoencoderKLWan
        Frame-wise (see :mod:`chainofsteps.models.mini`): equal frames are encoded once.
    videos : ndarray of uint8, (case, frame, 32, 32, 3)

    Returns
    -------
    Tensor of float16, (case, channel, frame, row, col)
    """
    count, frames = videos.shape[:2]
    flat = videos.reshape(count * frames, -1)
    _, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    single = flat[first].reshape(-1, *videos.shape[2:]).astype(np.float32) / 127.5 - 1
    pixels = torch.from_numpy(single).permute(0, 3, 1, 2)[:, :, None]
    with frame_wise(vae):
        latents = torch.cat([vae.encode(part).latent_dist.mode() for part in pixels.split(_ENCODE_BATCH)])
    latents = normalise(latents, vae)[:, :, 0].half()[torch.from_numpy(inverse.reshape(count, frames))]
    return latents.permute(0, 2, 1, 3, 4).contiguous()


def encode_cases(vae: AutoencoderKLWan, cases: list[worlds.Case]) -> torch.Tensor:
    """Normalised latents of the ground truth of cases, float16 (case, channel, frame, row, col)."""
    groups = [cases[i : i + 256] for i in range(0, len(cases), 256)]
    return torch.cat(
        [
            encode_videos(vae, np.stack([case.video for case in group]))
            for group in tqdm(groups, desc=f"encode {cases[0].family}", mininterval=10)
        ]
    )
