"""How a large model is laid into memory, and what a run of it takes: known from its entry, before it is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline

from chainofsteps.models.check import FORM_LAYERS, check_entry, check_hashes, read_manifest
from chainofsteps.models.device import claimed_device, visible_devices
from chainofsteps.models.load import forget, load_pipeline
from chainofsteps.models.lora import merge_lora
from chainofsteps.refusal import Refused

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_EMBEDDING = 256384 * 4096  # numbers in the token embedding of UMT5-XXL, the largest single module
OFFLOADS = ("none", "model", "sequential")
_SHARE = 0.8  # of a device's memory for weights; the rest is for activations


def own_dtypes(model: Mapping) -> dict[str, str]:
    """Parts of a model of the hub with a precision of their own; the VAE has float32 where none is named."""
    return {"vae": "float32", **model["placement"].get("dtypes", {})}


def weight_bytes(model: Mapping) -> dict[str, int]:
    """Bytes of each part of a model of the hub in memory."""
    own, common = own_dtypes(model), model["placement"]["dtype"]
    return {part: count * _BYTES[own.get(part, common)] for part, count in model["parameters"].items()}


def resident_gb(model: Mapping) -> dict[str, float]:
    """GB of weights that are on the device at once, by what is offloaded; activations come on top.

    Offloading by model moves a part away when the next one in the pipeline's sequence is called (accelerate's hooks).
    The VAE is the last of the sequence and is called before the networks, so that it lies beside each of the others.
    """
    weights = weight_bytes(model)
    embedding = _EMBEDDING * weights["text_encoder"] // model["parameters"]["text_encoder"]
    layer = weights["transformer"] // FORM_LAYERS[model["form"]]
    largest = max(size for part, size in weights.items() if part != "vae")
    held = (sum(weights.values()), largest + weights["vae"], max(layer, weights["vae"], embedding))
    return dict(zip(OFFLOADS, (size / 1e9 for size in held), strict=True))


def check_memory(model: Mapping, memory_gb: float) -> None:
    """Refuse a model of the hub whose weights, as its entry places them, take more than four fifths of the memory.

    Raises
    ------
    Refused
        With the placement that would fit.
    """
    needed, offload = resident_gb(model), model["placement"]["offload"]
    if needed[offload] > _SHARE * memory_gb:
        fitting = [name for name, size in needed.items() if size <= _SHARE * memory_gb]
        accepted = f"placement.offload {fitting[0]}" if fitting else f"at least {min(needed.values()) / _SHARE:.3g} GB"
        given = f"{memory_gb:g} GB for {needed[offload]:.3g} GB of weights, offload {offload}"
        raise Refused(model["hub"]["repository"], "memory", given, accepted)


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
    if placement.get("vae_slicing", False):
        pipe.vae.enable_slicing()
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
        See :func:`chainofsteps.models.check.check_entry`, :func:`chainofsteps.models.load.load_pipeline`,
        :func:`chainofsteps.models.lora.merge_lora` and `place`; LoRA weights that changed since they were fetched.
    """
    if "placement" not in model:
        yield _loaded(model, untrained, hashes=read_manifest(model["path"], model["revision"]))
        return
    check_entry(model)
    with claimed_device(visible_devices()) as device:
        # Of tens of gigabytes only the headers are read: the fingerprint, an input of every job, has read the rest.
        own = {part: getattr(torch, dtype) for part, dtype in own_dtypes(model).items()}
        pipe = _loaded(model, untrained, dtype=getattr(torch, model["placement"]["dtype"]), dtypes=own)
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
