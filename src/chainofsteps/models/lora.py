"""LoRA weights on top of another model's, merged into its networks by diffusers' own loader (which needs peft)."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline
from diffusers.utils import is_peft_available
from safetensors.torch import load_file

from chainofsteps.models.check import NETWORKS, check_safetensors
from chainofsteps.refusal import Refused

_NAME = "lora"
_PREFIX, _WAN_PREFIX = "transformer.", "diffusion_model."


def merge_lora(pipe: WanImageToVideoPipeline, file: str | Path, part: str, scale: float = 1.0) -> None:
    """Add low-rank updates to the weights of one network; what is left are weights as any others.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
        Changed in place; not yet offloaded.
    file : path
        safetensors, with the names of diffusers, of Wan, or of Wan as DiffSynth writes them.
    part : str
        ``transformer`` or ``transformer_2``.
    scale : float
        What the update is multiplied by; 0 leaves the weights as they are.

    Raises
    ------
    Refused
        No peft; no such network; a file that is no whole safetensors file (a pickle, say); names that the network does
        not have, half of a pair, or shapes that do not fit.
    """
    if not is_peft_available():
        raise Refused("lora", "peft", "not installed", "the packages of requirements.lock")
    network = getattr(pipe, part, None) if part in NETWORKS else None
    if network is None:
        named = [name for name in NETWORKS if getattr(pipe, name, None) is not None]
        raise Refused(file, "part", part, ", ".join(named))
    state = _converted(Path(file))
    _check_names(file, state, network)
    pipe.load_lora_weights(state, adapter_name=_NAME, load_into_transformer_2=part == NETWORKS[1])
    network.fuse_lora(lora_scale=scale, safe_fusing=True)
    network.unload_lora()


def _converted(file: Path) -> dict[str, torch.Tensor]:
    """Tensors of a file by the names of diffusers."""
    check_safetensors(file)
    state = {name.replace(".default.", "."): tensor for name, tensor in load_file(str(file)).items()}
    if not any(name.startswith((_PREFIX, _WAN_PREFIX)) for name in state):
        own = any(".attn1." in name for name in state)
        state = {f"{_PREFIX if own else _WAN_PREFIX}{name}": tensor for name, tensor in state.items()}
    try:
        return WanImageToVideoPipeline.lora_state_dict(state)
    # What diffusers' conversion raises of a name that it does not expect differs by name.
    except (ValueError, KeyError, IndexError) as error:
        raise Refused(file, "tensors", error, "updates of a Wan network") from None


def _check_names(file: str | Path, state: dict[str, torch.Tensor], network: torch.nn.Module) -> None:
    """Refuse what the loader would pass over with a warning."""
    modules = dict(network.named_modules())
    if not state:
        raise Refused(file, "tensors", "none", "updates of a Wan network")
    for name, tensor in state.items():
        place, _, kind = name.removeprefix(_PREFIX).rpartition(".lora_")
        module = modules.get(place)
        if not name.startswith(_PREFIX) or kind not in ("A.weight", "B.weight", "B.bias") or module is None:
            raise Refused(file, "tensor", name, "lora_A and lora_B of a module of the network")
        if kind == "B.bias":
            continue
        other = f"{_PREFIX}{place}.lora_{'B' if kind[0] == 'A' else 'A'}.weight"
        if other not in state:
            raise Refused(file, "tensor", f"no {other}", f"one beside {name}")
        size = getattr(module, "in_features" if kind[0] == "A" else "out_features", None)
        given = tensor.shape[1 if kind[0] == "A" else 0]
        if size != given or tensor.shape[0 if kind[0] == "A" else 1] != state[other].shape[1 if kind[0] == "A" else 0]:
            raise Refused(file, name, f"shape {tuple(tensor.shape)}", f"a shape that fits {place} and {other}")
