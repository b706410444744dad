"""Train the mini reasoner's transformer by flow matching, with a noise level for each latent frame.

Because levels differ between frames in training, the same weights can be sampled jointly (all frames share a level) and
frame by frame (earlier frames clean, later ones pure noise).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from chainofsteps.models.muon import StackedMuon
from chainofsteps.refusal import Refused


def shifted(u: torch.Tensor, shift: float) -> torch.Tensor:
    """Noise level sigma of a uniform ``u``: shift u / (1 + (shift - 1) u) (Esser et al. 2024, eq. 23; Wan's shift)."""
    return shift * u / (1 + (shift - 1) * u)


def draw_sigmas(
    batch: int, latent_frames: int, shares: dict[str, float], shift: float, generator: torch.Generator
) -> torch.Tensor:
    """Noise levels of a training batch.

    Parameters
    ----------
    batch, latent_frames : int
    shares : dict
        ``shared`` (one level for all frames), ``frame_by_frame`` (earlier frames clean, one at a level, later ones pure
        noise), ``independent`` (a level for each frame) and, if given, ``pure`` (all frames pure noise: what a single
        pass sees); they sum to 1.
    shift : float
    generator : torch.Generator

    Returns
    -------
    Tensor, (batch, latent_frame)
        The first latent frame is given: level 0.
    """
    free = latent_frames - 1
    mode = torch.rand(batch, 1, generator=generator)
    level = shifted(torch.rand(batch, free, generator=generator), shift)
    now = torch.randint(free, (batch, 1), generator=generator)
    frame = torch.arange(free)[None]
    in_turn = torch.where(frame < now, 0.0, torch.where(frame == now, level, 1.0))
    one = level[:, :1].expand(-1, free)
    sigma = torch.where(mode < shares["shared"] + shares["frame_by_frame"], in_turn, level)
    sigma = torch.where(mode < shares["shared"], one, sigma)
    # At the upper end, so that a share of 0 changes no draw.
    sigma = torch.where(mode >= 1 - shares.get("pure", 0.0), 1.0, sigma)
    return torch.cat([torch.zeros(batch, 1), sigma], dim=1)


def clean_estimate_loss(
    transformer: torch.nn.Module, clean: torch.Tensor, text: torch.Tensor, sigma: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Mean squared error of the clean estimate, x_s - sigma v, on the frames that carry noise.

    Sigma squared times the error of the velocity (flow matching, Lipman et al. 2023): a weight of the noise level
    alone, so the best answer is the same. Unweighted, much of a trained model's loss stands at low noise, where all is
    seen and nothing is to be reasoned about (docs/mini.md).

    Parameters
    ----------
    transformer : WanTransformer3DModel or its compiled form
        Takes a timestep for each token.
    clean, noise : Tensor, (batch, channel, latent_frame, row, col)
    text : Tensor, (batch, token, channel)
    sigma : Tensor, (batch, latent_frame)
    """
    level = sigma[:, None, :, None, None]
    state = (1 - level) * clean + level * noise
    tokens_per_frame = clean.shape[-2] // 2 * (clean.shape[-1] // 2)
    timestep = (sigma * 1000).repeat_interleave(tokens_per_frame, dim=1)
    velocity = transformer(state, timestep, text, return_dict=False)[0].float()
    error = (level * (velocity - (noise - clean))).square().mean((1, 3, 4))
    noisy = sigma > 0
    return (error * noisy).sum() / noisy.sum()


def learning_rate_share(step: int, steps: int, warmup: int, final_share: float) -> float:
    """Share of the full rate: linear warm-up, then a cosine down to ``final_share``."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimisers(transformer: WanTransformer3DModel, settings: dict) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices of the blocks, AdamW for all else.

    Muon's step is scaled to the root mean square of AdamW's (Liu et al. 2025), so one scale of rates serves both.
    """
    matrices = [weight for weight in transformer.blocks.parameters() if weight.ndim == 2]
    chosen = {id(weight) for weight in matrices}
    others = [weight for weight in transformer.parameters() if id(weight) not in chosen]
    muon, adam = settings["muon_learning_rate"], settings["learning_rate"]
    return [
        StackedMuon([{"params": matrices, "full_rate": muon}], lr=muon, weight_decay=0.01),
        torch.optim.AdamW(
            [{"params": others, "full_rate": adam}], lr=adam, betas=(0.9, 0.95), weight_decay=0.01, fused=True
        ),
    ]


def train_reasoner(
    transformer: WanTransformer3DModel,
    latents: dict[str, torch.Tensor],
    text: dict[str, torch.Tensor],
    shares: dict[str, float],
    settings: dict,
    seed: int,
    folder: Path,
    evaluate: Callable[[WanTransformer3DModel], dict[str, float]],
) -> WanTransformer3DModel:
    """Train, or go on from the last checkpoint in ``folder``, on the device that the transformer is on.

    Every draw of step n comes from (seed, n), on the CPU, so a resumed run sees what an uninterrupted one would have
    seen.

    Parameters
    ----------
    transformer : WanTransformer3DModel
        With its initial weights.
    latents : dict
        Family -> float16 latents of its training cases, (case, channel, latent_frame, row, col).
    text : dict
        Family -> prompt embedding (token, channel); the empty key "" holds that of the empty prompt.
    shares : dict
        Family -> share of the samples.
    settings : dict
        ``models.<name>.training.transformer`` of the configuration.
    seed : int
    folder : Path
        Receives ``checkpoint.safetensors`` and ``log.jsonl``.
    evaluate : callable
        (averaged transformer) -> numbers to log beside the loss.

    Returns
    -------
    WanTransformer3DModel
        With the exponential moving average of the weights.

    Raises
    ------
    Refused
        The checkpoint is of a training with other settings, architecture, seed, shares, initial weights, latents or
        prompts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name, _ in transformer.named_parameters()]
    optimisers = build_optimisers(transformer, settings)
    averaged = WanTransformer3DModel.from_config(transformer.config).requires_grad_(False).eval()
    averaged.to(transformer.device).load_state_dict(transformer.state_dict())
    checkpoint, log = folder / "checkpoint.safetensors", folder / "log.jsonl"
    basis, start = _basis_hash(transformer, latents, text, shares, settings, seed), 0
    if checkpoint.exists():
        _check_basis(checkpoint, basis)
        start = _resume(checkpoint, log, transformer, averaged, optimisers, names)
    network = torch.compile(transformer) if settings.get("compile", True) else transformer
    device = transformer.device
    # On the CPU the flash backward is slower than the plain formula at this size.
    attention = [SDPBackend.MATH]
    if device.type != "cpu":
        attention += [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    families, weights = list(shares), np.array(list(shares.values()))
    losses = []
    for step in (
        progress := tqdm(
            range(start, settings["steps"]),
            initial=start,
            total=settings["steps"],
            desc="train reasoner",
            mininterval=10,
        )
    ):
        rng, generator = np.random.default_rng([seed, step]), torch.Generator().manual_seed(seed + step)
        chosen = [families[i] for i in rng.choice(len(families), settings["batch"], p=weights / weights.sum())]
        clean = torch.stack([latents[name][int(rng.integers(len(latents[name])))] for name in chosen]).float()
        dropped = rng.random(settings["batch"]) < settings["prompt_dropout"]
        words = torch.stack([text["" if drop else name] for name, drop in zip(chosen, dropped, strict=True)])
        sigma = draw_sigmas(len(clean), clean.shape[2], settings["noise_levels"], settings["shift"], generator)
        noise = torch.randn(clean.shape, generator=generator)
        share = learning_rate_share(step, settings["steps"], settings["warmup"], settings["final_share"])
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["full_rate"] * share
        batch = (given.to(device) for given in (clean, words, sigma, noise))
        with sdpa_kernel(attention), torch.autocast(device.type, torch.bfloat16):
            loss = clean_estimate_loss(network, *batch)
        transformer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        decay = min(settings["ema"], (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged.parameters()), list(transformer.parameters()), 1 - decay)
        losses.append(loss.item())
        last = step + 1 == settings["steps"]
        if last or (step + 1) % settings["checkpoint_every"] == 0:
            row = {"step": step + 1, "samples": (step + 1) * settings["batch"], "loss": float(np.mean(losses))}
            if last or (step + 1) % settings["evaluate_every"] == 0:
                row |= evaluate(averaged)
            losses = []
            with log.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            progress.set_postfix({key: round(value, 4) for key, value in row.items() if key != "step"})
            _save(checkpoint, basis, step + 1, transformer, averaged, optimisers, names)
    return averaged


def _basis_hash(transformer, latents, text, shares: dict[str, float], settings: dict, seed: int) -> str:
    """sha256 of what decides the weights of every step; the transformer has its initial ones."""
    basis = {
        # diffusers' own entries (its version, defaults) start with an underscore.
        "architecture": {key: value for key, value in transformer.config.items() if not key.startswith("_")},
        "settings": settings,
        # In order: the draws of a step pick families by their place.
        "shares": list(shares.items()),
        "seed": seed,
        "start": {name: _sha256(weight.detach()) for name, weight in transformer.named_parameters()},
        "latents": {name: [list(part.shape), _sha256(part)] for name, part in latents.items()},
        # Computed anew at each start, so that their last bits may change with the number of threads.
        "text": {name: [list(part.shape), round(part.double().sum().item(), 1)] for name, part in text.items()},
    }
    return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()


def _sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().cpu().numpy()).hexdigest()


def _check_basis(path: Path, basis: str) -> None:
    """Refuse a checkpoint of another training."""
    with safe_open(path, "pt") as file:
        found = (file.metadata() or {}).get("basis")
    if found != basis:
        raise Refused(
            path,
            "basis",
            f"a checkpoint of other settings, seed, start or latents (sha256 {found})",
            f"one of this training (sha256 {basis}); delete the checkpoint or restore its settings",
        )


def _owners(optimisers: list[torch.optim.Optimizer]) -> dict[torch.Tensor, torch.optim.Optimizer]:
    """Which optimiser moves a weight."""
    return {weight: each for each in optimisers for group in each.param_groups for weight in group["params"]}


def _save(path: Path, basis: str, step: int, transformer, averaged, optimisers: list, names: list[str]) -> None:
    """Write weights, their average and the optimisers' moments; the name is given when the file is whole."""
    owners = _owners(optimisers)
    tensors = {"step": torch.tensor(step)}
    for name, weight, mean in zip(names, transformer.parameters(), averaged.parameters(), strict=True):
        moments = {f"{moment}.{name}": value for moment, value in owners[weight].state[weight].items()}
        tensors |= {f"weight.{name}": weight.detach(), f"average.{name}": mean.detach(), **moments}
    partial = path.with_suffix(".partial")
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, partial, {"basis": basis})
    partial.replace(path)


def _resume(path: Path, log: Path, transformer, averaged, optimisers: list, names: list[str]) -> int:
    """Load a checkpoint; log rows written after it are dropped. Returns the next step."""
    owners, tensors = _owners(optimisers), load_file(path, str(transformer.device))
    step = int(tensors["step"])
    with torch.no_grad():
        for name, weight, mean in zip(names, transformer.parameters(), averaged.parameters(), strict=True):
            weight.copy_(tensors.pop(f"weight.{name}"))
            mean.copy_(tensors.pop(f"average.{name}"))
            moments = [key for key in tensors if key.endswith(f".{name}") and key.count(".") == name.count(".") + 1]
            owners[weight].state[weight] = {key.removesuffix(f".{name}"): tensors[key] for key in moments}
    rows = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= step] if log.exists() else []
    log.write_text("".join(line + "\n" for line in rows))
    return step
