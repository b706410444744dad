"""A folder in diffusers layout with all that is asked of one, and next to nothing in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

INDEX = {
    "_class_name": "WanImageToVideoPipeline",
    "boundary_ratio": None,
    "expand_timesteps": True,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}
WEIGHTS = "diffusion_pytorch_model.safetensors"


def write_json(path: Path, content: object) -> None:
    """A JSON file, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_model(folder: Path) -> Path:
    """The folder of a pipeline of the ti2v form; its weights are of no use."""
    write_json(folder / "model_index.json", INDEX)
    write_json(folder / "scheduler" / "scheduler_config.json", {})
    write_json(folder / "tokenizer" / "tokenizer_config.json", {})
    write_json(folder / "text_encoder" / "config.json", {})
    write_json(folder / "transformer" / "config.json", {"patch_size": [1, 2, 2]})
    write_json(folder / "vae" / "config.json", {"scale_factor_temporal": 1, "scale_factor_spatial": 4})
    for seed, part in enumerate(["text_encoder", "transformer", "vae"]):
        weight = np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32)
        save_file({"weight": weight}, folder / part / WEIGHTS, metadata={"format": "pt"})
    return folder
