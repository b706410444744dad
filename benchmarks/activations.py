"""What the parts of the large models hold at once beside their weights: counted with tensors that have no memory.

    python benchmarks/activations.py      # writes benchmarks/activations.csv, a minute or two on one core

Each part has its real size (its parameters are held against config/models.yaml) and goes through one call at its
entry's shapes, in its entry's precision, under torch's FakeTensorMode: shapes and lifetimes are real, numbers are not
computed. Counted is the highest sum of storages that are alive, without weights; what a part is given counts once it is
used. Attention is the fused kernel of a CPU, which holds no matrix of scores; what kernels of a GPU take for themselves
(workspaces of convolutions and products), and what its allocator loses between pieces, comes on top.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
import yaml
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary
from transformers import UMT5Config, UMT5EncoderModel

ROOT = Path(__file__).parents[1]
MODELS = ("wan2.1_i2v_14b", "wan2.2_ti2v_5b", "wan2.2_i2v_a14b")
NETWORKS = {
    "single": {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120},
    "two_networks": {"in_channels": 36},
    "ti2v": {
        "in_channels": 48,
        "out_channels": 48,
        "num_attention_heads": 24,
        "ffn_dim": 14336,
        "num_layers": 30,
    },
}
VAE_OF_TI2V = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "is_residual": True,
    "scale_factor_spatial": 16,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}
TEXT_ENCODER = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}


class Alive(TorchDispatchMode):
    """Bytes of the storages that computing has made and that something still refers to."""

    def __init__(self):
        super().__init__()
        self._seen, self._now, self.most = WeakIdKeyDictionary(), 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                self._seen[storage] = True
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes())
        return made

    def leave_out(self, tensor: torch.Tensor) -> None:
        """Not to count what was there before."""
        self._seen[tensor.untyped_storage()] = True

    def _add(self, size: int) -> None:
        self._now += size
        self.most = max(self.most, self._now)


def count(module: torch.nn.Module, call: Callable[[], object]) -> float:
    """GB that are alive at once beside a module's weights, at their most; what it is given counts once it is used."""
    with torch.no_grad(), (alive := Alive()):
        # A view of a weight is a storage that computing has not made.
        for each in (*module.parameters(), *module.buffers()):
            alive.leave_out(each)
        call()
    return alive.most / 1e9


def built(make: Callable[[], torch.nn.Module], dtype: torch.dtype) -> torch.nn.Module:
    """A module in a precision; parameters without memory cannot be cast to it."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return make().eval()
    finally:
        torch.set_default_dtype(usual)


def parts_of(model: dict) -> Iterator[tuple[str, str, torch.nn.Module, Callable[[], object]]]:
    """Part by part: name, what it does, its module and a call of it."""
    form, text = model["form"], model["max_sequence_length"]
    dtype = getattr(torch, model["placement"]["dtype"])
    vae_dtype = getattr(torch, model["placement"]["dtypes"]["vae"])
    vae = built(lambda: AutoencoderKLWan(**(VAE_OF_TI2V if form == "ti2v" else {})), vae_dtype)
    factor = vae.config.scale_factor_spatial
    frames, rows, cols = (model["frames"] - 1) // 4 + 1, model["height"] // factor, model["width"] // factor
    network = built(lambda: WanTransformer3DModel(**NETWORKS[form]), dtype)
    width, channels = network.config.text_dim, network.config.in_channels
    state = torch.empty(1, channels, frames, rows, cols, dtype=dtype)
    given = {"encoder_hidden_states": torch.empty(1, text, width, dtype=dtype)}
    if form == "single":
        given["encoder_hidden_states_image"] = torch.empty(1, 257, 1280, dtype=dtype)
    tokens = frames * (rows // 2) * (cols // 2)
    times = torch.empty((1, tokens) if form == "ti2v" else 1)
    latents = torch.empty(1, vae.config.z_dim, frames, rows, cols, dtype=vae_dtype)
    video = torch.empty(1, 3, model["frames"], model["height"], model["width"], dtype=vae_dtype)
    encoder = built(lambda: UMT5EncoderModel(UMT5Config(**TEXT_ENCODER)), dtype)
    words = torch.zeros(1, text, dtype=torch.long)
    yield "transformer", "one evaluation", network, lambda: network(state, times, return_dict=False, **given)
    for how in ("", " in tiles"):
        yield "vae", f"video encoded{how}", vae, lambda: vae.encode(video)
        yield "vae", f"video decoded{how}", vae, lambda: vae.decode(latents, return_dict=False)
        vae.enable_tiling()
    yield "text_encoder", "a prompt", encoder, lambda: encoder(words, torch.ones_like(words))


def main() -> None:
    models = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    rows = []
    for name in MODELS:
        model = models[name]
        with FakeTensorMode():
            for part, what, module, call in parts_of(model):
                parameters = sum(each.numel() for each in module.parameters())
                assert parameters == model["parameters"][part], (name, part, parameters)
                shape = f"{model['frames']} x {model['height']} x {model['width']}"
                rows.append({"model": name, "video": shape, "part": part, "what": what, "gb": count(module, call)})
                print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
