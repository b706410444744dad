"""A model of the hub is fetched by its rule, from a small hub on loopback, and refused where it is not pinned."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from chainofsteps.models.check import check_folder, check_hashes, read_manifest
from tests import hub as hubs
from tests.folders import write_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_model_is_fetched_by_its_rule(make_clone, tmp_path, monkeypatch):
    clone = make_clone("fetch", jobs=sys.executable)  # they read the hub's address as its client is imported
    path = clone.folder / "config/models.yaml"
    models = yaml.safe_load(path.read_text())
    hub = {"repository": hubs.REPOSITORY, "commit": hubs.COMMIT, "licence": "none"}
    path.write_text(yaml.safe_dump(models | {"tiny": models["wan2.2_ti2v_5b"] | {"hub": hub}}))
    for name, value in {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)

    def fetch(model, *arguments):
        return clone.snakemake("--cores", "1", *arguments, "--", f"resources/hub/{model}/SHA256SUMS")

    with hubs.serving(write_model(tmp_path / "repository")) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        done = fetch("tiny")
        assert done.returncode == 0, done.stderr
        folder = clone.folder / "resources/hub/tiny"
        check_folder(folder, read_manifest(folder))
        assert "Nothing to be done" in (fetch("tiny", "-n").stdout + fetch("tiny", "-n").stderr)
        # Another commit, which there is not: what is there stays as it is.
        hub["commit"] = "f" * 40
        path.write_text(yaml.safe_dump(models | {"tiny": models["wan2.2_ti2v_5b"] | {"hub": hub}}))
        done = fetch("tiny", "--retries", "3")
        said = done.stdout + done.stderr
        assert f"refused: {hubs.REPOSITORY}: hub.commit: given {'f' * 40}" in said and "Trying to restart" not in said
        check_folder(folder, read_manifest(folder))
    for model, words in {"vbvr_wan2.2": "hub.commit: given nothing", "mini": "mini.hub: given nothing"}.items():
        done = fetch(model)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and [line for line in said.splitlines() if "refused" in line and words in line], (
            said
        )


def test_lora_weights_are_fetched_by_the_same_rule(make_clone, tmp_path, monkeypatch):
    clone, repository = make_clone("lora", jobs=sys.executable), tmp_path / "repository"
    repository.mkdir()
    names = {"transformer": "high.safetensors", "transformer_2": "low.safetensors"}
    for name in (*names.values(), "other.safetensors"):
        save_file({"weight": np.zeros((2, 2), np.float32)}, repository / name)
    path = clone.folder / "config/models.yaml"
    models = yaml.safe_load(path.read_text())

    def write(**changes):
        entry = models["vbvr_wan2.2_lora"]
        lora = entry["lora"] | {"repository": hubs.REPOSITORY, "commit": hubs.COMMIT, "files": names} | changes
        path.write_text(yaml.safe_dump(models | {"lora": entry | {"lora": lora}}))

    def fetch(model):
        return clone.snakemake("--cores", "1", "--", f"resources/hub/{model}/SHA256SUMS")

    for name, value in {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    with hubs.serving(repository) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        write(files=names | {"transformer": "absent.safetensors"})
        done = fetch("lora")
        assert f"refused: {hubs.REPOSITORY}: file: given no absent.safetensors" in done.stdout + done.stderr
        write()
        done = fetch("lora")
        assert done.returncode == 0, done.stderr
    folder = clone.folder / "resources/hub/lora"
    assert set(read_manifest(folder)) == {"hub.json", *names.values()}
    check_hashes(folder, read_manifest(folder))
    done = fetch("vbvr_wan2.2_lora")
    assert "vbvr_wan2.2_lora.lora.commit: given nothing" in done.stdout + done.stderr
