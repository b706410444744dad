"""Large models by their entries: what they take, and how a pipeline of their form is laid out; on tiny ones here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import ORIGIN, check_entry
from chainofsteps.models.mini import normalise
from chainofsteps.models.placement import check_memory, opened, place, resident_gb, weight_bytes
from chainofsteps.refusal import Refused
from chainofsteps.sampling.decode import decode
from chainofsteps.sampling.loop import Stream, sample
from tests.scripts import save_model

ENTRIES = Path(__file__).parents[2] / "config/models.yaml"
MODELS = load_yaml(ENTRIES)
LARGE = {name: model for name, model in MODELS.items() if "hub" in model}
SHAPE = {"frames": 9, "height": 32, "width": 32, "guidance_scale": 2.0}


def entry(form, **placement):
    (name, *_) = (name for name, model in LARGE.items() if model["form"] == form)
    model = LARGE[name]
    return model | {"placement": model["placement"] | {"offload": "none"} | placement}


def test_every_form_has_an_entry_and_each_is_pinned_but_the_one_that_was_not_found():
    assert {model["form"] for model in LARGE.values()} == {"single", "two_networks", "ti2v"}
    places = {f"{name}.{key}": model[key] for name, model in LARGE.items() for key in ("hub", "lora") if key in model}
    unpinned = [name for name, place in places.items() if "commit" not in place]
    assert unpinned == ["vbvr_wan2.2.hub", "vbvr_wan2.2_lora.lora"]
    assert all("download_gb" in model["hub"] for model in LARGE.values())


def test_every_field_of_an_entry_of_the_hub_says_where_it_is_from():
    text = ENTRIES.read_text()
    legend = set(re.findall(r"^# \(([a-z])\) ", text, re.MULTILINE))
    entries = {part.split(":")[0]: part for part in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)}
    for name in LARGE:
        fields = [line for line in entries[name].splitlines()[1:] if line and not line.startswith("#")]
        # A mapping's own line, and entries that another's are taken over from, which stand above.
        whole = re.compile(r" +([a-z_]+:( &[a-z0-9_]+)?|<<: [*][a-z]+)")
        given = [line for line in fields if not whole.fullmatch(line)]
        marks = {line: re.findall(r"\(([a-z])\)", line.rpartition("  # ")[2]) for line in given}
        assert given and not [line for line, found in marks.items() if not found or set(found) - legend]


def test_a_download_is_what_its_parts_take_as_they_are_stored():
    for model in LARGE.values():
        stored = sum(count * (2 if part == "text_encoder" else 4) for part, count in model["parameters"].items())
        assert model["hub"]["download_gb"] == pytest.approx(stored / 1e9, abs=0.05)


def test_weights_in_bfloat16_with_the_vae_in_float32():
    model = LARGE["wan2.2_i2v_a14b"]
    weights = weight_bytes(model)
    assert weights["transformer"] == 2 * model["parameters"]["transformer"]
    assert weights["vae"] == 4 * model["parameters"]["vae"]
    # 28 GB a network, as diffusers' documentation says of 14 billion numbers in half precision.
    assert 28e9 < weights["transformer"] < 29e9


def test_parts_have_the_precision_that_the_entry_gives_them():
    model = entry("single", dtypes={"vae": "bfloat16", "image_encoder": "float32"})
    parameters, weights = model["parameters"], weight_bytes(model)
    assert weights["vae"] == 2 * parameters["vae"] and weights["image_encoder"] == 4 * parameters["image_encoder"]
    assert weights["text_encoder"] == 2 * parameters["text_encoder"]


def test_memory_by_what_is_offloaded():
    stated = {"none": 69.0, "model": 29.1, "sequential": 2.1}
    assert resident_gb(LARGE["vbvr_wan2.2"]) == pytest.approx(stated, abs=0.05)


@pytest.mark.parametrize(
    ("name", "memory", "message"),
    [
        ("wan2.2_ti2v_5b", 20, r"20 GB for 24\.2 GB of weights, offload none; accepted: placement\.offload model"),
        (
            "wan2.2_i2v_a14b",
            24,
            r"24 GB for 29\.1 GB of weights, offload model; accepted: .*sequential",
        ),
        # With a fifth left for activations they would not fit.
        ("wan2.2_i2v_a14b", 36, r"36 GB for 29\.1 GB of weights, offload model; accepted: .*sequential"),
        ("wan2.2_i2v_a14b", 0.1, r"accepted: at least 2\.63 GB"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_what_would(name, memory, message):
    check_memory(LARGE[name], 80)
    with pytest.raises(Refused, match=message):
        check_memory(LARGE[name], memory)


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
@pytest.mark.parametrize("form", ["single", "two_networks", "ti2v"])
def test_a_tiny_pipeline_of_each_form_runs_in_bfloat16_where_its_entry_puts_it(form, scheduler, build_pipeline):
    model = entry(form, vae_tiling=True)
    pipe = build_pipeline(form, scheduler)
    with pytest.raises(Refused, match=r"placement\.dtype: given float32; accepted: a pipeline in bfloat16"):
        place(pipe, model)
    for part in (pipe.text_encoder, pipe.transformer, pipe.transformer_2, pipe.image_encoder):
        if part is not None:
            part.to(torch.bfloat16)
    place(pipe, model)
    key = "flow_shift" if scheduler == "unipc" else "shift"
    assert pipe.scheduler.config[key] == model["shift"] and pipe.config.boundary_ratio == model.get("boundary")
    assert pipe.vae.use_tiling and pipe.vae.dtype == torch.float32
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    latents = sample(pipe, [Stream("a", image, "solve the maze", 1)], "joint", 3, **SHAPE)
    assert latents.isfinite().all() and decode(pipe, latents).shape == (1, 9, 32, 32, 3)


def test_nothing_is_offloaded_from_a_cpu(build_pipeline):
    with pytest.raises(Refused, match=r"placement\.offload: given model; accepted: none on a CPU"):
        place(build_pipeline("ti2v"), entry("ti2v", offload="model", dtype="float32"))


def test_a_job_opens_each_part_in_its_own_precision(build_pipeline, tmp_path):
    model = save_model(build_pipeline("single"), tmp_path, "single", "float32") | {
        "placement": {
            "dtype": "bfloat16",
            "dtypes": {"image_encoder": "float32", "text_encoder": "float32", "vae": "bfloat16"},
            "offload": "none",
            "vae_tiling": False,
            "vae_slicing": True,
        }
    }
    with opened(model) as pipe:
        assert pipe.transformer.dtype == pipe.vae.dtype == torch.bfloat16 and pipe.vae.use_slicing
        assert pipe.image_encoder.dtype == pipe.text_encoder.dtype == torch.float32
        image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        latents = sample(pipe, [Stream("a", image, "solve the maze", seed) for seed in (1, 2)], "joint", 2, **SHAPE)
        assert latents.isfinite().all() and decode(pipe, latents).shape == (2, 9, 32, 32, 3)


@pytest.mark.parametrize("form", ["single", "two_networks", "ti2v"])
def test_a_folder_is_held_to_the_entry_that_names_it(build_pipeline, tmp_path, form):
    """A cache may hold another commit, or another model under the same name."""
    model = save_model(build_pipeline(form), tmp_path, form, "float32")
    check_entry(model)
    other = {"single": "two_networks", "two_networks": "single", "ti2v": "single"}[form]
    field = "expand_timesteps" if form == "ti2v" else "networks"
    for changed, message in (
        ({"hub": model["hub"] | {"commit": "b" * 40}}, r"hub\.json: origin: given .*; accepted: .*bbbb"),
        ({"lora": {"path": tmp_path, "repository": "lab/lora", "commit": "c" * 40}}, r"accepted: .*lab/lora"),
        ({"form": other}, rf"model_index\.json: {field}: given .*, of form {other}$"),
        *([({"max_sequence_length": 20}, r"max_sequence_length: given 20; accepted: 512")] if form == "single" else []),
    ):
        with pytest.raises(Refused, match=message):
            check_entry(model | changed)
        with pytest.raises(Refused, match=message), opened(model | changed):
            pytest.fail("was opened")
    local = {key: value for key, value in model.items() if key not in ("hub", "form")}
    check_entry(local)
    if form == "single":  # beside an image encoder
        with pytest.raises(Refused, match=rf"{tmp_path}: max_sequence_length: given 20; accepted: 512, since "):
            check_entry(local | {"max_sequence_length": 20})
    (tmp_path / ORIGIN).unlink()
    with pytest.raises(Refused, match=r"hub\.json: origin: given None"):
        check_entry(model)


def test_latents_are_normalised_where_they_lie(build_pipeline):
    """On a device that is not the CPU; nothing is computed."""
    vae = build_pipeline("two_networks").vae
    with FakeTensorMode():
        latents = torch.empty(1, vae.config.z_dim, 3, 4, 4, device="cuda", dtype=torch.bfloat16)
        made = normalise(latents, vae)
    assert (made.device.type, made.dtype, made.shape) == ("cuda", torch.bfloat16, latents.shape)


def test_slices_are_decoded_to_the_same_pictures(build_pipeline):
    pipe, latents = build_pipeline("two_networks"), torch.randn(3, 16, 3, 4, 4)
    whole = decode(pipe, latents).astype(int)
    pipe.vae.enable_slicing()
    assert np.abs(decode(pipe, latents) - whole).max() <= 1
