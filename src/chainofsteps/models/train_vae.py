"""Train the mini reasoner's VAE on single frames of all families."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from tqdm import tqdm

from chainofsteps import seeds, worlds
from chainofsteps.models.frame_wise import frame_wise
from chainofsteps.models.mini import build_vae
from chainofsteps.refusal import Refused
from chainofsteps.worlds import grid

READ_RIGHT = 0.99  # least share of frames; a reasoner cannot be judged through a VAE that loses the mover


def training_case(family: str, index: int, difficulties: Sequence[int]) -> worlds.Case:
    """Case number ``index`` of a family's training block; the given difficulties take turns."""
    return worlds.draw_case(family, seeds.seed_of("training", index), difficulties[index % len(difficulties)])


def random_frames(cases: list[worlds.Case], rng: np.random.Generator, count: int) -> np.ndarray:
    """Frames with the mover in any state, legal or not: the VAE is to show wrong plans as well as right ones.

    Returns
    -------
    ndarray of float32, (count, 32, 32, 3), in [-1, 1]
    """
    frames = []
    for case in (cases[i] for i in rng.integers(len(cases), size=count)):
        cell, kind = int(rng.integers(grid.CELLS + 4)), int(rng.integers(len(case.kinds)))
        frames.append(case.render(np.array([grid.join_state(kind, min(cell, grid.ABSENT))]))[0])
    return np.stack(frames).astype(np.float32) / 127.5 - 1


def train_vae(settings: dict, families: dict[str, dict], seed: int) -> tuple[AutoencoderKLWan, list[dict]]:
    """Train on single frames with L1 + L2, a small latent penalty and latent noise; then set the latent statistics.

    Parameters
    ----------
    settings : dict
        ``models.<name>.training.vae`` of the configuration.
    families : dict
        Family -> its ``difficulties``; each family brings the same number of scenes.
    seed : int

    Returns
    -------
    vae, log
        The log holds ``step``, ``loss`` and ``psnr`` (dB).
    """
    cases = [
        training_case(family, index, given["difficulties"])
        for family, given in families.items()
        for index in range(settings["scenes"] // len(families))
    ]
    vae = build_vae(settings["architecture"], seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(vae.parameters(), settings["learning_rate"], weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings["learning_rate"], total_steps=settings["steps"], pct_start=0.05
    )
    log = []
    with frame_wise(vae):
        for step in (progress := tqdm(range(settings["steps"]), desc="train VAE", mininterval=5)):
            pixels = torch.from_numpy(random_frames(cases, rng, settings["batch"])).permute(0, 3, 1, 2)[:, :, None]
            posterior = vae.encode(pixels).latent_dist
            latents = posterior.mean
            noisy = latents + settings["latent_noise"] * torch.randn(latents.shape, generator=generator)
            error = vae.decode(noisy).sample - pixels
            loss = error.abs().mean() + error.square().mean() + settings["latent_penalty"] * latents.square().mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            if step % 20 == 0:
                psnr = -10 * torch.log10(error.detach().square().mean() / 4)
                log.append({"step": step, "loss": loss.item(), "psnr": psnr.item()})
                progress.set_postfix(loss=f"{loss.item():.4f}", psnr=f"{psnr.item():.1f}")
    vae.eval()
    with torch.no_grad(), frame_wise(vae):
        pixels = torch.from_numpy(random_frames(cases, rng, 1024)).permute(0, 3, 1, 2)[:, :, None]
        latents = vae.encode(pixels).latent_dist.mean
    vae.register_to_config(
        latents_mean=latents.mean((0, 2, 3, 4)).tolist(), latents_std=latents.std((0, 2, 3, 4)).tolist()
    )
    return vae, log


@torch.no_grad()
def read_after_round_trip(vae: AutoencoderKLWan, cases: list[worlds.Case]) -> float:
    """Share of frames whose state is read right after encoding and decoding the ground truth; see `READ_RIGHT`."""
    right = []
    for case in cases:
        pixels = torch.from_numpy(case.video.astype(np.float32) / 127.5 - 1).permute(3, 0, 1, 2)[None]
        decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
        frames = (decoded[0].permute(1, 2, 3, 0).clamp(-1, 1).numpy() + 1) / 2
        right.append(case.read(frames).plan == case.plan)
    return float(np.mean(right))


def check_round_trip(where: object, shares: dict[str, float]) -> None:
    """Refuse a VAE that loses states.

    Parameters
    ----------
    where : object
        Named in the message: the VAE.
    shares : dict
        Family -> `read_after_round_trip` of its held-out cases.

    Raises
    ------
    Refused
        A share is below `READ_RIGHT`.
    """
    for family, share in shares.items():
        if not share >= READ_RIGHT:
            raise Refused(
                where, f"{family} frames read right", f"{share:.4f}", f"at least {READ_RIGHT} before a reasoner"
            )
