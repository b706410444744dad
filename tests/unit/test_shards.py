"""A killed job goes on from its finished parts and ends with the same bytes; so do shards, on every form of model."""

from __future__ import annotations

import re
import shutil
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from chainofsteps import datasets
from chainofsteps.models.check import MANIFEST
from chainofsteps.readout.cases import case_dataset
from chainofsteps.sampling.parts import Parts, shard_bounds, share_out
from chainofsteps.videos import bench_cases
from chainofsteps.videos.vbvr import index_tree
from tests.bench import write_bench
from tests.pipelines import FORMS
from tests.scripts import COMMIT, Job, save_model

pytestmark = pytest.mark.slow

COUNT, SEEDS, BATCH = 3, [0, 1], 2
ERASURE = {
    "order": "joint",
    "steps": 2,
    "kinds": ["erase"],
    "at_steps": [0],
    "at_frames": [],
    "cells": {"kinds": [], "steps": [], "frames": []},
    "doses": {"counts": [], "sets": 1, "kinds": []},
    "seed": 0,
}
EXPERIMENT = {"order": "joint", "steps": 3, "weights": "trained", "cases": "drawn", "count": COUNT, "seeds": SEEDS}
INTERVENTION = {"kind": "erasure", "settings": ERASURE, "count": COUNT, "seeds": [0]}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Files of cases of two worlds."""
    folder = tmp_path_factory.mktemp("cases")
    for family in ("maze", "largest"):
        datasets.write(case_dataset(family, "pilot", 0, COUNT), folder / f"{family}.nc", "cases")
    return [str(folder / "maze.nc"), str(folder / "largest.nc")]


@pytest.fixture(scope="module")
def model(tmp_path_factory, build_pipeline):
    """``model(form, dtype)``: entry of a tiny model that lies in a folder."""
    made = {}

    def entry(form, dtype="float32"):
        if (form, dtype) not in made:
            made[form, dtype] = save_model(build_pipeline(form), tmp_path_factory.mktemp(form), form, dtype)
        return made[form, dtype]

    return entry


def manifest(entry):
    return [str(Path(entry["path"]) / MANIFEST)]


def sampling(folder, cases, entry, shard=None, output="maze.nc"):
    params = {"model": entry, "experiment": EXPERIMENT, "batch": BATCH} | ({"shard": shard} if shard else {})
    wildcards = {"model": "tiny", "experiment": "joint", "family": "maze"}
    inputs = {"cases": cases[:1], "weights": manifest(entry), "modules": [__file__]}
    return Job("sample_trajectories", folder, output, inputs, params, wildcards)


def reading(folder, cases, trajectories, script="extract_features", output="features.nc"):
    inputs = {"cases": cases[:1], "trajectories": [str(trajectories)]}
    return Job(script, folder, output, inputs, {}, {})


def intervening(folder, cases, entry, shards=None, number=0, counts=(COUNT, COUNT)):
    params = {"model": entry, "intervention": INTERVENTION, "batch": 4, "cases_at_once": 1}
    params |= {"worlds": {Path(path).stem: count for path, count in zip(cases, counts, strict=True)}} | (
        {"shards": shards} if shards else {}
    )
    wildcards = {"model": "tiny", "intervention": "erasure", "shard": str(number)}
    inputs = {"cases": cases, "weights": manifest(entry), "modules": [__file__]}
    output = f"erasure/shard_{number}.nc" if shards else "erasure.nc"
    return Job("run_intervention", folder, output, inputs, params, wildcards)


def joined(folder, shards, schema, **videos):
    inputs = {"shards": [str(shard) for shard in shards]}
    job = Job("join_shards", folder, "joined.nc", inputs | {"videos": videos.get("videos", [])}, {"schema": schema}, {})
    job.name_outputs(datasets=job.path, videos=folder / "joined_videos")
    return job.run().read_bytes()


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Folder of a bench of four cases, and the file of its cases."""
    folder = tmp_path_factory.mktemp("bench")
    root = write_bench(folder / "VBVR-Bench")
    datasets.write(bench_cases.model_cases(root, index_tree(root), 32, 32), folder / "cases.nc", "bench_cases")
    return root, str(folder / "cases.nc")


def of_bench(script, folder, bench, entry, shard, output, **params):
    root, cases = bench
    params |= {"root": str(root), "model": entry | {"max_sequence_length": 512}, "name": "tiny", "grid": [8, 8]}
    params |= {"seeds": [0], "batch": 1} | ({"shard": shard} if shard else {})
    inputs = {"cases": [cases], "weights": manifest(entry), "modules": [__file__]}
    return Job(script, folder, output, inputs, params, {"sampled": "joint", "bench_kind": "interventions"})


def sampling_bench(folder, bench, entry, shard=None, output="features.nc"):
    experiment = {"order": "joint", "steps": 2, "decoded_frames": [0, 5]}
    job = of_bench("sample_bench", folder, bench, entry, shard, output, experiment=experiment)
    return job.name_outputs(features=job.path, videos=folder / f"videos_of_{output}")


