"""How a large model is laid into memory, and what a run of it takes: known from its entry, before it is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline

from chainofsteps.models.check import FORM_LAYERS, SPATIAL_FACTOR, TEMPORAL_FACTOR, check_hashes, read_manifest
from chainofsteps.models.device import claimed_device, visible_devices
from chainofsteps.models.load import forget, load_pipeline
from chainofsteps.models.lora import merge_lora
from chainofsteps.refusal import Refused

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_LATENT_CHANNELS = {"single": 16, "two_networks": 16, "ti2v": 48}
_EMBEDDING = 256384 * 4096  # numbers in the token embedding of UMT5-XXL, the largest single module


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes
    ----------
    memory_gb : float
        Of the weights that are on the device at once. Activations come on top: leave a fifth.
    evaluations : int
        Forward passes of single states, both guidance passes counted.
    hours : float
        Of these, at the given rate, on one device.
    disk_gb : float
        Of what is kept: finished latents in float32, and decoded clean estimates at the chosen steps.
    """

    memory_gb: float
    evaluations: int
    hours: float
    disk_gb: float


def weight_bytes(model: Mapping) -> dict[str, int]:
    """Bytes of each part of a model of the hub in memory; the VAE is in float32, whatever the others are."""
    size = _BYTES[model["placement"]["dtype"]]
    return {part: count * (4 if part == "vae" else size) for part, count in model["parameters"].items()}


def plan_run(
    model: Mapping, streams: int, decoded_steps: int, seconds_per_evaluation: float, memory_gb: float | None = None
) -> Plan:
    """What it takes to sample so many videos once.

    Parameters
    ----------
    model : mapping
        Entry of config/models.yaml with ``hub``.
    streams : int
        Videos: cases times seeds times conditions.
    decoded_steps : int
        Clean estimates kept of each.
    seconds_per_evaluation : float
        Of one forward pass of one state, as measured on the device that is meant.
    memory_gb : float, optional
        Of the device.

    Returns
    -------
    Plan

    Raises
    ------
    Refused
        Weights that do not fit in the given memory, with the placement that would.
    """
    needed = {offload: _resident(model, offload) / 1e9 for offload in ("none", "model", "sequential")}
    offload = model["placement"]["offload"]
    if memory_gb is not None and needed[offload] > memory_gb:
        fitting = [name for name, size in needed.items() if size <= memory_gb]
        accepted = f"placement.offload {fitting[0]}" if fitting else f"at least {min(needed.values()):.3g} GB"
        given = f"{memory_gb:g} GB for {needed[offload]:.3g} GB of weights, offload {offload}"
        raise Refused(model["hub"]["repository"], "memory", given, accepted)
    passes = 2 if model["guidance_scale"] > 1 else 1
    evaluations = streams * model["steps"] * passes
    side = SPATIAL_FACTOR * (2 if model["form"] == "ti2v" else 1)
    latent_frames = (model["frames"] - 1) // TEMPORAL_FACTOR + 1
    cells = latent_frames * (model["height"] // side) * (model["width"] // side)
    picture = model["height"] * model["width"] * 3
    kept = 4 * _LATENT_CHANNELS[model["form"]] * cells + decoded_steps * model["frames"] * picture
    return Plan(needed[offload], evaluations, evaluations * seconds_per_evaluation / 3600, streams * kept / 1e9)


def _resident(model: Mapping, offload: str) -> int:
    """Bytes of weights that are on the device at once."""
    weights = weight_bytes(model)
    if offload == "none":
        return sum(weights.values())
    if offload == "model":
        return max(weights.values())
    embedding = _EMBEDDING * _BYTES[model["placement"]["dtype"]]
    return max(weights["transformer"] // FORM_LAYERS[model["form"]], weights["vae"], embedding)


def place(pipe: WanImageToVideoPipeline, model: Mapping, device: str | torch.device = "cpu") -> WanImageToVideoPipeline:
    """Give a loaded pipeline its entry's noise schedule and place in memory.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
        As :func:`chainofsteps.models.load.load_pipeline` gives it; changed in place.
    model : mapping
        Entry of config/models.yaml with ``hub``.
    device : str or torch.device
        Where it computes.

    Raises
    ------
    Refused
        Another precision than the entry's, which is chosen when the pipeline is loaded; offloading where there is
        nothing to offload from.
    """
    placement, device = model["placement"], torch.device(device)
    if (given := precision(pipe)) != placement["dtype"]:
        raise Refused(model["hub"]["repository"], "placement.dtype", given, f"a pipeline in {placement['dtype']}")
    if placement["offload"] != "none" and device.type == "cpu":
        raise Refused(model["hub"]["repository"], "placement.offload", placement["offload"], "none on a CPU")
    name = "flow_shift" if "flow_shift" in pipe.scheduler.config else "shift"
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **{name: model["shift"]})
    if "boundary" in model:
        pipe.register_to_config(boundary_ratio=model["boundary"])
    if placement["vae_tiling"]:
        pipe.vae.enable_tiling()
    if placement["offload"] == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif placement["offload"] == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


@contextmanager
def opened(model: Mapping, untrained: int | None = None) -> Iterator[WanImageToVideoPipeline]:
    """A model's pipeline for one job: as it lies in its folder, or placed on a GPU of its own where its entry says how.

    The weights stay on the GPU as long as the job lives, so all that the job does belongs inside.

    Parameters
    ----------
    model : mapping
        Entry of config/models.yaml, its ``path`` the folder where it lies, and likewise that of its ``lora``.
    untrained : int, optional
        Seed of untrained networks that take the place of its own.

    Raises
    ------
    Refused
        See :func:`chainofsteps.models.load.load_pipeline`, :func:`chainofsteps.models.lora.merge_lora` and `place`;
        LoRA weights that changed since they were fetched.
    """
    if "placement" not in model:
        yield _loaded(model, untrained, hashes=read_manifest(model["path"], model["revision"]))
        return
    with claimed_device(visible_devices()) as device:
        # Of tens of gigabytes only the headers are read: the fingerprint, an input of every job, has read the rest.
        pipe = _loaded(model, untrained, dtype=getattr(torch, model["placement"]["dtype"]))
        if "lora" in model:
            _add_lora(pipe, model["lora"])
        yield place(pipe, model, device)


def _add_lora(pipe: WanImageToVideoPipeline, lora: Mapping) -> None:
    check_hashes(lora["path"], read_manifest(lora["path"]))
    for part, file in lora["files"].items():
        merge_lora(pipe, Path(lora["path"], file), part, lora["scale"])


def _loaded(model: Mapping, untrained: int | None, **how: object) -> WanImageToVideoPipeline:
    pipe = load_pipeline(model["path"], **how)
    if untrained is not None:
        forget(pipe, untrained)
    return pipe


def revision_of(model: Mapping) -> str:
    """What pins a model: the hash of its folder's manifest, or its commit on the hub, and that of its LoRA weights."""
    if "hub" not in model:
        return model["revision"]
    lora = f" + {model['lora']['commit']} x {model['lora']['scale']:g}" if "lora" in model else ""
    return f"{model['hub']['commit']}{lora}"


def precision(pipe: WanImageToVideoPipeline) -> str:
    """Precision of a pipeline's network, as datasets state it."""
    network = pipe.transformer if pipe.transformer is not None else pipe.transformer_2
    return str(network.dtype).removeprefix("torch.")
