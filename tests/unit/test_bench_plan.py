"""What a bench takes is known from an entry, and is what the run takes: counted on tiny pipelines of all forms."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from snakemake.utils import update_config

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.experiments.bench import fewer_frames_and_steps, intervene
from chainofsteps.experiments.bench_plan import TOTAL, activations_gb, count_cases, describe, plan_bench
from chainofsteps.models.check import outline
from chainofsteps.models.placement import resident_gb
from chainofsteps.readout.bench import bench_features
from chainofsteps.refusal import Refused
from chainofsteps.sampling.loop import prepare_order
from chainofsteps.sampling.trajectories import sample_trajectories
from tests.scripts import save_model

ROOT = Path(__file__).parents[2]
MODELS = load_yaml(ROOT / "config/models.yaml")
BENCH = load_yaml(ROOT / "config/config.yaml")["bench"]
GRID = (4, 4)
SMALL = BENCH | {
    "count": 1,
    "tasks": ["one"],
    "seeds": [0, 3],
    "experiments": {"joint": {"order": "joint", "steps": 3}},
    "erasure": {
        "order": "joint",
        "steps": 3,
        "kinds": ["erase", "replace"],
        "at_steps": [0, 2],
        "at_frames": [1],
        "cells": {"kinds": ["erase"], "steps": [1], "frames": [1, 2]},
        "doses": {"counts": [2], "sets": 1, "kinds": ["erase"]},
        "seed": 0,
    },
    "plant": {"at_steps": [1, 2], "at_frames": [1, 2]},
    "orders": {"orders": {"joint": [1, 3]}, "frames": [5]},
}


def bench(**changes):
    return BENCH | changes


def laid_over(*overlays):
    """``bench`` of the configuration with others laid over it, as Snakemake does."""
    config = load_yaml(ROOT / "config/config.yaml")
    for overlay in overlays:
        update_config(config, {"bench": overlay})
    return config["bench"]


@pytest.fixture
def case():
    """One case of a bench, of noise."""
    rng = np.random.default_rng(0)
    made = xr.Dataset(
        {
            "case_seed": ("case", [7]),
            "difficulty": ("case", np.array([1])),
            "prompt": ("case", np.array(["solve the maze"], object)),
            "first_frame": (("case", "y", "x", "channel"), rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)),
        },
        coords={"case": np.array(["a"], object)},
    )
    return made.assign_attrs(datasets.attributes("a", family="vbvr", purpose="pilot"))


class Counted:
    """Counts the states that go through a pipeline's networks, and the videos that its VAE decodes."""

    def __init__(self, pipe):
        self.evaluations, self.decoded = 0, 0
        for network in filter(None, (pipe.transformer, pipe.transformer_2)):
            network.register_forward_pre_hook(self._evaluate, with_kwargs=True)
        self._decode, pipe.vae.decode = pipe.vae.decode, self._count

    def _evaluate(self, _, __, given):
        self.evaluations += len(given["hidden_states"])

    def _count(self, latents, **given):
        self.decoded += len(latents)
        return self._decode(latents, **given)

    def taken(self):
        """Both numbers since they were last asked for."""
        taken = self.evaluations, self.decoded
        self.evaluations = self.decoded = 0
        return taken


@pytest.mark.parametrize("form", ["single", "two_networks", "ti2v"])
def test_the_plan_counts_what_the_run_makes(form, build_pipeline, tmp_path, case):
    pipe = build_pipeline(form)
    model = save_model(pipe, tmp_path, form, "float32")
    del model["hub"]  # tiny pipelines have factors of their own
    plan, counted, truth = plan_bench(model, SMALL), Counted(pipe), np.zeros((9, 32, 32, 3), np.uint8)
    seeds, batch = SMALL["seeds"], 4
    sampled = sample_trajectories(pipe, case, model, SMALL["experiments"]["joint"], seeds, batch)
    made = {"features_joint": (counted.taken(), bench_features(sampled, [truth], *GRID))}
    for name, act, settings in (
        ("interventions", intervene, {kind: SMALL[kind] for kind in ("erasure", "plant")}),
        ("orders", fewer_frames_and_steps, SMALL["orders"]),
    ):
        outcome = act(pipe, case, model, settings, seeds, batch, lambda _: truth, GRID)
        made[name] = counted.taken(), outcome
    for name, ((evaluations, decoded), dataset) in made.items():
        row = plan.loc[name]
        assert row["evaluations"] == evaluations > 0
        # The VAE of the tiny ti2v form takes frames one by one, and not twice.
        assert form == "ti2v" or row["decoded"] == decoded > 0
        assert dataset.nbytes <= row["kept_gb"] * 1e9
    assert sampled["clean_estimate"].nbytes == round(plan.loc["features_joint", "scratch_gb"] * 1e9)
    assert (plan.loc[TOTAL] == plan.drop(TOTAL).sum()).all() and "fetch" not in plan.index


