"""Cases of a bench: chosen, resized, intervened in on every form, and what is estimated of them and what is not."""

from __future__ import annotations

import copy
import re
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from snakemake.iocontainers import Namedlist

from chainofsteps import datasets, doors
from chainofsteps.configuration import load_yaml
from chainofsteps.experiments.bench import PLANTED, fewer_frames_and_steps, intervene
from chainofsteps.models.prompts import check_prompts
from chainofsteps.readout.bench import bench_features, finished_videos, video_agreement
from chainofsteps.readout.motion_energy import SETTLED
from chainofsteps.refusal import Refused
from chainofsteps.sampling.trajectories import sample_trajectories
from chainofsteps.statistics import bench as estimated
from chainofsteps.videos import bench_cases
from chainofsteps.videos.files import read_video
from chainofsteps.videos.vbvr import index_tree
from tests.bench import COUNT, TASKS, write_bench
from tests.scripts import Job, save_model

ROOT = Path(__file__).parents[2]
FORMS = ("single", "two_networks", "ti2v")
MODEL = {"frames": 9, "height": 32, "width": 32, "guidance_scale": 1.0, "negative_prompt": ""}
MODEL |= {"max_sequence_length": 512}
ERASURE = {
    "order": "joint",
    "steps": 2,
    "kinds": ["erase"],
    "at_steps": [0, 1],
    "at_frames": [1],
    "cells": {"kinds": ["erase"], "steps": [0, 1], "frames": [1, 2]},
    "doses": {"counts": [], "sets": 1, "kinds": []},
    "seed": 0,
}
GRID = (8, 8)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small bench."""
    return write_bench(tmp_path_factory.mktemp("bench") / "VBVR-Bench")


@pytest.fixture(scope="module")
def cases(root):
    """All of its cases, of the worlds' size."""
    return datasets.finished(bench_cases.model_cases(root, index_tree(root), 32, 32), "bench_cases")


@pytest.mark.parametrize("tasks", [[], [next(iter(TASKS)).split("/")[1]]], ids=["all", "one"])
def test_fewer_cases_than_asked_are_refused(root, tasks):
    index = index_tree(root)
    bench_cases.choose_cases(index, tasks, COUNT)
    with pytest.raises(Refused, match=rf"bench\.count: given {COUNT + 1}; accepted: at most {COUNT}: all of .+/.+"):
        bench_cases.choose_cases(index, tasks, COUNT + 1)


def truth_of(root, cases):
    return lambda case_id: bench_cases.ground_truth(root, cases, case_id, MODEL["frames"])


# Room


@pytest.mark.parametrize(
    ("order", "chosen", "pictures"),
    [
        ("joint", {}, 2 * 9),
        ("frame_by_frame", {}, 16 * 9),
        ("frame_by_frame", {"decoded_steps": [0, 3], "decoded_frames": [0, 4]}, 3 * 2 + 9),
    ],
)
def test_streams_that_do_not_fit_on_the_disk_are_refused_before_they_are_sampled(
    tmp_path, cases, root, build_pipeline, monkeypatch, order, chosen, pictures
):
    datasets.write(cases, tmp_path / "cases.nc", "bench_cases")
    model = save_model(build_pipeline("ti2v"), tmp_path / "model", "ti2v", "float32") | {"max_sequence_length": 512}
    params = {"model": model, "seeds": [0, 1], "batch": 4, "root": str(root), "grid": GRID, "name": "tiny"}
    params["experiment"] = {"order": order, "steps": 2, **chosen}
    inputs = {"cases": [str(tmp_path / "cases.nc")], "weights": [model["path"] + "/SHA256SUMS"], "modules": []}
    job = Job("sample_bench", tmp_path, "features.nc", inputs, params, {"sampled": "joint"})
    job.output = Namedlist(fromdict={"features": str(job.path), "videos": str(tmp_path / "videos")})
    needed = 4 * pictures * 32 * 32 * 3
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(needed - 1))
    with pytest.raises(SystemExit, match=rf"refused: .*: disk: given .*; accepted: at least {needed / 1e9:.3g} GB"):
        job.run()
    assert not job.path.exists() and not list(job.parts.rglob("*.nc"))
    if order == "joint" or chosen:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(needed))
        features = datasets.read(job.run(), "bench_features")
        assert features.sizes["case"] == cases.sizes["case"]
        assert features["step"].values.tolist() == ([0, 3, 15] if chosen else [0, 1])
        assert features["frame"].values.tolist() == chosen.get("decoded_frames", [*range(9)])
        # What scorers get is whole.
        films = [*(tmp_path / "videos").rglob("*.mp4")]
        assert {len(read_video(film)[0]) for film in films} == {9} and len(films) == 2 * features.sizes["case"]


