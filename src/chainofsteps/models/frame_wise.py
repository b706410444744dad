"""A Wan VAE whose frames do not see each other: known by its weights, evaluated in two dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d


def causal_convolutions(vae: AutoencoderKLWan) -> list[WanCausalConv3d]:
    """The only parts of a Wan VAE that look at earlier frames."""
    return [module for module in vae.modules() if isinstance(module, WanCausalConv3d)]


def is_frame_wise(vae: AutoencoderKLWan) -> bool:
    """Whether each latent frame alone decides its video frame: no compression of time, no weight on earlier frames."""
    return not any(vae.config.temperal_downsample) and not any(
        conv.weight[:, :, :-1].any() for conv in causal_convolutions(vae)
    )


@contextmanager
def frame_wise(vae: AutoencoderKLWan) -> Iterator[AutoencoderKLWan]:
    """Evaluate a frame-wise VAE's convolutions in two dimensions, on videos of one frame: same values, less work."""

    def last_tap(conv: WanCausalConv3d, x: torch.Tensor, cache_x: torch.Tensor | None = None) -> torch.Tensor:
        width, _, height, _ = conv._padding[:4]  # alike on both sides
        return functional.conv2d(
            x[:, :, 0], conv.weight[:, :, -1], conv.bias, conv.stride[1:], padding=(height, width)
        )[:, :, None]

    convolutions = causal_convolutions(vae)
    for conv in convolutions:
        conv.forward = partial(last_tap, conv)
    try:
        yield vae
    finally:
        for conv in convolutions:
            del conv.forward
