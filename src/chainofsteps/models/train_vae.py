"""Train the mini reasoner's VAE on single frames of all families."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def random_frames(cases: list[worlds.Case], rng: np.random.Generator, count: int, planned: float = 0.0) -> np.ndarray:
    """Frames with the mover in any state, legal or not: the VAE is to show wrong plans as well as right ones.

    Parameters
    ----------
    cases : list of Case
    rng : Generator
    count : int
    planned : float
        Share of the frames that are taken from the ground truth instead.

    Returns
    -------
    ndarray of float32, (count, 32, 32, 3), in [-1, 1]
    """
    frames = []
    for case in (cases[i] for i in rng.integers(len(cases), size=count)):
        if planned and rng.random() < planned:
            state = rng.choice(case.plan)
        else:
            cell, kind = int(rng.integers(grid.CELLS + 4)), int(rng.integers(len(case.kinds)))
            state = grid.join_state(kind, min(cell, grid.ABSENT))
        frames.append(case.render(np.array([state]))[0])
    return np.stack(frames).astype(np.float32) / 127.5 - 1


def _to_tensor(frames: np.ndarray) -> torch.Tensor:
    """Frames as videos of one frame, (batch, 3, 1, 32, 32)."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2)[:, :, None]


def _fit(
    vae: AutoencoderKLWan,
    modules: Sequence[torch.nn.Module],
    draw: Callable[[], np.ndarray],
    settings: dict,
    generator: torch.Generator,
    description: str,
) -> list[dict]:
    """Move ``modules`` of the VAE to give back what ``draw`` gives; L1 + L2, a latent penalty and latent noise.

    ``settings`` are those of `train_vae`. The log holds ``step``, ``loss`` and ``psnr`` (dB).
    """
    vae.requires_grad_(False)
    for module in modules:
        module.requires_grad_(True)
    parameters = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, settings["learning_rate"], weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings["learning_rate"], total_steps=settings["steps"], pct_start=0.05
    )
    log = []
    with frame_wise(vae):
        for step in (progress := tqdm(range(settings["steps"]), desc=description, mininterval=5)):
            pixels = _to_tensor(draw())
            latents = vae.encode(pixels).latent_dist.mean
            noisy = latents + settings["latent_noise"] * torch.randn(latents.shape, generator=generator)
            error = vae.decode(noisy).sample - pixels
            loss = error.abs().mean() + error.square().mean() + settings["latent_penalty"] * latents.square().mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            if step % 20 == 0:
                psnr = -10 * torch.log10(error.detach().square().mean() / 4)
                log.append({"step": step, "loss": loss.item(), "psnr": psnr.item()})
                progress.set_postfix(loss=f"{loss.item():.4f}", psnr=f"{psnr.item():.1f}")
    return log


def train_vae(settings: dict, families: dict[str, dict], seed: int) -> tuple[AutoencoderKLWan, list[dict]]:
    """Train on single frames; then set the latent statistics.

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
    log = _fit(
        vae, [vae], lambda: random_frames(cases, rng, settings["batch"]), settings, generator, description="train VAE"
    )
    vae.eval()
    with torch.no_grad(), frame_wise(vae):
        latents = vae.encode(_to_tensor(random_frames(cases, rng, 1024))).latent_dist.mean
    vae.register_to_config(
        latents_mean=latents.mean((0, 2, 3, 4)).tolist(), latents_std=latents.std((0, 2, 3, 4)).tolist()
    )
    return vae, log


def train_decoder(vae: AutoencoderKLWan, settings: dict, families: Sequence[str], seed: int) -> list[dict]:
    """Train the decoder on, in place, on all difficulties and more of what the ground truth shows.

    The encoder stays as it is, so encoded videos and whatever was trained on them keep their meaning.

    Parameters
    ----------
    vae : AutoencoderKLWan
        From `train_vae`.
    settings : dict
        As for `train_vae`; its ``decoder`` has the ``steps``, ``learning_rate`` and ``planned`` share of this phase.
    families : sequence of str
        Each brings the same number of scenes.
    seed : int

    Returns
    -------
    list of dict
        As from `train_vae`; its steps go on from there.
    """
    cases = [
        training_case(family, index, worlds.difficulties(family))
        for family in families
        for index in range(settings["scenes"] // len(families))
    ]
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    phase = settings["decoder"]
    log = _fit(
        vae,
        [vae.post_quant_conv, vae.decoder],
        lambda: random_frames(cases, rng, settings["batch"], phase["planned"]),
        settings | {key: phase[key] for key in ("steps", "learning_rate")},
        generator,
        description="train decoder",
    )
    return [row | {"step": settings["steps"] + row["step"]} for row in log]


@torch.no_grad()
def read_after_round_trip(vae: AutoencoderKLWan, cases: list[worlds.Case]) -> tuple[float, float]:
    """Shares of frames read right, and of videos scored as solved, after encoding and decoding ground truth."""
    frames_right, solved = [], []
    for case in cases:
        pixels = torch.from_numpy(case.video.astype(np.float32) / 127.5 - 1).permute(3, 0, 1, 2)[None]
        decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
        frames = (decoded[0].permute(1, 2, 3, 0).clamp(-1, 1).numpy() + 1) / 2
        reading = case.read(frames)
        frames_right.append(reading.plan == case.plan)
        solved.append(worlds.score(case, reading.plan, reading.mover_count)["correct"] == 1)
    return float(np.mean(frames_right)), float(np.mean(solved))


def check_round_trip(where: object, shares: dict[str, float]) -> None:
    """Refuse a VAE that loses states.

    Parameters
    ----------
    where : object
        Named in the message: the VAE.
    shares : dict
        Family -> share of its held-out frames that are read right (`read_after_round_trip`).

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