# Cases


def test_cases_are_chosen_by_task_and_number(root):
    index = index_tree(root)
    assert bench_cases.choose_cases(index, [], COUNT).sizes["case"] == COUNT * len(TASKS)
    assert bench_cases.choose_cases(index, [], 1)["task"].values.tolist() == sorted(
        (task.split("/")[1] for task in TASKS), key=lambda name: name.startswith("O")
    )
    task = index["task"].values[-1]
    assert set(bench_cases.choose_cases(index, [task], COUNT)["task"].values) == {task}
    with pytest.raises(Refused, match=r"bench\.tasks: given 'O-1'"):
        bench_cases.choose_cases(index, ["O-1"], 1)


def test_a_ground_truth_of_fewer_frames_than_latent_frames_is_refused(root):
    index = index_tree(root).isel(case=[0, 1])
    index["frames"][1] = 2
    bench_cases.check_lengths(root, index, 2)
    with pytest.raises(Refused, match=r"00001/ground_truth\.mp4: frames: given 2; accepted: at least 3, the model"):
        bench_cases.check_lengths(root, index, 3)


def test_a_seed_is_of_the_name_and_fits(cases):
    seeds = cases["case_seed"].values
    assert len(set(seeds)) == len(seeds) and (seeds >= 0).all()
    assert (
        bench_cases.case_seed("a/b/00000") == bench_cases.case_seed("a/b/00000") != bench_cases.case_seed("a/b/00001")
    )


def test_pictures_are_means_of_areas(cases):
    picture = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    assert (bench_cases.resized(picture.repeat(4, 1).repeat(4, 2), 4, 6) == picture).all()
    assert bench_cases.resized(picture, 8, 16).shape == (2, 8, 16, 3)
    assert bench_cases.in_frames(np.arange(33), 9).tolist() == list(range(0, 33, 4))


def test_a_case_that_changed_since_is_refused(tmp_path):
    root = write_bench(tmp_path / "VBVR-Bench")
    cases = bench_cases.model_cases(root, index_tree(root), 32, 32)
    next(root.rglob("prompt.txt")).write_text("other words")
    with pytest.raises(Refused, match=r"digest: given .* as when the cases were read"):
        for case_id in cases["case"].values:
            bench_cases.ground_truth(root, cases, case_id, 9)


def test_prompts_are_held_to_the_tokenizer():
    folder = ROOT / "resources/models/mini"
    check_prompts(folder, {"a": "walk to the red cell"}, 20)
    for prompt, length, words in (("walk " * 30, 20, "31 tokens"), ("walk to", 2, "3 tokens"), (" ", 20, "nothing")):
        with pytest.raises(Refused, match=f"case a: prompt: given {words}"):
            check_prompts(folder, {"a": prompt}, length)
    check_prompts(folder, {"a": "walk"}, 5, negative="blur")
    with pytest.raises(Refused, match=r"config/models\.yaml: negative_prompt: given 31 tokens; accepted: at most 20"):
        check_prompts(folder, {"a": "walk"}, 20, negative="blur " * 30)
    with pytest.raises(Refused, match="tokenizer: given"):
        check_prompts(ROOT / "docs", {"a": "walk"}, 20)


