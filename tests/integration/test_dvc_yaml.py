"""dvc.yaml is what the workflow says, and DVC takes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BOXES = ["cases", "models", "experiments", "trajectories", "features", "statistics", "report"]
KINDS = ("outs", "metrics", "plots")

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stages():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.fixture
def dvc(tmp_path, stages, warm):
    """``dvc(*arguments)`` in a repository that holds dvc.yaml, its inputs and a stand-in for each output."""
    made = {path: flags for stage in stages.values() for path, flags in outputs(stage)}
    for path in made:
        write(tmp_path / path, '{"maze": {"effect": 0.25}}' if path.endswith(".json") else path)
    inputs = {path for stage in stages.values() for path in stage["deps"]} - set(made)
    for path in {
        "dvc.yaml",
        *inputs,
        *(file for stage in stages.values() for entry in stage["params"] for file in entry),
    }:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    own = {"DVC_NO_ANALYTICS": "1"} | {
        f"DVC_{name}_DIR": str(tmp_path / ".dvc" / "tmp" / name) for name in ("SITE_CACHE", "GLOBAL_CONFIG")
    }

    def run(*arguments):
        done = warm.run("-m", "dvc", *arguments, folder=tmp_path, environment=os.environ | own)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init", "--no-scm", "--quiet")
    return run


def outputs(stage):
    return [item for kind in KINDS for entry in stage.get(kind, []) for item in entry.items()]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_dvc_yaml_is_what_the_workflow_says():
    command = [sys.executable, "-m", "chainofsteps.ledger", "stages", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make ledger`:\n{done.stdout or done.stderr}"


def test_one_stage_a_box_in_order_and_no_training(stages):
    assert list(stages) == BOXES
    assert not [path for stage in stages.values() for path, _ in outputs(stage) if "/training/" in path]


def test_dvc_never_deletes_an_output(stages):
    assert all(flags["persist"] for stage in stages.values() for _, flags in outputs(stage))


def test_git_keeps_what_dvc_does_not_cache(stages):
    cached = {path: flags.get("cache", True) for stage in stages.values() for path, flags in outputs(stage)}
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(cached), capture_output=True, text=True)
    assert set(done.stdout.splitlines()) == {path for path, is_cached in cached.items() if is_cached}


@pytest.mark.parametrize("file", ["config/config.yaml", "config/models.yaml"])
def test_every_setting_of_a_run_is_a_parameter_of_some_stage(stages, file):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    tracked = {key for stage in stages.values() for entry in stage["params"] for key in entry.get(file, [])}
    settings = yaml.safe_load((ROOT / file).read_text())
    for on_request in ("success", "calibration", "stability", "hub", "vbvr", "bench"):
        settings.pop(on_request, None)  # made by the target of that name, by no stage
    if file.endswith("models.yaml"):
        settings = {f"{config['model']}.{key}": None for key in settings[config["model"]]}
        settings = {key: value for key, value in settings.items() if key.split(".")[1] not in ("training", "orders")}
    for key, value in settings.items():
        below = {f"{key}.{name}" for name in value} if isinstance(value, dict) else set()
        assert key in tracked or (below and below <= tracked), f"{file}: {key}: no stage reads it"


def test_commands_are_the_same_on_every_machine(stages):
    commands = [
        cmd for stage in stages.values() for cmd in ([stage["cmd"]] if isinstance(stage["cmd"], str) else stage["cmd"])
    ]
    assert all(command.startswith("snakemake --cores all --until ") for command in commands)
    assert not [path for stage in stages.values() for path in stage["deps"] if Path(path).is_absolute()]


def test_dvc_records_and_names_what_changed(dvc, tmp_path):
    assert [line.split()[0] for line in dvc("stage", "list").splitlines()] == BOXES
    dvc("commit", "--force", "--no-relink")
    assert "up to date" in dvc("status")
    assert "0.25" in dvc("metrics", "show")

    config = tmp_path / "config/config.yaml"
    config.write_text(config.read_text().replace("\nbatch: ", "\nbatch: 1"))
    write(tmp_path / "results/statistics/metrics.json", "{}")
    status = yaml.safe_load(dvc("status", "--json"))
    assert status == {
        "trajectories": [{"changed deps": {"config/config.yaml": {"batch": "modified"}}}],
        "statistics": [{"changed outs": {"results/statistics/metrics.json": "modified"}}],
    }