@pytest.mark.parametrize(
    ("chosen", "latent_frames"),
    [({"decoded_frames": [0, 4]}, 2), ({"decoded_frames": [0, 5], "decoded_steps": [0]}, 3)],
)
def test_the_plan_counts_what_chosen_frames_take(build_pipeline, tmp_path, case, monkeypatch, chosen, latent_frames):
    pipe, counted = build_pipeline("two_networks"), []
    model = save_model(pipe, tmp_path, "two_networks", "float32")
    del model["hub"]
    undisturbed = pipe.vae.decode

    def count(latents, **given):
        counted.append(latents.shape[0] * latents.shape[2])
        return undisturbed(latents, **given)

    monkeypatch.setattr(pipe.vae, "decode", count)
    asked = SMALL | {"experiments": {"few": {"order": "joint", "steps": 3} | chosen}}
    sampled = sample_trajectories(pipe, case, model, asked["experiments"]["few"], asked["seeds"], 4)
    row, steps = plan_bench(model, asked).loc["features_few"], sampled.sizes["step"]
    # Of the last step, which is the video, all three latent frames.
    assert sum(counted) == 2 * ((steps - 1) * latent_frames + 3)
    assert row["decoded"] == np.ceil(sum(counted) / 3)
    assert round(row["scratch_gb"] * 1e9) == sampled["clean_estimate"].nbytes + sampled["finished_video"].nbytes


@pytest.mark.parametrize("form", ["single", "two_networks"])
def test_an_entry_of_the_hub_gives_the_timetable_that_its_form_has(form, tiny_pipeline):
    model = next(model for model in MODELS.values() if model.get("form") == form)
    shape = {"frames": 81, "height": 480, "width": 832}
    planned, run = (prepare_order(pipe, "joint", 5, **shape) for pipe in (outline(model), tiny_pipeline(form)))
    assert (planned.active == run.active).all() and (planned.step_index == run.step_index).all()


def test_a_large_model_is_planned_with_nothing_fetched():
    model, asked = MODELS["vbvr_wan2.2"], bench(model="vbvr_wan2.2")
    plan = plan_bench(model, asked)
    assert count_cases(asked) == 500
    assert plan.loc["features_joint", ["evaluations", "decoded"]].tolist() == [500 * 20 * 2, 500 * 20]
    assert plan.loc["features_joint", "scratch_gb"] == pytest.approx(4 * 20 * 81 * 480 * 832 * 3 / 1e9)
    assert plan.loc["fetch", "kept_gb"] == 126.2
    rates = asked["plan"]
    seconds = plan["evaluations"] * rates["seconds_per_evaluation"] + plan["decoded"] * rates["seconds_per_video"]
    assert (plan["hours"] == seconds / 3600).all()
    twice = plan_bench(model, asked | {"seeds": [0, 1], "tasks": ["a", "b"]})
    assert (twice.loc[["features_joint", "interventions", "orders"], "evaluations"] * 25).equals(
        plan.loc[["features_joint", "interventions", "orders"], "evaluations"]
    )
    unguided = plan_bench(model | {"guidance_scale": 1.0}, asked)
    assert unguided.loc[TOTAL, "evaluations"] * 2 == plan.loc[TOTAL, "evaluations"]
    cases, weights, held = describe(model, asked)
    assert "500 cases" in cases and "69.0 GB with offload none, 29.1 GB with offload model, 2.1 GB" in weights
    assert re.search(r"batch 4: text_encoder .* GB, transformer .* GB, vae .* GB$", held)
    assert "not known" in describe(MODELS["vbvr_wan2.2_lora"], asked)[-1]


@pytest.mark.parametrize("order", ["frame_by_frame", "pyramid"])
def test_frames_in_turn_are_planned_where_the_form_takes_them(order):
    asked = bench(batch=2, experiments={"turns": {"order": order, "steps": 4}})  # four videos would not fit
    steps = {"frame_by_frame": 30 * 4, "pyramid": 4 + 31 - 2}[order]
    assert plan_bench(MODELS["wan2.2_ti2v_5b"], asked).loc["features_turns", "evaluations"] == 500 * steps * 2
    with pytest.raises(Refused, match="accepted: joint"):
        plan_bench(MODELS["vbvr_wan2.2"], asked)


