"""A model from the hub: fetched by the real client from a small hub on loopback, at a pinned commit."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from chainofsteps.models import hub as ours
from chainofsteps.models.check import MANIFEST, check_folder, read_manifest
from chainofsteps.refusal import Refused
from tests import hub as hubs
from tests.folders import WEIGHTS, write_model

SCRIPT = """
import sys
from chainofsteps.models.hub import fetch
from chainofsteps.refusal import Refused
try:
    print(fetch(*sys.argv[1:]))
except Refused as refusal:
    sys.exit(f"refused: {refusal}")
"""
LARGE = f"transformer/{WEIGHTS}"


@pytest.fixture
def hub(tmp_path):
    folder = write_model(tmp_path / "repository")
    weight = np.random.default_rng(9).normal(size=(512, 512)).astype(np.float32)
    save_file({"weight": weight}, folder / LARGE, metadata={"format": "pt"})
    (folder / "README.md").write_text("not needed")
    (folder / "assets").mkdir()
    (folder / "assets" / "comp.json").write_text("{}")
    (folder / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    with hubs.serving(folder) as served:
        yield served


def command(*arguments):
    return [sys.executable, "-c", SCRIPT, *map(str, arguments)]


def settings(hub, **environment):
    own = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    return os.environ | own | environment


def fetch(hub, *arguments, ok=True, **environment):
    """In a process of its own: the client reads its settings when it is imported."""
    done = subprocess.run(command(*arguments), env=settings(hub, **environment), capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stderr
    if ok:
        return done.stdout.split()[-1]
    (refused,) = (line for line in done.stderr.splitlines() if line.startswith("refused: "))
    assert "accepted" in refused
    return refused


def test_what_is_needed_is_fetched_once_and_is_whole(hub, tmp_path):
    folder = tmp_path / "cache" / "tiny"
    revision = fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT)
    check_folder(folder, read_manifest(folder, revision))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == set(read_manifest(folder)) | {MANIFEST}
    assert set(hub.names) == names - {MANIFEST, ours.ORIGIN} and LARGE in names
    assert not {name for name in names if name.startswith(("README", "assets")) or name.endswith(".bin")}
    assert os.listdir(folder.parent) == ["tiny"]
    hub.fetched.clear()
    assert fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT, HF_HUB_OFFLINE="1") == revision and not hub.names


def test_a_connection_that_ends_goes_on_where_it_ended(hub, tmp_path):
    folder = tmp_path / "cache" / "tiny"
    save_file({"weight": np.zeros((2600, 2600), np.float32)}, hub.folder / LARGE, metadata={"format": "pt"})
    hub.cut[LARGE] = 20_000_000  # the client writes every 10 MB
    fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT)
    first, second = (start for name, start in hub.fetched if name == LARGE)
    assert first == 0 and 10_000_000 <= second <= 20_000_000
    check_folder(folder, read_manifest(folder))


def test_a_fetch_that_is_killed_goes_on(hub, tmp_path):
    folder = tmp_path / "cache" / "tiny"
    hub.stalled.add(LARGE)
    needed = {entry["path"] for entry in hub.tree() if ours._is_needed(entry["path"])}
    running = subprocess.Popen(
        command(folder, hubs.REPOSITORY, hubs.COMMIT),
        env=settings(hub),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        part, deadline = tmp_path / "cache" / "tiny.part", time.monotonic() + 60
        while not all((part / name).is_file() for name in needed - {LARGE}):
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        running.kill()
        running.wait()
    assert not folder.exists()
    hub.stalled.clear()
    hub.fetched.clear()
    fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT)
    assert set(hub.names) == {LARGE}
    check_folder(folder, read_manifest(folder))


def test_another_commit_replaces_a_model_only_once_it_is_known(hub, tmp_path):
    folder = tmp_path / "cache" / "tiny"
    fetch(hub, folder, hubs.REPOSITORY, "f" * 40, ok=False)
    revision = fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT)
    for given in ((hubs.REPOSITORY, "f" * 40), ("lab/nothing", hubs.COMMIT)):
        fetch(hub, folder, *given, ok=False)
        check_folder(folder, read_manifest(folder, revision))
    origin = (folder / ours.ORIGIN).read_text()
    (folder / ours.ORIGIN).write_text(origin.replace(hubs.COMMIT, "e" * 40))  # as if of an older commit
    hub.fetched.clear()
    assert fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT) == revision
    assert not hub.fetched  # nothing of it had changed


def test_a_folder_of_somebody_else_is_never_changed(hub, tmp_path):
    folder = write_model(tmp_path / "cache" / "tiny")
    (folder / "README.md").write_text("mine")
    before = sorted(path for path in folder.rglob("*"))
    assert "hub.json: given none: not fetched" in fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT, ok=False)
    assert sorted(path for path in folder.rglob("*")) == before


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("name", [LARGE, "scheduler/scheduler_config.json"])
def test_a_file_of_another_content_is_named_and_fetched_anew(hub, tmp_path, name):
    folder = tmp_path / "cache" / "tiny"
    hub.lies = {name: flipped((hub.folder / name).read_bytes())}
    refused = fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT, ok=False)
    assert name in refused and "hash" in refused and not folder.exists()
    hub.lies = {}
    fetch(hub, folder, hubs.REPOSITORY, hubs.COMMIT)
    check_folder(folder, read_manifest(folder))


@pytest.mark.parametrize(
    ("repository", "commit", "environment", "message"),
    [
        (hubs.REPOSITORY, "f" * 40, {}, f"hub.commit: given {'f' * 40}"),
        ("lab/nothing", hubs.COMMIT, {}, "hub.repository: given not on the hub"),
        (hubs.REPOSITORY, hubs.COMMIT, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE: given 1"),
    ],
)
def test_what_the_hub_does_not_have_is_refused_in_one_line(hub, tmp_path, repository, commit, environment, message):
    assert message in fetch(hub, tmp_path / "cache" / "tiny", repository, commit, ok=False, **environment)


def test_a_part_that_is_missing_or_a_pickle_is_refused(hub, tmp_path):
    (hub.folder / LARGE).unlink()
    refused = fetch(hub, tmp_path / "cache" / "tiny", hubs.REPOSITORY, hubs.COMMIT, ok=False)
    assert "transformer: weights: given no *.safetensors" in refused and not (tmp_path / "cache" / "tiny").exists()


def test_a_mirror_needs_no_network(hub, tmp_path):
    mirror = tmp_path / "mirror" / "tiny"
    revision = fetch(hub, mirror, hubs.REPOSITORY, hubs.COMMIT)
    folder, offline = tmp_path / "cache" / "tiny", {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    given = (folder, hubs.REPOSITORY, hubs.COMMIT, mirror)
    content = (mirror / LARGE).read_bytes()
    (mirror / LARGE).write_bytes(flipped(content))
    assert f"{LARGE}: hash" in fetch(hub, *given, ok=False, **offline)
    (mirror / LARGE).write_bytes(content)
    assert fetch(hub, *given, **offline) == revision
    lines = (mirror / MANIFEST).read_text()
    (mirror / MANIFEST).write_text(f"{'0' * 64}  ../../stolen\n{lines}")
    other = (tmp_path / "cache" / "other", *given[1:])
    assert "path: given ../../stolen" in fetch(hub, *other, ok=False, **offline)
    (mirror / MANIFEST).write_text(lines)
    refused = fetch(hub, other[0], hubs.REPOSITORY, "f" * 40, mirror, ok=False, **offline)
    assert "hub.json: origin: given" in refused and hubs.COMMIT in refused


def test_no_network_and_no_disk_are_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(ours.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(ours.HfApi, "list_repo_tree", no_network)
    with pytest.raises(Refused, match=r"^lab/tiny-wan: hub: given no route; accepted: a network, or a mirror$"):
        ours.fetch(tmp_path / "cache" / "tiny", hubs.REPOSITORY, hubs.COMMIT)
    files = [ours.HubFile("vae/config.json", 10**18, "")]
    monkeypatch.setattr(ours, "list_files", lambda repository, commit, wanted: files)
    with pytest.raises(Refused, match=r"tiny\.part: disk: given .* GB free; accepted: at least 1\.02e\+09 GB"):
        ours.fetch(tmp_path / "cache" / "tiny", hubs.REPOSITORY, hubs.COMMIT)