# The door


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model": "none"}, r"bench\.model: given 'none'"),
        ({"erasure": ERASURE | {"at_steps": [2]}}, r"bench\.erasure\.at_steps: given 2; accepted: 0 to 1"),
        ({"erasure": ERASURE | {"at_frames": [9]}}, r"bench\.erasure\.at_frames: given 9; accepted: 1 to 8"),
        ({"plant": {"at_steps": [8], "at_frames": [3]}}, r"bench\.plant\.at_steps: given 8; accepted: 1 to 7"),
        ({"plant": {"at_steps": [1], "at_frames": [9]}}, r"bench\.plant\.at_frames: given 9; accepted: 1 to 8"),
        ({"orders": {"orders": {"joint": [1]}, "frames": [9]}}, r"bench\.orders\.frames: given 9; accepted: 2 to 8"),
        (
            {"experiments": {"turns": {"order": "frame_by_frame", "steps": 4, "decoded_steps": [0, 31, 32]}}},
            r"bench\.experiments\.turns\.decoded_steps: given 32; accepted: 0 to 31",
        ),
        *(
            (
                {"experiments": {"few": {"order": "joint", "steps": 4, "decoded_frames": frames}}},
                rf"bench\.experiments\.few\.decoded_frames: given {re.escape(str(frames))}; accepted: 0 and at least "
                "one of 1 to 8, ascending",
            )
            for frames in ([0, 9], [0], [], [1, 2], [0, 4, 4], [0, 5, 4])
        ),
        ({"grid": [33, 8]}, r"bench\.grid: given 33; accepted: at most 32"),
        (
            {"model": "vbvr_wan2.2", "experiments": {"turns": {"order": "pyramid", "steps": 4}}},
            r"bench\.experiments\.turns\.order: given pyramid; accepted: joint",
        ),
        (
            {"model": "vbvr_wan2.2", "orders": {"orders": {"joint": [1]}, "frames": [6]}},
            r"bench\.orders\.frames: given 6; accepted: 1 \+ a multiple of 4",
        ),
    ],
)
def test_settings_that_the_model_cannot_take(change, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    bench, models = load_yaml("config/config.yaml")["bench"], load_yaml("config/models.yaml")
    for name in models:
        doors.check_bench(bench | {"model": name}, models, "config.yaml")
    with pytest.raises(Refused, match=rf"^config\.yaml: {line}"):
        doors.check_bench(bench | change, models, "config.yaml")


# Experiments


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_intervened_in(tiny_pipeline, root, cases, form):
    settings = {"erasure": copy.deepcopy(ERASURE), "plant": {"at_steps": [1], "at_frames": [1]}}
    some, pipe = cases.isel(case=slice(2)), tiny_pipeline(form)
    made = intervene(pipe, some, MODEL, settings, [0, 1], 8, truth_of(root, cases), GRID)
    made.attrs |= dict.fromkeys(("kind", "boundary", "model_id", "model_revision", "scheduler", "dtype"), "x")
    made.attrs["experiment"] = "bench_interventions"
    made = datasets.check(datasets.finished(made, "bench_interventions"), "bench_interventions", "made")
    assert made.sizes["seed"] == 2 and (made["frame_change"].isel(arm=0) == 0).all()
    assert (made["others_lost"].isel(arm=0) == 0).all()
    planted = made["side"].isel(arm=(made["scope"] == PLANTED).values)
    assert planted.min() == -1 and planted.max() == 1 and not made["side"].isel(arm=0).any()
    # The same again: nothing is drawn but by seeds.
    again = intervene(pipe, some, MODEL, settings, [0, 1], 8, truth_of(root, cases), GRID)
    assert all((again[name].values == made[name].values).all() for name in made.data_vars)


def test_fewer_steps_and_frames_are_held_against_the_beginning(tiny_pipeline, root, cases):
    settings = {"orders": {"joint": [1, 2]}, "frames": [5]}
    some = cases.isel(case=slice(1))
    made = fewer_frames_and_steps(tiny_pipeline("ti2v"), some, MODEL, settings, [0], 8, truth_of(root, cases), GRID)
    assert made["steps"].values.tolist() == [2, 1, 2] and made["frames_made"].values.tolist() == [9, 9, 5]
    assert made["agreement"].isel(arm=0).item() == made["clean_begins"].isel(arm=0).item()
    assert made["clean_begins"].isel(arm=2) != made["clean_begins"].isel(arm=0)


# Estimands


@pytest.fixture(scope="module")
def sampled(tiny_pipeline, root, cases):
    """Features of two orders."""
    features = {}
    for order, steps in (("joint", 2), ("frame_by_frame", 1)):
        given = {"order": order, "steps": steps}
        made = sample_trajectories(tiny_pipeline("ti2v"), cases, MODEL, given, [0], 8)
        truths = [truth_of(root, cases)(case_id) for case_id in cases["case"].values]
        features[order] = bench_features(made, truths, *GRID).assign_attrs(experiment=order, order=order)
    return features


def at_chosen_steps(pipe, root, cases, order, steps, chosen):
    """Features of every step, and those where only chosen steps are decoded."""
    made = []
    for decoded in ({}, {"decoded_steps": chosen}):
        sampled = sample_trajectories(pipe, cases, MODEL, {"order": order, "steps": steps} | decoded, [0, 1], 3)
        truths = [truth_of(root, cases)(case_id) for case_id in cases["case"].values]
        features = bench_features(sampled, truths, *GRID)
        features.attrs |= dict.fromkeys(("model_id", "model_revision"), "x") | {"experiment": order}
        made.append(datasets.check(datasets.finished(features, "bench_features"), "bench_features", "made"))
    return made


@pytest.mark.parametrize(
    ("form", "order", "steps", "chosen"),
    [("two_networks", "joint", 5, [0, 2]), ("ti2v", "joint", 4, [1, 3]), ("ti2v", "frame_by_frame", 2, [0, 1, 5])],
)
def test_features_at_chosen_steps_are_those_of_a_run_that_decodes_all(
    tiny_pipeline, root, cases, form, order, steps, chosen
):
    every, some = at_chosen_steps(tiny_pipeline(form), root, cases.isel(case=slice(2)), order, steps, chosen)
    assert some["step"].values.tolist() == sorted({*chosen, every.sizes["step"] - 1})
    gone = "commitment_step"
    xr.testing.assert_equal(some.drop_vars(gone), every.sel(step=some["step"]).drop_vars(gone))
    # A frame commits at the first decoded step from which its commitment stays, by the number of that step.
    settled = some["commitment"] >= SETTLED
    stays = settled.isel(step=slice(None, None, -1)).cumprod("step").isel(step=slice(None, None, -1))
    first = some["step"].values[stays.argmax("step").transpose("case", "seed", "frame").values]
    assert (some[gone].values == first).all()


@pytest.mark.parametrize(
    ("form", "order", "steps", "chosen", "frames"),
    [("two_networks", "joint", 4, [0, 2], [0, 3]), ("ti2v", "frame_by_frame", 2, [0, 5], [0, 1, 4, 8])],
)
def test_features_at_chosen_frames_are_those_of_a_run_that_decodes_all(
    tiny_pipeline, root, cases, form, order, steps, chosen, frames
):
    given, some = {"order": order, "steps": steps, "decoded_steps": chosen}, cases.isel(case=slice(2))
    truths = [truth_of(root, cases)(case_id) for case_id in some["case"].values]
    whole, few = (
        sample_trajectories(tiny_pipeline(form), some, MODEL, given | asked, [0, 1], 3)
        for asked in ({}, {"decoded_frames": frames})
    )
    assert (few["clean_estimate"].values == whole["clean_estimate"].sel(frame=frames).values).all()
    assert (finished_videos(few).values == finished_videos(whole).values).all()
    every, here = bench_features(whole, truths, *GRID), bench_features(few, truths, *GRID)
    assert here["frame"].values.tolist() == frames and here.attrs["frames_made"] == 9
    # Of each frame all is known as before; motion is between the frames that are there, also in the ground truth.
    for name in ("commitment", "candidates", "commitment_step"):
        xr.testing.assert_equal(here[name], every[name].sel(frame=frames))
    for number, truth in enumerate(truths):
        for video, agreement in zip(few["clean_estimate"][number, 1], here["agreement"][number, 1], strict=True):
            assert agreement.item() == pytest.approx(video_agreement(video.values, truth[frames], *GRID), abs=1e-6)


def test_estimands_of_chosen_frames_know_their_numbers_or_say_that_they_cannot(tiny_pipeline, root, cases):
    given = {"order": "joint", "steps": 6, "decoded_frames": [0, 2, 5, 8]}
    truths = [truth_of(root, cases)(case_id) for case_id in cases["case"].values]
    sampled = sample_trajectories(tiny_pipeline("ti2v"), cases, MODEL, given, [0], 4)
    features = bench_features(sampled, truths, *GRID).assign_attrs(experiment="few")
    # Frames in turn, of which some are seen: what a run that sees all of them gives.
    features["commitment_step"] = features["commitment_step"].astype(float)
    features["commitment_step"][...] = np.array([0, 2, 5, 8]) / 2
    assert estimated.sequentiality(features).values == pytest.approx(0.5 * 7 / 6)
    assert estimated._decoded(features) == "4 of 9 frames decoded"
    assert estimated._decoded(features.isel(step=[0, 5])) == "2 of 6 steps and 4 of 9 frames decoded"
    with pytest.raises(Refused, match="frame: given 1 free frames; accepted: at least 2 free frames"):
        estimated.sequentiality(features.isel(frame=[0, 2]))
    for name in ("E0 gain_of_agreement", "E7 candidates_fall"):
        assert np.isfinite(estimated.OF_FEATURES[name](features.isel(frame=[0, 2]))).all()


def test_estimands_of_a_run_with_gaps_know_their_steps_or_say_that_they_cannot(tiny_pipeline, root, cases):
    pipe, some = tiny_pipeline("ti2v"), cases.isel(case=slice(3))
    every, gaps = at_chosen_steps(pipe, root, some, "joint", 6, [0, 1, 4])
    for name in ("E0 gain_of_agreement", "E7 candidates_fall", "last_agreement"):
        function = estimated.OF_FEATURES[name]
        assert (function(gaps).values == function(every).values).all()
    # The slope is over the steps of the run, not over those decoded.
    gaps["commitment_step"][...] = [0, 0, 0, 1, 1, 4, 4, 5, 5]
    slope = np.polyfit(np.arange(8), [0, 0, 1, 1, 4, 4, 5, 5], 1)[0]
    assert estimated.sequentiality(gaps).values == pytest.approx(slope * 7 / 6)
    _, late = at_chosen_steps(pipe, root, some, "joint", 6, [2, 4])
    for name, function in estimated.OF_FEATURES.items():
        if name in ("E7 candidates_last", "last_agreement"):
            assert (function(late).values == function(every).values).all()
        else:
            with pytest.raises(Refused, match=r"decoded_steps: given 2 and later: not defined .*; accepted: 0 among"):
                function(late)
    assert [estimated._decoded(each) for each in (every, late)] == ["", "3 of 6 steps decoded"]


def planted_dataset(later, earlier, base=0.0):
    """Two arms at frame 4 of 9, the ground truth planted and not; what frames after and before it agree in."""
    side = np.sign(np.arange(9) - 4)
    agreement = np.where(side > 0, later, np.where(side < 0, earlier, 1.0))
    frames = np.stack([agreement, np.full(9, base)])[None, None].repeat(3, 0)
    return xr.Dataset(
        {
            "side": (("arm", "frame"), np.stack([side, side]).astype(np.int8)),
            "frame_agreement": (("case", "seed", "arm", "frame"), frames),
            "kind": ("arm", ["plant", "resample"]),
            "scope": ("arm", [PLANTED, PLANTED]),
        },
        coords={"case": ["a", "b", "c"], "frame": np.arange(9)},
    )


def test_a_plant_leads_where_later_frames_alone_follow():
    assert estimated.planted_lead(planted_dataset(1, 0)).values.tolist() == [1, 1, 1]
    assert estimated.planted_lead(planted_dataset(0.7, 0.7, 0.5)).values == pytest.approx(0)
    with pytest.raises(Refused, match="none with free frames on both sides"):
        estimated.planted_lead(planted_dataset(1, 0).isel(frame=slice(4, None)))


def test_the_table_says_of_every_estimand_a_number_or_a_reason(tiny_pipeline, root, cases, sampled):
    settings = {"erasure": ERASURE | {"steps": 2}, "plant": {"at_steps": [1], "at_frames": [2]}}
    pipe, truth = tiny_pipeline("ti2v"), truth_of(root, cases)
    made = intervene(pipe, cases, MODEL, settings, [0], 8, truth, GRID)
    orders = fewer_frames_and_steps(
        pipe, cases, MODEL, {"orders": {"joint": [1, 2]}, "frames": [5]}, [0], 8, truth, GRID
    )
    table = estimated.bench_table(sampled, made, orders, 200, 0)
    means = table[table["case"] == estimated.ALL]
    assert (means["reason"].notna() | means["ci_low"].notna()).all()
    assert set(means["estimand"]) >= set(estimated.UNDEFINED)
    turns = means[means["experiment"] == "frame_by_frame"].set_index("estimand")
    assert "wait for their turn" in turns.loc["E0 gain_of_agreement", "reason"]
    joint = table[(table["estimand"] == "E0 gain_of_agreement") & (table["experiment"] == "joint")]
    rows = joint[joint["case"] != estimated.ALL]
    agreement = sampled["joint"]["agreement"].isel(seed=0)
    assert rows["value"].values == pytest.approx((agreement.isel(step=-1) - agreement.isel(step=0)).values)
    few = estimated.bench_table({}, made.isel(case=slice(2)), orders.isel(case=slice(2)), 200, 0)
    assert few.loc[few["case"] == estimated.ALL, "reason"].notna().all()