def intervening_in_bench(folder, bench, entry, shard=None, output="interventions.nc"):
    settings = {"erasure": ERASURE, "plant": {"at_steps": [1], "at_frames": [1]}}
    return of_bench("intervene_in_bench", folder, bench, entry, shard, output, settings=settings)


def contents(job):
    """All that a job has made: datasets, and videos by their names."""
    files = [path for output in map(Path, job.output) for path in (output, *sorted(output.rglob("*")))]
    return {str(path.relative_to(job.path.parent)): path.read_bytes() for path in files if path.is_file()}


def test_a_bench_in_shards_gives_the_same_bytes(tmp_path, bench, model):
    form = "two_networks"  # the paper's
    whole = sampling_bench(tmp_path, bench, model(form))
    whole.run()
    shards = [sampling_bench(tmp_path, bench, model(form), each, f"{each[0]}.nc") for each in share_out(4, 2)]
    files = [job.run() for job in shards]
    videos = [job.output.videos for job in shards]
    assert joined(tmp_path, files, "bench_features", videos=videos) == whole.path.read_bytes()
    made = {path.relative_to(whole.output.videos): path for path in Path(whole.output.videos).rglob("*.mp4")}
    assert len(made) == 4 == len(list((tmp_path / "joined_videos").rglob("*.mp4")))
    for name, path in made.items():
        assert (tmp_path / "joined_videos" / name).read_bytes() == path.read_bytes()
    whole = intervening_in_bench(tmp_path, bench, model(form)).run()
    files = [
        intervening_in_bench(tmp_path, bench, model(form), each, f"of_{each[0]}.nc").run() for each in share_out(4, 2)
    ]
    assert joined(tmp_path, files, "bench_interventions") == whole.read_bytes()
    assert not list(tmp_path.glob("*.parts")) and not list(tmp_path.glob("*.join"))


