"""Cases of a bench go through the workflow on request; what is wrong is refused before a model is loaded."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file

from chainofsteps import datasets
from chainofsteps.models.check import write_manifest
from chainofsteps.videos.files import measure_video, read_video, write_video
from tests.bench import COUNT, TASKS, write_bench

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SMALL = {
    "results": "results/vbvr",
    "bench": {
        "count": COUNT,
        "batch": 2,
        "experiments": {
            "joint": {"order": "joint", "steps": 2, "decoded_frames": [0, 2, 5, 8]},
            "turns": {"order": "frame_by_frame", "steps": 1},
        },
        "erasure": {
            "steps": 2,
            "at_steps": [1],
            "at_frames": [2],
            "cells": {"kinds": ["erase"], "steps": [0, 1], "frames": [3, 5]},
        },
        "plant": {"at_steps": [1], "at_frames": [4]},
        "orders": {"orders": {"joint": [1, 2]}, "frames": [5]},
    },
    "statistics": {"draws": 200},
}
PATH = "results/vbvr/bench/mini"


@pytest.fixture(scope="module")
def clone(make_clone):
    """A clone with a small configuration."""
    made = make_clone("vbvr")
    (made.folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return made


@pytest.fixture
def vbvr(clone):
    """``vbvr(root, *arguments)``: run the target on the bench of a folder."""

    def run(root, *arguments):
        given = ("--configfile", "small.yaml", "--config", f"vbvr={root}", *arguments)
        return clone.snakemake("--cores", "1", *given, "--", "vbvr")

    return run


def refusals(done):
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    return {line for line in said.splitlines() if line.startswith("refused: ")}


def test_a_bench_goes_through_the_workflow(clone, vbvr, tmp_path):
    root = write_bench(tmp_path / "VBVR-Bench")
    done = vbvr(root)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = clone.folder / PATH
    cases, count = datasets.read(folder / "cases.nc", "bench_cases"), COUNT * len(TASKS)
    assert cases.sizes["case"] == count and cases["first_frame"].shape[1:3] == (32, 32)
    features = datasets.read(folder / "features_joint.nc", "bench_features")
    assert features["frame"].values.tolist() == [0, 2, 5, 8]
    # The model knows these worlds: it moves what the truth moves.
    assert features["agreement"].isel(step=-1).min() > 0.8
    erased = datasets.read(folder / "interventions.nc", "bench_interventions")
    change = erased["frame_change"]
    assert (change.isel(arm=0) == 0).all() and (change.isel(arm=slice(1, None)).max("latent_frame") > 0).all()
    assert erased.attrs["model_revision"] == features.attrs["model_revision"] != ""
    table = pd.read_csv(folder / "estimands.csv")
    means = table[table["case"] == "mean"].set_index("estimand")
    assert set(means.index.str.split().str[0]) >= {f"E{number}" for number in range(15)}
    # The same weights frame by frame are a chain by construction, and commitment must say so.
    kappa = means.loc["E1 sequentiality"].set_index("experiment")["value"]
    assert kappa["turns"] > 0.8 and abs(kappa["joint"]) < 0.4
    undefined = means[means["n"] == 0]
    assert undefined["reason"].notna().all() and undefined["value"].isna().all()
    assert (table.groupby(["estimand", "experiment", "setting"], dropna=False)["case"].nunique().max()) == count + 1
    assert (folder / "estimands.png").stat().st_size > 10_000
    # Each finished video is a file that lasts as long as its truth, and shows what the features were read from.
    case = str(cases["case"].values[0])
    film, truth = folder / f"videos_joint/{case}/0.mp4", root / case / "ground_truth.mp4"
    made, given = measure_video(film), measure_video(truth)
    assert made.frames == 9  # of which the features are of four
    assert made.frames / made.fps == pytest.approx(given.frames / given.fps)
    first = read_video(film)[0][0].astype(int)
    assert np.abs(first - cases["first_frame"].values[0]).mean() < 8
    assert not clone.planned("--configfile", "small.yaml", "--config", f"vbvr={root}", "--", "vbvr")
    assert "vbvr" not in clone.snakemake("-n", "--quiet", "host").stdout
    # In shards: the same bytes, of datasets and of videos.
    made = {path: path.read_bytes() for path in [folder / "features_joint.nc", folder / "orders.nc", film]}
    for path in made:
        path.unlink()
    given = ("--configfile", "small.yaml", "--config", f"vbvr={root}", "shards=3")
    done = clone.snakemake("--cores", "1", *given, "--", f"{PATH}/features_joint.nc", f"{PATH}/orders.nc")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.read_bytes() for path in made} == made
    assert len(list((folder / "features_joint").glob("shard_*.nc"))) == 2  # of two cases: a batch
    assert len(list((folder / "orders").glob("shard_*.nc"))) == 3


def test_scores_are_kept_beside_their_controls(clone, tmp_path):
    given = ("--configfile", "small.yaml", "--config", f"vbvr={write_bench(tmp_path / 'VBVR-Bench')}")
    done = clone.snakemake("--cores", "1", *given, "bench={tasks: [O-39_maze_data-generator]}", "--", "vbvr_scores")
    if not all(importlib.util.find_spec(name) for name in ("lmms_eval", "cv2")):
        assert refusals(done) == {
            "refused: scorers: lmms-eval: given not installed; accepted: `make scorers` (docs/vbvr.md)"
        }
        return
    assert done.returncode == 0, done.stdout + done.stderr
    scores = datasets.read(clone.folder / PATH / "scores.nc", "bench_scores")
    assert scores.attrs["scorer_version"] == "0.7.3" and scores["metric"].values.tolist() == ["task", "blend"]
    table = pd.read_csv(clone.folder / PATH / "scores.csv")
    assert set(table["experiment"]) >= {"joint", "turns", "control: static"} and table["says"].notna().all()


def test_a_bad_bench_is_refused_before_a_model_is_loaded(clone, vbvr, tmp_path):
    root = write_bench(tmp_path / "VBVR-Bench")
    case = next(root.rglob("prompt.txt")).parent
    prompt = (case / "prompt.txt").read_text()
    for text, words in ((" \n", "prompt: given 0 characters"), ("walk " * 40, "prompt: given 41 tokens")):
        (case / "prompt.txt").write_text(text)
        (line,) = refusals(vbvr(root, "results=results/refused"))
        assert words in line and case.name in line
    (case / "prompt.txt").write_text(prompt)
    truth = read_video(case / "ground_truth.mp4")[0]
    for frames, words in ((1, "at least 2"), (2, "at least 9, the model's latent frames")):
        write_video(case / "ground_truth.mp4", truth[:frames], 16)
        (line,) = refusals(vbvr(root, "results=results/refused"))
        assert f"frames: given {frames}; accepted: {words}" in line
    assert not list((clone.folder / "results/refused").rglob("features_*"))


def test_another_pipeline_is_refused_before_anything_starts(clone, vbvr, tmp_path):
    path = clone.folder / "resources/models/mini/model_index.json"
    content = path.read_text()
    path.write_text(json.dumps(json.loads(content) | {"_class_name": "LTXPipeline"}))
    (line,) = refusals(vbvr(write_bench(tmp_path / "VBVR-Bench")))
    path.write_text(content)
    assert "_class_name: given LTXPipeline; accepted: WanImageToVideoPipeline" in line


def test_a_model_of_the_hub_with_lora_weights_is_sampled(clone, tmp_path, build_pipeline):
    """From a mirror, since there is no network: a tiny bfloat16 pipeline of the paper's form, both networks updated."""
    path, mirror = clone.folder / "config/models.yaml", tmp_path / "mirror"
    models, hub = yaml.safe_load(path.read_text()), {"repository": "lab/tiny", "commit": "a" * 40}
    build_pipeline("two_networks").save_pretrained(mirror / "tiny")
    names = [f"transformer.blocks.0.attn1.to_q.lora_{each}.weight" for each in "AB"]
    files = {"transformer": "high.safetensors", "transformer_2": "low.safetensors"}
    (mirror / "tiny_lora").mkdir()
    for file in files.values():
        shapes = zip(names, ((2, 24), (24, 2)), strict=True)
        save_file({name: np.ones(shape, np.float32) for name, shape in shapes}, mirror / "tiny_lora" / file)
    for name in ("tiny", "tiny_lora"):
        (mirror / name / "hub.json").write_text(json.dumps(hub))
        write_manifest(mirror / name)
    entry = models["vbvr_wan2.2"] | {"hub": hub | {"licence": "none"}, "frames": 9, "height": 32, "width": 32}
    entry["placement"] = {"dtype": "bfloat16", "offload": "none", "vae_tiling": False}
    lora = hub | {"base": "tiny", "licence": "none", "files": files, "scale": 1.0}
    content = path.read_text()
    path.write_text(yaml.safe_dump(models | {"tiny": entry, "tiny_lora": entry | {"lora": lora}}))
    own = {"model": "tiny_lora", "count": 1, "experiments": {"joint": {"order": "joint", "steps": 4}}}
    acts = {
        "erasure": SMALL["bench"]["erasure"] | {"at_frames": [1], "cells": {"kinds": [], "steps": [], "frames": []}}
    }
    acts |= {"plant": {"at_steps": [1], "at_frames": [1]}}
    (clone.folder / "large.yaml").write_text(yaml.safe_dump(SMALL | {"bench": SMALL["bench"] | own | acts}))
    given = ("--config", f"vbvr={write_bench(tmp_path / 'VBVR-Bench')}", f"hub={{mirror: {mirror}}}")
    done = clone.snakemake("--cores", "1", "--configfile", "large.yaml", *given, "--", "vbvr")
    path.write_text(content)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = clone.folder / "results/vbvr/bench/tiny_lora"
    files = {"features_joint": "bench_features", "interventions": "bench_interventions", "orders": "bench_orders"}
    made = {name: datasets.read(folder / f"{name}.nc", schema) for name, schema in files.items()}
    assert {each.attrs["dtype"] for each in made.values()} == {"bfloat16"}
    table, features = pd.read_csv(folder / "estimands.csv"), made["features_joint"]
    assert table.loc[table["reason"].isna(), "value"].notna().all()
    assert made["interventions"]["frame_change"].isel(arm=slice(1, None)).max() > 0
    assert features.sizes["case"] == len(TASKS) and features.sizes["latent_frame"] == 3
    assert features.attrs["model_revision"] == f"{'a' * 40} + {'a' * 40} x 1"
