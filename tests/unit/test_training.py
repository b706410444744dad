"""Training of the mini reasoner on a tiny configuration."""

from __future__ import annotations

import copy
import json
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from chainofsteps import seeds
from chainofsteps.models import train_reasoner as training
from chainofsteps.models.encode import encode_videos, load_vae
from chainofsteps.models.frame_wise import is_frame_wise
from chainofsteps.models.mini import build_transformer, build_vae, normalise
from chainofsteps.models.muon import StackedMuon
from chainofsteps.models.train_vae import check_round_trip, random_frames, train_decoder, train_vae, training_case
from chainofsteps.refusal import Refused
from tests.scripts import processes

ARCHITECTURE = {
    "patch_size": [1, 2, 2], "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4,
    "text_dim": 8, "freq_dim": 16, "ffn_dim": 32, "num_layers": 2, "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 16,
}  # fmt: skip
SETTINGS = {
    "shift": 3.0, "batch": 4, "steps": 6, "warmup": 2, "learning_rate": 0.01, "muon_learning_rate": 0.01,
    "final_share": 0.05, "ema": 0.9,
    "prompt_dropout": 0.25, "noise_levels": {"shared": 0.5, "frame_by_frame": 0.3, "independent": 0.2},
    "checkpoint_every": 2, "evaluate_every": 4, "compile": False,
}  # fmt: skip
VAE = {
    "base_dim": 8, "z_dim": 4, "dim_mult": [1, 2], "num_res_blocks": 1, "temperal_downsample": [False],
    "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_temporal": 1, "scale_factor_spatial": 4,
    "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4,
}  # fmt: skip
SHARES = {"maze": 0.7, "pattern": 0.3}


def half_right(transformer):
    return {"maze_joint": 0.5}


def run(folder, evaluate=half_right, *, seed=11, shares=SHARES, latents_seed=3, start_seed=5, **changes):
    generator = torch.Generator().manual_seed(latents_seed)
    latents = {name: torch.randn(5, 4, 4, 4, 4, generator=generator).half() for name in SHARES}
    text = {name: torch.randn(6, 8, generator=generator) for name in ("", *SHARES)}
    transformer = build_transformer(ARCHITECTURE, seed=start_seed)
    return training.train_reasoner(transformer, latents, text, shares, SETTINGS | changes, seed, folder, evaluate)


class Killed(Exception):
    pass


