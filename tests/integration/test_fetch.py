"""A model of the hub is fetched by its rule, from a small hub on loopback, and refused where it is not pinned."""

from __future__ import annotations

import pytest
import yaml

from chainofsteps.models.check import check_folder, read_manifest
from tests import hub as hubs
from tests.folders import write_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_model_is_fetched_by_its_rule(make_clone, tmp_path, monkeypatch):
    clone = make_clone("fetch")
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
        done = fetch("tiny", "--retries", "0")
        assert f"refused: {hubs.REPOSITORY}: hub.commit: given {'f' * 40}" in done.stdout + done.stderr
        check_folder(folder, read_manifest(folder))
    for model, words in {"vbvr_wan2.2": "hub.commit: given nothing", "mini": "mini.hub: given nothing"}.items():
        done = fetch(model)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and [line for line in said.splitlines() if "refused" in line and words in line], (
            said
        )
