"""Large models by their entries: what they take, and how a pipeline of their form is laid out; on tiny ones here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from chainofsteps.configuration import load_yaml
from chainofsteps.models.placement import place, plan_run, weight_bytes
from chainofsteps.refusal import Refused
from chainofsteps.sampling.decode import decode
from chainofsteps.sampling.loop import Stream, sample

MODELS = load_yaml(Path(__file__).parents[2] / "config/models.yaml")
LARGE = {name: model for name, model in MODELS.items() if "hub" in model}
SHAPE = {"frames": 9, "height": 32, "width": 32, "guidance_scale": 2.0}


def entry(form, **placement):
    (name, *_) = (name for name, model in LARGE.items() if model["form"] == form)
    model = LARGE[name]
    return model | {"placement": model["placement"] | {"offload": "none"} | placement}


def test_every_form_has_an_entry_and_each_is_pinned_but_the_one_that_was_not_found():
    assert {model["form"] for model in LARGE.values()} == {"single", "two_networks", "ti2v"}
    assert [name for name, model in LARGE.items() if "commit" not in model["hub"]] == ["vbvr_wan2.2"]


def test_weights_in_bfloat16_with_the_vae_in_float32():
    model = LARGE["wan2.2_i2v_a14b"]
    weights = weight_bytes(model)
    assert weights["transformer"] == 2 * model["parameters"]["transformer"]
    assert weights["vae"] == 4 * model["parameters"]["vae"]
    # 28 GB a network, as diffusers' documentation says of 14 billion numbers in half precision.
    assert 28e9 < weights["transformer"] < 29e9


def test_a_plan_counts_evaluations_hours_and_disk():
    plan = plan_run(LARGE["vbvr_wan2.2"], streams=500 * 3, decoded_steps=1, seconds_per_evaluation=3.0)
    assert plan.evaluations == 500 * 3 * 50 * 2 and plan.hours == pytest.approx(125)
    assert plan.memory_gb == pytest.approx(28.6, abs=0.1)
    latents, pictures = 4 * 16 * 21 * 60 * 104, 81 * 480 * 832 * 3
    assert plan.disk_gb == pytest.approx(1500 * (latents + pictures) / 1e9)


@pytest.mark.parametrize(
    ("name", "memory", "message"),
    [
        ("wan2.2_ti2v_5b", 16, r"16 GB for 24\.2 GB of weights, offload none; accepted: placement\.offload model"),
        (
            "wan2.2_i2v_a14b",
            24,
            r"24 GB for 28\.6 GB of weights, offload model; accepted: .*sequential",
        ),
        ("wan2.2_i2v_a14b", 0.1, r"accepted: at least 2\.1 GB"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_what_would(name, memory, message):
    plan_run(LARGE[name], 1, 1, 1.0, memory_gb=80)
    with pytest.raises(Refused, match=message):
        plan_run(LARGE[name], 1, 1, 1.0, memory_gb=memory)


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