def kill(transformer):
    raise Killed


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):  # at step 4, before that checkpoint is written: the last one is of step 2
        run(tmp_path / "killed", evaluate=kill)
    resumed = run(tmp_path / "killed")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_training_killed_by_the_system_goes_on_to_the_same_weights(tmp_path):
    """SIGKILL of a real process, wherever it stands; what is left on the disk is enough."""
    settings = {"steps": 60, "checkpoint_every": 5, "evaluate_every": 30}
    whole = run(tmp_path / "whole", **settings)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    for least in (5, 20):
        process = processes().Process(target=run, args=(tmp_path / "killed",), kwargs=settings, daemon=True)
        process.start()
        while not checkpoint.exists() or load_file(checkpoint)["step"] < least:
            assert process.is_alive()
            time.sleep(0.01)
        process.kill()
        process.join()
        assert load_file(checkpoint)["step"] < 60
    resumed = run(tmp_path / "killed", **settings)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / "whole" / "log.jsonl").read_text() == (tmp_path / "killed" / "log.jsonl").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 0.02},
        {"steps": 8},
        {"seed": 12},
        {"shares": {"maze": 0.6, "pattern": 0.4}},
        {"latents_seed": 4},
        {"start_seed": 6},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, changes):
    run(tmp_path)
    before = [(tmp_path / name).read_bytes() for name in ("checkpoint.safetensors", "log.jsonl")]
    with pytest.raises(Refused, match=r"checkpoint\.safetensors: basis: given .*; delete the checkpoint or") as caught:
        run(tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert before == [(tmp_path / name).read_bytes() for name in ("checkpoint.safetensors", "log.jsonl")]


def test_a_checkpoint_that_does_not_say_its_training_is_refused(tmp_path):
    run(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    save_file(load_file(path), path)
    with pytest.raises(Refused, match=r"basis: given .* \(sha256 None\)"):
        run(tmp_path)


def test_the_log_holds_loss_and_held_out_success(tmp_path):
    run(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert [row["samples"] for row in rows] == [8, 16, 24]
    assert ["maze_joint" in row for row in rows] == [False, True, True]
    assert not list(tmp_path.glob("*.partial"))


def test_the_loss_falls(tmp_path):
    run(tmp_path, steps=60, checkpoint_every=20, evaluate_every=60)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]


@given(seed=st.integers(0, 10_000), frames=st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_noise_levels(seed, frames):
    sigma = training.draw_sigmas(16, frames, SETTINGS["noise_levels"], 3.0, torch.Generator().manual_seed(seed))
    assert sigma.shape == (16, frames)
    assert (sigma[:, 0] == 0).all()
    assert ((sigma >= 0) & (sigma <= 1)).all()


@pytest.mark.parametrize("mode", ["shared", "frame_by_frame", "independent"])
def test_each_kind_of_noise_level(mode):
    shares = {"shared": 0.0, "frame_by_frame": 0.0, "independent": 0.0, mode: 1.0}
    free = training.draw_sigmas(64, 6, shares, 3.0, torch.Generator().manual_seed(1))[:, 1:]
    if mode == "shared":
        assert (free == free[:, :1]).all()
    elif mode == "independent":
        assert len(free.unique()) == free.numel()
    else:
        partial = (free > 0) & (free < 1)
        assert (partial.sum(1) == 1).all()
        for row, now in zip(free, partial.int().argmax(1), strict=True):
            assert (row[:now] == 0).all() and (row[now + 1 :] == 1).all()


def test_what_a_single_pass_sees_is_pure_noise():
    shares = {"shared": 0.0, "frame_by_frame": 0.0, "independent": 0.0, "pure": 1.0}
    sigma = training.draw_sigmas(64, 6, shares, 3.0, torch.Generator().manual_seed(1))
    assert (sigma[:, 0] == 0).all() and (sigma[:, 1:] == 1).all()
    none, zero = (
        training.draw_sigmas(64, 6, SETTINGS["noise_levels"] | more, 3.0, torch.Generator().manual_seed(1))
        for more in ({}, {"pure": 0.0})
    )
    assert torch.equal(none, zero)


def test_the_loss_is_zero_for_the_true_velocity_and_blind_to_given_frames():
    clean, noise = torch.randn(2, 4, 3, 4, 4), torch.randn(2, 4, 3, 4, 4)
    sigma = torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.0, 0.3]])

    def oracle(state, timestep, text, return_dict):
        velocity = noise - clean
        velocity[:, :, 0] = 99  # the given frame carries no noise and no loss
        assert timestep.shape == (2, 3 * 4)
        return (velocity,)

    assert training.clean_estimate_loss(oracle, clean, None, sigma, noise) == 0


def test_the_loss_is_the_squared_error_of_the_clean_estimate():
    clean, noise, answer = torch.randn(3, 2, 4, 3, 4, 4)
    sigma = torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.2, 0.3]])
    level = sigma[:, None, :, None, None]
    error = (1 - level) * clean + level * noise - level * answer - clean
    loss = training.clean_estimate_loss(lambda *_, **__: (answer,), clean, None, sigma, noise)
    assert loss.item() == pytest.approx(error[:, :, 1:].square().mean().item(), rel=1e-4)


