"""The model of an entry of config/models.yaml, wherever it lies: loaded, and laid into memory."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline

from chainofsteps.models.check import check_hashes, read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.models.lora import merge_lora
from chainofsteps.models.placement import place


def open_model(model: dict, folder: str | Path, lora: str | Path | None = None) -> WanImageToVideoPipeline:
    """Load the model of an entry, laid into memory as the entry says: of the hub on a GPU where torch finds one.

    Parameters
    ----------
    model : dict
        Entry of config/models.yaml.
    folder : path
        Its path, or where it was fetched to.

    Raises
    ------
    Refused
        As :func:`chainofsteps.models.load.load_pipeline`, :func:`chainofsteps.models.lora.merge_lora` and
        :func:`chainofsteps.models.placement.place`; LoRA weights that changed since they were fetched.
    """
    if "hub" not in model:
        return load_pipeline(folder, hashes=read_manifest(folder, model["revision"]))
    pipe = load_pipeline(folder, getattr(torch, model["placement"]["dtype"]), read_manifest(folder))
    if "lora" in model:
        check_hashes(lora, read_manifest(lora))
        for part, file in model["lora"]["files"].items():
            merge_lora(pipe, Path(lora, file), part, model["lora"]["scale"])
    return place(pipe, model, "cuda" if torch.cuda.is_available() else "cpu")


def model_attributes(name: str, model: dict) -> dict[str, str]:
    """What a dataset says of the model of an entry: its name, and its revision or commits."""
    if "path" in model:
        return {"model_id": name, "model_revision": model["revision"]}
    lora = f" + {model['lora']['commit']} x {model['lora']['scale']:g}" if "lora" in model else ""
    return {"model_id": name, "model_revision": f"{model['hub']['commit']}{lora}"}