def test_weights_that_do_not_fit_are_refused_before_anything_is_fetched():
    asked = bench(plan=BENCH["plan"] | {"memory_gb": 24})
    with pytest.raises(Refused, match=r"24 GB for 29\.1 GB of weights, offload model; accepted: .*sequential"):
        plan_bench(MODELS["vbvr_wan2.2"], asked)


def test_what_parts_hold_beside_the_weights_must_fit_too():
    model = MODELS["wan2.2_i2v_a14b"]
    one, four = activations_gb(model, 1), activations_gb(model, 4)
    assert [four[part] / one[part] for part in ("text_encoder", "transformer", "vae")] == pytest.approx([1, 4, 4])
    tiled, sliced = (model | {"placement": model["placement"] | {name: True}} for name in ("vae_tiling", "vae_slicing"))
    assert activations_gb(tiled, 1)["vae"] < one["vae"] == activations_gb(sliced, 1)["vae"]
    assert activations_gb(sliced, 4)["vae"] == pytest.approx(9.37, abs=0.05)  # counted, four videos of A14B
    plan = BENCH["plan"] | {"memory_gb": 40}
    plan_bench(model, bench(batch=1, plan=plan))
    message = rf"40 GB for 29\.1 GB of weights, offload model, and {four['vae']:.3g} GB in the vae; accepted: at least"
    with pytest.raises(Refused, match=message):
        plan_bench(model, bench(batch=4, plan=plan))
    unknown = {key: value for key, value in model.items() if key != "activations_gb"}
    plan_bench(unknown, bench(batch=4, plan=plan))
    assert describe(unknown, bench(plan=plan))[-1].endswith("batch 4: not known")


def test_entries_say_what_was_counted():
    """`benchmarks/activations.py` counts; of VBVR-Wan2.2 it is taken over from its base."""
    counted = pd.read_csv(ROOT / "benchmarks/activations.csv").set_index(["model", "what"])["gb"]
    for name, model in MODELS.items():
        if "hub" in model:
            of = counted["wan2.2_i2v_a14b" if name.startswith("vbvr") else name]
            whole, tiles = (max(of[f"video {done}coded{how}"] for done in ("en", "de")) for how in ("", " in tiles"))
            parts = {"transformer": of["one evaluation"], "text_encoder": of["a prompt"]}
            assert model["activations_gb"] == pytest.approx(parts | {"vae": whole, "vae_in_tiles": tiles}, rel=0.02)


def test_the_guide_says_what_the_plan_says():
    guide, page = ((ROOT / "docs" / name).read_text() for name in ("large_models.md", "vbvr.md"))
    _, _, guide = guide.partition("## What it takes")
    mine = yaml.safe_load(re.search(r"```yaml\n(# my\.yaml.*?)```", page, re.DOTALL)[1])["bench"]
    every = {"tasks": []}
    asked = [
        laid_over(mine),
        laid_over(mine, every),
        laid_over(mine, every | {"seeds": [0, 1, 2]}),
        laid_over({"model": mine["model"]}),
    ]
    lines = re.findall(r"^\|[^|]*(?:my\.yaml|the same|config\.yaml)[^|]*(\|.*)", guide, re.M)
    rows = [re.findall(r"[0-9.]+", line) for line in lines]
    for given, row in zip(asked, rows, strict=True):
        plan = plan_bench(MODELS[given["model"]], given)
        total = plan.loc[TOTAL]
        counts = [count_cases(given), total["evaluations"], plan.loc["interventions", "evaluations"], total["decoded"]]
        assert [int(number) for number in row[:4]] == counts
        assert [float(number) for number in row[4:]] == [
            round(total["hours"]),
            round(total["scratch_gb"], 1),
            round(total["kept_gb"], 1),
        ]
    weights, _, activations = guide.partition("Beside them, in GB")
    held, counted = (re.findall(r"^\| (wan2\S+|vbvr\S+) \|(.*)\|$", part, re.M) for part in (weights, activations))
    assert {name for name, _ in held} == {name for name in MODELS if "hub" in MODELS[name]} - {"vbvr_wan2.2_lora"}
    for name, numbers in held:
        stated = [MODELS[name]["hub"]["download_gb"], *resident_gb(MODELS[name]).values()]
        assert [float(number) for number in numbers.split("|")] == [round(number, 1) for number in stated]
    table = pd.read_csv(ROOT / "benchmarks/activations.csv").set_index(["model", "what"])["gb"]
    columns = ("one evaluation", *(f"video {done}coded{how}" for how in ("", " in tiles") for done in ("en", "de")))
    assert {name for name, _ in counted} == {name for name, _ in table.index}
    for name, numbers in counted:
        stated = [table[name][column] for column in (*columns, "a prompt")]
        assert [float(number) for number in numbers.split("|")] == pytest.approx(stated, abs=0.006)