def test_the_schedule_warms_up_and_decays():
    rates = [training.learning_rate_share(step, 100, 10, 0.05) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[10] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.05, abs=0.01)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_stacked_muon_takes_the_steps_of_torchs_own():
    """Wide, tall and square matrices; half precision inside leaves about three digits of a step."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(16, 16), (16, 16), (16, 64), (64, 16), (64, 16), (16, 64)]
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    ours, theirs = ([torch.nn.Parameter(weight.clone()) for weight in start] for _ in range(2))
    optimisers = (
        StackedMuon(ours, lr=0.02, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for pair in zip(ours, theirs, strict=True):
            gradient = torch.randn(pair[0].shape, generator=generator)
            for weight in pair:
                weight.grad = gradient.clone()
        for optimiser in optimisers:
            optimiser.step()
    for one, other, first in zip(ours, theirs, start, strict=True):
        step = (other - first).norm()
        assert (one - other).norm() < 0.02 * step
        torch.testing.assert_close(
            optimisers[0].state[one]["momentum_buffer"], optimisers[1].state[other]["momentum_buffer"]
        )
    # What got no gradient stays.
    ours[0].grad, before = None, ours[0].detach().clone()
    optimisers[0].step()
    assert torch.equal(ours[0], before)


def test_equal_frames_are_encoded_once_and_alike():
    vae = build_vae(VAE, seed=1).eval()
    videos = np.stack([training_case("maze", i, (3, 5)).video for i in range(3)])
    latents = encode_videos(vae, videos)
    assert latents.shape == (3, 4, 9, 8, 8) and latents.dtype == torch.float16
    pixels = torch.from_numpy(videos[1].astype(np.float32) / 127.5 - 1).permute(3, 0, 1, 2)[None]
    with torch.no_grad():
        whole = normalise(vae.encode(pixels).latent_dist.mode(), vae)
    torch.testing.assert_close(latents[1].float(), whole[0], rtol=0, atol=5e-3)


def test_a_vae_is_loaded_in_single_precision(tmp_path):
    """Shipped ones are stored in half precision; what is encoded must not depend on it."""
    vae = build_vae(VAE, seed=1).eval().half()
    vae.save_pretrained(tmp_path)
    loaded = load_vae(tmp_path)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32} and not loaded.training
    stored = vae.float().state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in loaded.state_dict().items())


def test_vae_training_sets_the_statistics_of_its_latents():
    settings = {
        "architecture": VAE, "scenes": 6, "batch": 4, "steps": 3, "learning_rate": 1e-3, "latent_noise": 0.02,
        "latent_penalty": 1e-3,
    }  # fmt: skip
    vae, log = train_vae(settings, {"maze": {"difficulties": [3, 5]}, "pattern": {"difficulties": [2]}}, seed=2)
    cases = [training_case("maze", i, (3, 5)) for i in range(6)]
    frames = torch.from_numpy(random_frames(cases, np.random.default_rng(0), 64)).permute(0, 3, 1, 2)[:, :, None]
    with torch.no_grad():
        latents = normalise(vae.encode(frames).latent_dist.mean, vae)
    assert latents.std() == pytest.approx(1, abs=0.4)
    assert log[0]["step"] == 0 and set(log[0]) == {"step", "loss", "psnr"}


def test_the_decoder_is_trained_on_and_the_latents_keep_their_meaning():
    vae = build_vae(VAE, seed=1).eval()
    state, config = copy.deepcopy(vae.state_dict()), dict(vae.config)
    settings = {
        "scenes": 6, "batch": 4, "steps": 40, "learning_rate": 1e-3, "latent_noise": 0.02, "latent_penalty": 1e-3,
        "decoder": {"steps": 41, "learning_rate": 1e-3, "planned": 0.5},
    }  # fmt: skip
    log = train_decoder(vae, settings, ("maze", "rotation"), seed=2)
    assert [row["step"] for row in log] == [40, 60, 80] and log[-1]["loss"] < log[0]["loss"]
    moved = {name.split(".")[0] for name, tensor in vae.state_dict().items() if not torch.equal(tensor, state[name])}
    assert moved == {"post_quant_conv", "decoder"}
    assert dict(vae.config) == config and is_frame_wise(vae)


def test_the_given_share_of_random_frames_is_ground_truth():
    cases = [training_case("rotation", i, (1, 4)) for i in range(4)]
    truth = {frame.tobytes() for case in cases for frame in case.video}
    for planned, least, most in ((1.0, 1.0, 1.0), (0.5, 0.35, 0.75)):  # four standard errors, and chance hits
        frames = random_frames(cases, np.random.default_rng(0), 200, planned)
        drawn = np.rint((frames + 1) * 127.5).astype(np.uint8)
        assert least <= np.mean([frame.tobytes() in truth for frame in drawn]) <= most


def test_a_vae_that_loses_states_is_refused():
    check_round_trip("vae", {"maze": 1.0, "pattern": 0.99})
    for share in (0.9899, float("nan")):
        with pytest.raises(Refused, match=r"^vae: pattern frames read right: given .*; accepted: at least 0\.99"):
            check_round_trip("vae", {"maze": 1.0, "pattern": share})


def test_training_cases_take_the_given_difficulties_in_turn():
    assert [training_case("maze", i, (3, 3, 7)).difficulty for i in range(6)] == [3, 3, 7, 3, 3, 7]


def test_training_cases_are_training_cases():
    cases = [training_case("pattern", i, (2, 3, 4)) for i in range(20)]
    assert {seeds.purpose_of_content(case.first_frame) for case in cases} == {"training"}
