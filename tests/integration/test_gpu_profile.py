"""A model of the hub goes through the workflow in shards, by the GPU profile, and survives being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from chainofsteps import datasets
from chainofsteps.models.check import read_manifest
from tests import hub as hubs
from tests.scripts import Job, save_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TINY = {
    "results": "results/tiny",
    "model": "tiny",
    "cases": {"families": ["maze"], "purpose": "pilot", "count": 3},
    "seeds": [0, 1],
    "batch": 1,
    "experiments": {"joint": {"steps": 4}, "frame_by_frame": None},
    "controls": {
        "count": 3,
        "experiments": {"shuffled": None, "untrained": {"steps": 1}, "static": {"steps": 1, "count": 3}},
    },
}
TARGET = "results/tiny/trajectories/tiny/joint/maze.nc"
FEATURES = TARGET.replace("trajectories", "features")
LARGE = ("--configfile", "config/large.yaml")
GPU = ("--profile", "workflow/profiles/gpu", "--cores", "1")


@pytest.fixture(scope="module")
def clone(make_clone, build_pipeline, tmp_path_factory):
    """A clone with a tiny model of the form without a timestep a frame, on a hub."""
    clone = make_clone("gpu")
    path = clone.folder / "config/models.yaml"
    models = yaml.safe_load(path.read_text())
    folder = tmp_path_factory.mktemp("hub") / "repository"
    entry = save_model(build_pipeline("two_networks"), folder, "two_networks", "bfloat16")
    (folder / "SHA256SUMS").unlink()
    del entry["path"]
    entry["hub"] = {"repository": hubs.REPOSITORY, "commit": hubs.COMMIT, "licence": "none"}
    sizes = {"transformer": 1, "transformer_2": 1, "text_encoder": 1, "vae": 1}
    path.write_text(yaml.safe_dump(models | {"tiny": entry | {"parameters": sizes}}))
    with pytest.MonkeyPatch.context() as patch, hubs.serving(folder) as served:
        for name, value in {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}.items():
            patch.setenv(name, value)
        patch.setenv("HF_ENDPOINT", served.url)
        yield clone


def overlay(clone, name, **changes):
    path = clone.folder / f"config/{name}.yaml"
    path.write_text(yaml.safe_dump(TINY | changes))
    return ("--configfile", f"config/{name}.yaml")


def scripts_of(process):
    """Processes that run the sampling script."""
    found = []
    for child in process.children(recursive=True):
        try:
            if child.name().startswith("python") and any("sample_trajectories" in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def kill_a_script(clone, *arguments):
    """Start Snakemake, and kill the process that samples once a part is finished."""
    environment = os.environ | {"PYTHONPATH": str(clone.folder / "src")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-m", "snakemake", *arguments]
    started = subprocess.Popen(
        command, cwd=clone.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    running, parts = psutil.Process(started.pid), clone.folder / f"{TARGET}.parts"
    while started.poll() is None and len(list(parts.glob("*.nc"))) < 2:
        time.sleep(0.01)
    scripts = scripts_of(running)
    thresholds = {script.environ().get("MALLOC_MMAP_THRESHOLD_") for script in scripts}
    # Whether there is a GPU is asked by diffusers at its import, before a job claims its own.
    checks = {script.environ().get("PYTORCH_NVML_BASED_CUDA_CHECK") for script in scripts}
    for script in scripts:
        script.send_signal(signal.SIGKILL)
    said = started.stdout.read()
    assert thresholds == {os.environ.get("MALLOC_MMAP_THRESHOLD_", "65536")}, said
    assert checks == {"1"}, said
    return started.wait(), said, parts


def test_a_killed_job_keeps_its_parts_and_shards_give_the_same_bytes(clone, tmp_path):
    one = overlay(clone, "one", shards=1)
    status, said, parts = kill_a_script(clone, *GPU, *one, "--retries", "0", "--", TARGET)
    assert status != 0, said
    # Snakemake takes away the outputs of a job that failed, and nothing else.
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.nc")}
    assert not (clone.folder / TARGET).exists() and len(kept) >= 2
    done = clone.snakemake(*GPU, *one, "--", TARGET)
    assert done.returncode == 0, done.stderr
    assert not parts.exists()
    whole = (clone.folder / TARGET).read_bytes()
    trajectories = datasets.read(clone.folder / TARGET, "trajectories")
    assert trajectories.attrs["model_revision"] == hubs.COMMIT and trajectories.attrs["dtype"] == "bfloat16"
    assert trajectories.sizes["case"] == 3 and trajectories.sizes["seed"] == 2
    fetched = clone.folder / "resources/hub/tiny"
    assert read_manifest(fetched)
    inputs = {"cases": [str(clone.folder / "results/tiny/cases/maze.nc")], "trajectories": [str(clone.folder / TARGET)]}
    features = Job("extract_features", tmp_path, "features.nc", inputs, {}, {}).run().read_bytes()

    (clone.folder / TARGET).unlink()
    two = overlay(clone, "two", shards=2)
    done = clone.snakemake(*GPU, *two, "--", TARGET, FEATURES)
    assert done.returncode == 0, done.stderr
    for target, wanted in ((TARGET, whole), (FEATURES, features)):
        shards = sorted(path.name for path in (clone.folder / target).with_suffix("").iterdir())
        assert shards == ["shard_0.nc", "shard_1.nc"]
        assert (clone.folder / target).read_bytes() == wanted


def test_the_plan_of_a_large_model_holds_its_fetch_and_a_job_a_case(clone):
    start = time.monotonic()
    planned = clone.jobs("--profile", "workflow/profiles/gpu", *LARGE)
    # 20 seconds are asked for; benchmarks/dag.csv says what an idle core takes. A busy one is no fault of the workflow.
    assert time.monotonic() - start < 60
    # Four families of 125 cases, a shard a case; 16 of each are made untrained as well, and 64 are solved ones.
    assert planned["sample_shard"] == planned["extract_shard"] == 4 * (125 + 16 + 64)
    assert planned["fetch_model"] == 1 and planned["run_shard"] == 301 and planned["total"] == 2007
    assert {"join_trajectories", "join_intervention", "join_features"} < set(planned)
    whole = {"sample_trajectories", "extract_features", "run_intervention"}
    assert not set(planned) & {*whole, "judge_claims", "write_report"}


def refusal(clone, *arguments):
    done = clone.snakemake("--cores", "1", *arguments)
    assert done.returncode != 0
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("refused:")]
    assert "Traceback" not in done.stdout + done.stderr
    return line


@pytest.mark.parametrize(
    ("changes", "target", "words"),
    [
        # Refused once the plan is made, of which one file is enough.
        (
            {},
            ("results/large/cases/maze.nc",),
            ("wan2.1_i2v_14b.frames", "81 frames of 480 x 832", "9 frames of 32 x 32"),
        ),
        ({}, ("results/large/statistics/verdicts.csv",), ("frame_by_frame: given null", "claims cannot be judged")),
        (
            {"experiments": {"joint": {"order": "pyramid"}}},
            (),
            ("experiments.joint.order", "given pyramid", "joint, with wan2.1_i2v_14b of form single"),
        ),
        (
            {"interventions": {"experiments": {"swap": {"layers": [40]}}}},
            (),
            ("interventions.experiments.swap.layers", "given 40", "0 to 39"),
        ),
        (
            {"model": "vbvr_wan2.2"},
            ("results/large/trajectories/vbvr_wan2.2/joint/maze.nc",),
            ("vbvr_wan2.2.hub.commit", "given nothing"),
        ),
        ({"shards": 0}, (), ("shards", "given 0", "at least 1")),
    ],
)
def test_what_a_large_model_cannot_do_is_refused_before_any_work(clone, tmp_path, changes, target, words):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changes))
    line = refusal(clone, *LARGE, str(path), "--", *target)
    assert all(word in line for word in words), line
    assert not (clone.folder / "results/large").exists()


def test_the_profile_asks_for_more_at_each_attempt(tmp_path, warm):
    (tmp_path / "Snakefile").write_text(
        "rule sample_shard:\n"
        "    output: 'made'\n"
        "    resources: mem_mb=3000\n"
        "    run:\n"
        "        with open('said', 'a') as file:\n"
        "            print(resources.gpu, resources.mem_mb, resources.runtime, file=file)\n"
        "        assert len(open('said').readlines()) == 2\n"
        "        open(output[0], 'w').close()\n"
    )
    profile = Path(__file__).parents[2] / "workflow/profiles/gpu"
    command = ("-m", "snakemake", "--profile", str(profile), "--cores", "1")
    done = warm.run(*command, folder=tmp_path, environment=dict(os.environ))
    assert done.returncode == 0, done.stderr
    said = [[int(number) for number in line.split()] for line in (tmp_path / "said").read_text().splitlines()]
    (gpu, memory, runtime), (again, more, longer) = said
    assert gpu == again == 1 and more > memory > 3000 and longer > runtime
