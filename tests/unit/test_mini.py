"""The shipped mini reasoner: is it what its card says."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from diffusers.models.autoencoders.autoencoder_kl_wan import WanRMS_norm
from PIL import Image

from chainofsteps import seeds, worlds
from chainofsteps.models.check import check_fit, check_folder, read_manifest
from chainofsteps.models.frame_wise import frame_wise, is_frame_wise
from chainofsteps.models.load import load_pipeline, pipeline_form
from chainofsteps.models.mini import build_text_encoder, build_tokenizer, build_vae, choose_text_encoder
from chainofsteps.models.train_vae import read_after_round_trip
from chainofsteps.readout.cases import case_dataset
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.decode import TrajectoryDecoder, decode
from chainofsteps.sampling.kernels import fast_norms
from chainofsteps.sampling.loop import Stream, sample
from chainofsteps.sampling.trajectories import loop_settings, sample_videos

ROOT = Path(__file__).parents[2]
MODELS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
SHIPPED = {name: model for name, model in MODELS.items() if "revision" in model}
MODEL = MODELS["mini"]
FOLDER = ROOT / MODEL["path"]
FAMILIES = tuple(MODEL["training"]["families"])


@cache
def load(path):
    """The shipped model of a folder, not to be changed."""
    (model,) = (each for each in SHIPPED.values() if each["path"] == path)
    return load_pipeline(ROOT / path, hashes=read_manifest(ROOT / path, model["revision"]))


@pytest.fixture(scope="module")
def pipe():
    return load(MODEL["path"])


def pilot_cases(family, count, first=500_000):
    levels = worlds.difficulties(family)
    return [worlds.draw_case(family, seeds.seed_of("pilot", first + i), levels[i % len(levels)]) for i in range(count)]


@pytest.mark.parametrize("model", SHIPPED.values(), ids=SHIPPED)
def test_the_folder_is_whole_and_pinned(model):
    folder = ROOT / model["path"]
    check_folder(folder, read_manifest(folder, model["revision"]))
    check_fit(folder, model["frames"], model["height"], model["width"])


def test_all_shipped_models_have_the_same_vae():
    """So that what is shown of one holds for all."""
    weights = [ROOT / model["path"] / "vae/diffusion_pytorch_model.safetensors" for model in SHIPPED.values()]
    assert len({file.read_bytes() for file in weights}) == 1


def test_all_shipped_weights_together_are_small():
    files = [file for model in SHIPPED.values() for file in (ROOT / model["path"]).rglob("*.safetensors")]
    assert len(files) == 3 * len(SHIPPED)
    # A link, to another model's VAE, takes no room of its own.
    assert sum(file.lstat().st_size for file in files) <= 24e6
    assert all(file.resolve().is_relative_to(ROOT / "resources/models") for file in files)


def test_it_is_a_ti2v_pipeline_with_eight_free_latent_frames(pipe):
    assert pipeline_form(pipe) == "ti2v"
    assert (MODEL["frames"] - 1) // pipe.vae_scale_factor_temporal >= 8


def test_states_are_read_right_after_the_vae(pipe):
    """At least 99 % of frames, by the one right of all cells and kinds; and of videos, by their score."""
    assert pipe.vae.dtype == torch.float32
    shares = {family: read_after_round_trip(pipe.vae, pilot_cases(family, 9)) for family in FAMILIES}
    assert min(frames for frames, _ in shares.values()) >= 0.99, shares
    assert np.mean([videos for _, videos in shares.values()]) >= 0.99, shares


def test_the_vae_is_frame_wise(pipe):
    """A decoded frame depends on its own latent frame alone."""
    latents = torch.randn(1, 8, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    other = latents.clone()
    other[:, :, 1] += 1
    with torch.no_grad():
        changed = (pipe.vae.decode(latents).sample - pipe.vae.decode(other).sample).abs().amax((0, 1, 3, 4))
    assert changed[1] > 0.01
    assert changed[[0, 2, 3]].max() < 1e-5


def decode_whole(pipe, latents):
    """Videos as the pipeline decodes them, all frames of one at once."""
    mean, std = (torch.tensor(pipe.vae.config[name]).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    with torch.no_grad():
        videos = pipe.vae.decode(latents * std + mean).sample
    return np.round(pipe.video_processor.postprocess_video(videos, output_type="np") * 255)


def test_what_did_not_change_is_not_decoded_again_and_the_pictures_are_the_same(pipe):
    assert is_frame_wise(pipe.vae)
    decoder = TrajectoryDecoder(pipe, batch=2)
    latents = torch.randn(3, 8, 9, 8, 8, generator=torch.Generator().manual_seed(4))
    for frame in (None, 5, 6):
        if frame is not None:
            latents = latents.clone()
            latents[:, :, frame] *= 0.5
        video, whole = decoder(latents), decode_whole(pipe, latents)
        assert np.abs(video - whole).max() <= 1 and np.abs(decode(pipe, latents, batch=2) - whole).max() <= 1
    assert np.array_equal(decoder(latents), video)


def test_frames_that_are_alike_are_decoded_once(pipe, monkeypatch):
    latents = torch.randn(3, 8, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    latents[:, :, 0] = latents[0, :, 0]  # as the given frame of a case's streams
    latents[1, :, 2] = latents[0, :, 3]
    whole, decoded, own = decode_whole(pipe, latents), [], pipe.vae.decode
    monkeypatch.setattr(
        pipe.vae, "decode", lambda given, **options: decoded.append(len(given)) or own(given, **options)
    )
    videos = decode(pipe, latents, batch=3)
    assert sum(decoded) == 3 * 4 - 2 - 1
    assert np.abs(videos - whole).max() <= 1
    assert np.array_equal(videos[1, 2], videos[0, 3]) and not np.array_equal(videos[1, 2], videos[0, 2])


def test_two_dimensional_evaluation_gives_the_same_values():
    vae = build_vae(MODEL["training"]["vae"]["architecture"], seed=3)
    frames = torch.randn(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = vae.encode(frames).latent_dist.mean
        with frame_wise(vae):
            flat = vae.encode(frames).latent_dist.mean
        again = vae.encode(frames).latent_dist.mean
    torch.testing.assert_close(flat, whole, rtol=1e-4, atol=1e-5)
    assert torch.equal(again, whole)


def test_fast_norms_give_the_same_values_and_do_not_stay(pipe):
    norm = next(each for each in pipe.vae.modules() if isinstance(each, WanRMS_norm) and each.gamma.ndim == 4)
    x = torch.randn(2, len(norm.gamma), 1, 4, 4, generator=torch.Generator().manual_seed(5))
    x[0, :, 0, 0, 0] = 0
    with torch.no_grad():
        own = norm(x)
        with pytest.raises(ZeroDivisionError), fast_norms(pipe.vae):
            torch.testing.assert_close(norm(x), own, rtol=1e-5, atol=1e-6)
            assert "forward" in vars(norm)
            raise ZeroDivisionError
        assert "forward" not in vars(norm) and torch.equal(norm(x), own)
    half = copy.deepcopy(pipe.vae).to(torch.bfloat16)
    with fast_norms(half):
        assert not any("forward" in vars(each) for each in half.modules())


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
def test_joint_order_is_the_pipelines_own_call(pipe, guidance_scale):
    case = pilot_cases("maze", 1)[0]
    stream = Stream(case.case_id, case.first_frame, case.prompt, seed=7)
    settings = loop_settings(MODEL, {"order": "joint", "steps": 4}) | {"guidance_scale": guidance_scale}
    ours = sample(pipe, [stream], **settings)
    theirs = pipe(
        image=Image.fromarray(case.first_frame),
        prompt=case.prompt,
        negative_prompt=MODEL["negative_prompt"],
        height=32,
        width=32,
        num_frames=MODEL["frames"] - 1,  # diffusers adds one where the VAE does not compress time
        num_inference_steps=4,
        guidance_scale=guidance_scale,
        generator=torch.Generator().manual_seed(7),
        max_sequence_length=MODEL["max_sequence_length"],
        output_type="latent",
    ).frames
    assert ours.shape == theirs.shape == (1, 8, 9, 8, 8)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def solved(model, family, order, steps, count=12):
    """Share of new easy cases."""
    cases = case_dataset(family, "pilot", 600_000, count, "easy")
    videos = sample_videos(load(model["path"]), cases, model, {"order": order, "steps": steps}, [0], count)
    return (video_scores(cases, videos) == 1).mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_solves_new_cases_in_joint_order(family):
    """A floor far below what its table says: catches a model that was swapped or a loop that broke."""
    assert solved(MODEL, family, "joint", 8) >= 0.6


@pytest.mark.parametrize("family", FAMILIES)
def test_it_solves_new_cases_frame_by_frame(family):
    assert solved(MODEL, family, "frame_by_frame", 4, count=6) >= 0.5


def test_the_finished_video_keeps_the_given_frame(pipe):
    case = pilot_cases("reappearance", 1)[0]
    stream = Stream(case.case_id, case.first_frame, case.prompt, seed=1)
    video = decode(pipe, sample(pipe, [stream], **loop_settings(MODEL, {"order": "joint", "steps": 2})))
    assert np.abs(video[0, 0].astype(int) - case.first_frame).mean() < 4


def test_the_tokenizer_knows_every_prompt(pipe):
    for family in FAMILIES:
        tokens = pipe.tokenizer(worlds.family(family).PROMPT).input_ids
        assert pipe.tokenizer.unk_token_id not in tokens
        assert len(tokens) <= MODEL["max_sequence_length"]
    built = build_tokenizer([worlds.family(family).PROMPT for family in FAMILIES], MODEL["max_sequence_length"])
    assert built.get_vocab() == pipe.tokenizer.get_vocab()


def test_a_training_that_goes_on_keeps_the_codes_of_the_prompts(pipe):
    """Where the words are the same; a new text encoder where they are not, for it has a row a word."""
    for families, kept in ((FAMILIES, True), (FAMILIES[:-1], False)):
        tokenizer = build_tokenizer([worlds.family(name).PROMPT for name in families], MODEL["max_sequence_length"])
        new = build_text_encoder(MODEL["training"]["text_encoder"], len(tokenizer), seed=1)
        assert choose_text_encoder(pipe, tokenizer, new) is (pipe.text_encoder if kept else new)


def test_three_layers_solve_easy_bars_but_no_bounces():
    assert solved(MODELS["mini_shallow"], "largest", "joint", 8) >= 0.7
    assert solved(MODELS["mini_shallow"], "bounce", "joint", 8) <= 0.3


def test_without_steps_one_right_answer_is_found_and_of_two_none_is_chosen():
    assert solved(MODELS["mini_one_pass"], "reappearance", "joint", 1) >= 0.6
    assert solved(MODELS["mini_one_pass"], "largest_tie", "joint", 1) <= 0.4


@pytest.mark.parametrize("model", SHIPPED.values(), ids=SHIPPED)
def test_no_pickle_is_shipped(model):
    assert {path.suffix for path in (ROOT / model["path"]).rglob("*") if path.is_file()} <= {
        ".safetensors",
        ".json",
        ".md",
        ".csv",
        "",
    }