def free(monkeypatch, size):
    """Let every disk have so many bytes left."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(size))


def test_shards_ask_for_the_room_that_all_unfinished_ones_take(tmp_path, cases, model, monkeypatch):
    entry, bounds = model("ti2v"), share_out(2 * COUNT, 3)
    jobs = [intervening(tmp_path, cases, entry, bounds, number) for number in range(3)]
    free(monkeypatch, 0)
    with pytest.raises(SystemExit, match="at least"):
        jobs[0].run()
    group = round(float(re.search(r"at least (\S+) GB", Path(jobs[0].log[0]).read_text())[1]) * 1e9) / 6
    shortest = 0.995 * group  # the line says three digits
    for job, left in ((jobs[0], 6), (jobs[1], 4)):
        free(monkeypatch, left * shortest)
        with pytest.raises(SystemExit, match=r"refused: .*: disk: given"):
            job.run()
        free(monkeypatch, left * 1.005 * group)
        job.run()
    # Of the last shard one group of two is kept already, and takes nothing more.
    free(monkeypatch, 2 * 1.005 * group)
    assert jobs[2].killed(parts=1)
    free(monkeypatch, 0.99 * group)
    with pytest.raises(SystemExit, match=r"refused: .*: disk: given"):
        jobs[2].run()
    free(monkeypatch, 1.01 * group)
    assert jobs[2].run().exists()


def test_a_job_of_the_bench_leaves_the_room_that_others_have_claimed(tmp_path, bench, model, monkeypatch):
    job = sampling_bench(tmp_path, bench, model("ti2v"), (0, 1), "features/shard_0.nc")
    Path(job.output.videos).parent.mkdir()
    stream = (2 * 2 + 9) * 32 * 32 * 3
    # A shard of another experiment has claimed its room, and written a part.
    other = Parts(tmp_path / "features_turns/shard_7.nc.parts/streams_000007", None)
    other.reserve(stream + 10**6)
    written = other.array("clean_estimate", (stream,), np.uint8)
    written.put((), np.ones(stream, np.uint8))
    written.sync()
    held = other.folder.joinpath("clean_estimate.array").stat().st_blocks * 512
    needed = stream + stream + 10**6 - held
    free(monkeypatch, needed - 1)
    with pytest.raises(SystemExit, match=rf"at least {needed / 1e9:.3g} GB"):
        job.run()
    assert not [*job.parts.rglob("reserved.bytes")] and other.folder.exists()
    free(monkeypatch, needed)
    assert job.run().exists()


@pytest.mark.parametrize("make", [sampling_bench, intervening_in_bench])
def test_a_job_of_the_bench_that_is_killed_ends_with_the_same_bytes(tmp_path, bench, model, make):
    entry = model("ti2v")
    whole = make(tmp_path / "whole", bench, entry)
    whole.run()
    job = make(tmp_path / "killed", bench, entry)
    rng, kept = np.random.default_rng(20260321), {}
    for parts in (1, 3):  # of four
        assert job.killed(parts=parts)
        assert {path: path.stat().st_mtime_ns for path in kept} == kept
        assert job.killed(rng.uniform(0.01, 0.2))  # wherever it is by then
        kept = {path: path.stat().st_mtime_ns for path in job.parts.glob("*.nc")}
        assert len(kept) >= parts and not job.path.exists()
    job.run()
    assert not job.parts.exists()
    assert contents(job) == contents(whole)


@pytest.mark.parametrize(("form", "dtype"), [("ti2v", "float32"), *((form, "bfloat16") for form in FORMS)])
def test_every_form_and_precision_goes_through_both_scripts_in_shards(tmp_path, cases, model, form, dtype):
    entry = model(form, dtype)
    whole = sampling(tmp_path, cases, entry).run()
    trajectories = datasets.read(whole, "trajectories")
    assert trajectories.attrs["dtype"] == dtype and trajectories.attrs["model_revision"] == COMMIT
    assert trajectories["clean_estimate"].shape[:4] == (COUNT, len(SEEDS), 3, 9)
    # Every stream its own: no block was written over, none left out.
    videos = trajectories["clean_estimate"].values[:, :, -1].reshape(COUNT * len(SEEDS), -1)
    assert len(np.unique(videos, axis=0)) == len(videos)
    bounds = shard_bounds(COUNT, len(SEEDS), BATCH, 2)
    shards = [sampling(tmp_path, cases, entry, each, f"shard_{each[0]}.nc").run() for each in bounds]
    assert len(shards) == 2 and joined(tmp_path, shards, "trajectories") == whole.read_bytes()
    read = [reading(tmp_path, cases, each, "extract_shard", f"features_of_{each.name}").run() for each in shards]
    assert joined(tmp_path, read, "features") == reading(tmp_path, cases, whole).run().read_bytes()

    whole = intervening(tmp_path, cases, entry).run()
    assert datasets.read(whole, "erasure").sizes["case"] == 2 * COUNT
    # Three shards of six groups: the second has cases of both worlds.
    bounds = share_out(2 * COUNT, 3)
    shards = [intervening(tmp_path, cases, entry, bounds, number).run() for number in range(3)]
    assert joined(tmp_path, shards, "erasure") == whole.read_bytes()
    assert not list(tmp_path.rglob("*.parts")) and not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("kind", ["sampling", "intervening"])
def test_shards_killed_at_twenty_points_end_with_the_same_bytes(tmp_path, cases, model, kind):
    entry = model("ti2v")

    def shards(folder):
        if kind == "sampling":
            bounds = shard_bounds(COUNT, len(SEEDS), BATCH, 2)
            return [sampling(folder, cases, entry, each, f"shard_{each[0]}.nc") for each in bounds]
        counts = (2, 1)  # a part each: as many as of the sampling, for what is begun again many times
        bounds = share_out(sum(counts), 2)
        return [intervening(folder, cases, entry, bounds, number, counts) for number in range(2)]

    if kind == "sampling":
        wanted, schema = sampling(tmp_path / "whole", cases, entry).run().read_bytes(), "trajectories"
    else:
        wanted, schema = intervening(tmp_path / "whole", cases, entry, counts=(2, 1)).run().read_bytes(), "erasure"
    alone = [job.run().read_bytes() for job in shards(tmp_path / "alone")]
    assert shards(tmp_path / "first")[-1].killed(parts=1)  # what starts such processes has started
    start = time.monotonic()
    assert not shards(tmp_path / "timed")[-1].killed()
    length = time.monotonic() - start
    rng, jobs = np.random.default_rng(20260320), shards(tmp_path / "killed")
    kills = kept = 0
    while kills < 20:
        job, unbroken = jobs[kills % 2], alone[kills % 2]
        kept += any(job.parts.glob("*.nc"))
        # Early enough that the job is seldom through before it is killed.
        kills += job.killed(rng.uniform(0.05, 1.0) * length)
        if job.path.exists():  # a kill may come after the output has its name
            assert job.path.read_bytes() == unbroken
            job.path.unlink()
    assert kept  # some began with what others had finished
    made = [job.run() for job in jobs]
    assert [path.read_bytes() for path in made] == alone and not any(job.parts.exists() for job in jobs)
    assert joined(tmp_path, made, schema) == wanted


def test_a_part_that_a_killed_job_has_finished_is_not_made_again(tmp_path, cases, model):
    job = intervening(tmp_path, cases, model("ti2v"))
    assert job.killed(parts=1)
    kept = {path: path.stat().st_mtime_ns for path in job.parts.glob("*.nc")}
    assert kept and job.killed(parts=len(kept) + 1)  # of six
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_job_of_other_settings_takes_nothing_of_a_killed_one(tmp_path, cases, model):
    entry = model("ti2v")
    assert sampling(tmp_path, cases, entry).killed(parts=1)
    changed = entry | {"guidance_scale": 3.0}
    wanted = sampling(tmp_path / "alone", cases, changed).run().read_bytes()
    assert sampling(tmp_path, cases, changed).run().read_bytes() == wanted
    assert sampling(tmp_path / "usual", cases, entry).run().read_bytes() != wanted
