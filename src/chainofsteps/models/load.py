"""Load a diffusers Wan image-to-video pipeline from a folder, never from the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from diffusers import WanImageToVideoPipeline

from chainofsteps.models.check import check_folder

Form = Literal["single", "two_networks", "ti2v"]


def load_pipeline(
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
    hashes: dict[str, str] | None = None,
    dtypes: Mapping[str, torch.dtype] | None = None,
) -> WanImageToVideoPipeline:
    """Load a pipeline from safetensors, after `check_folder`.

    Parameters
    ----------
    folder : path
        A folder in diffusers layout.
    dtype : torch.dtype
        Of every part but the VAE, which stays in float32 (as the Wan model cards load it).
    hashes : dict, optional
        See `check_folder`.
    dtypes : mapping, optional
        Of parts by name, where it is another.

    Returns
    -------
    WanImageToVideoPipeline
        On the CPU, in evaluation mode.

    Raises
    ------
    Refused
        See `check_folder`.
    """
    check_folder(folder, hashes)
    return WanImageToVideoPipeline.from_pretrained(
        str(folder),
        dtype={"default": dtype, "vae": torch.float32, **(dtypes or {})},
        local_files_only=True,
        use_safetensors=True,
    )


def forget(pipe: WanImageToVideoPipeline, seed: int) -> None:
    """Put untrained networks in the place of a pipeline's, of the same architecture: the control of no reasoning.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
        Changed in place.
    seed : int
        Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in ("transformer", "transformer_2"):
            network = getattr(pipe, name, None)
            if network is not None:
                untrained = type(network).from_config(network.config).to(network.dtype).eval()
                pipe.register_modules(**{name: untrained})


def pipeline_form(pipe: WanImageToVideoPipeline) -> Form:
    """Which of the Wan image-to-video forms a pipeline has.

    Returns
    -------
    str
        ``"ti2v"``: the first latent frame is given, one timestep a token (Wan2.2-TI2V-5B);
        ``"two_networks"``: one for high noise, one for low (Wan2.2-A14B); ``"single"``: one network (Wan2.1).
    """
    if pipe.config.expand_timesteps:
        return "ti2v"
    return "two_networks" if pipe.config.boundary_ratio is not None else "single"
