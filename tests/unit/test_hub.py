"""A model from the hub: fetched by the real client from a small hub on loopback, at a pinned commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RevisionNotFoundError
from safetensors.numpy import save_file

from chainofsteps.models import check
from chainofsteps.models import hub as ours
from chainofsteps.models.check import MANIFEST, check_folder, hash_folder, read_manifest, write_manifest
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
    assert sorted(os.listdir(folder.parent)) == ["tiny", "tiny.lock"]
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


def without(name):
    return lambda folder: (folder / name).unlink()


def of_another_class(folder):
    path = folder / "model_index.json"
    path.write_text(path.read_text().replace("WanImageToVideoPipeline", "LTXPipeline"))


@pytest.mark.parametrize(
    ("change", "words", "asked"),
    [
        # A pickle lies beside what is missing, and is no weight.
        (without(LARGE), "transformer: weights: given no *.safetensors", ["model_index.json"]),
        (without("vae/config.json"), "vae/config.json: file: given missing", ["model_index.json"]),
        (of_another_class, "_class_name: given LTXPipeline; accepted: WanImageToVideoPipeline", ["model_index.json"]),
        (without("model_index.json"), "file: given no model_index.json", []),
    ],
)
def test_a_missing_part_or_another_pipeline_is_refused_before_its_weights_come(hub, tmp_path, change, words, asked):
    change(hub.folder)
    assert words in fetch(hub, tmp_path / "cache" / "tiny", hubs.REPOSITORY, hubs.COMMIT, ok=False)
    assert hub.names == asked and not (tmp_path / "cache" / "tiny").exists()


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


def test_another_commit_of_a_mirror_takes_the_place_of_the_first_at_once(tmp_path):
    """Its files are as long as those before."""
    mirror, folder = write_model(tmp_path / "mirror" / "tiny"), tmp_path / "cache" / "tiny"
    for commit, value in (("a" * 40, 0), ("b" * 40, 1)):
        save_file({"weight": np.full((4, 4), value, np.float32)}, mirror / LARGE, metadata={"format": "pt"})
        (mirror / ours.ORIGIN).write_text(json.dumps({"repository": hubs.REPOSITORY, "commit": commit}))
        write_manifest(mirror)
        ours.fetch(folder, hubs.REPOSITORY, commit, mirror)
        check_folder(folder, read_manifest(folder))
        assert (folder / LARGE).read_bytes() == (mirror / LARGE).read_bytes()


def test_one_process_fetches_a_folder_at_a_time(tmp_path, monkeypatch):
    """Clones may share a cache: what two of them write beside the model's folder would be mixed."""
    mirror, folder = write_model(tmp_path / "mirror" / "tiny"), tmp_path / "cache" / "tiny"
    (mirror / ours.ORIGIN).write_text(json.dumps({"repository": hubs.REPOSITORY, "commit": hubs.COMMIT}))
    write_manifest(mirror)
    folder.parent.mkdir()
    with FileLock(folder.with_name("tiny.lock")):
        asked = command(folder, hubs.REPOSITORY, hubs.COMMIT, mirror)
        other = subprocess.Popen(asked, stdout=subprocess.PIPE, text=True)
        assert "waits for another process" in other.stdout.readline()
        assert not folder.exists() and other.poll() is None
    other.communicate(timeout=60)
    assert other.returncode == 0 and folder.is_dir()
    # What is there needs no lock: a cache may be read-only.
    monkeypatch.setattr(ours, "FileLock", None)
    assert ours.fetch(folder, hubs.REPOSITORY, hubs.COMMIT, mirror)


def test_each_file_is_hashed_once(tmp_path, monkeypatch):
    mirror = write_model(tmp_path / "mirror" / "tiny")
    (mirror / ours.ORIGIN).write_text(json.dumps({"repository": hubs.REPOSITORY, "commit": hubs.COMMIT}))
    write_manifest(mirror)
    hashed, sha256 = [], check._sha256
    monkeypatch.setattr(check, "_sha256", lambda path: hashed.append(path.name) or sha256(path))
    ours.fetch(tmp_path / "cache" / "tiny", hubs.REPOSITORY, hubs.COMMIT, mirror)
    assert hashed.count(WEIGHTS) == len(list(mirror.rglob(WEIGHTS)))


def test_room_is_asked_for_what_is_still_to_come(tmp_path, monkeypatch):
    """A download that was cut off takes room and is of no use: the client begins such a file anew."""
    part = tmp_path / "tiny.part"
    left = part / ".cache/huggingface/download/vae/hash.digest.1234.incomplete"
    for path in (left, part / "vae/config.json", part / "vae/half.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    files = [ours.HubFile(f"vae/{name}", size, "") for name, size in (("config.json", 5), ("half.safetensors", 10**18))]
    monkeypatch.setattr(ours, "list_files", lambda repository, commit, wanted: files)
    with pytest.raises(Refused, match=r"accepted: at least 1\.02e\+09 GB"):
        ours.fetch(tmp_path / "tiny", hubs.REPOSITORY, hubs.COMMIT)
    assert [path.name for path in part.rglob("*") if path.is_file()] == ["config.json"]


def test_a_network_is_tried_again_and_a_refusal_is_not(monkeypatch):
    def answer(error):
        asked.append(error)
        raise error

    asked = []
    monkeypatch.setattr(ours, "_PAUSES", (0, 0))
    monkeypatch.setattr(ours.constants, "HF_HUB_OFFLINE", False)
    for error, times in (
        (ConnectionError("no route"), 3),
        (hub_error(RevisionNotFoundError, 404), 1),
        (hub_error(HfHubHTTPError, 403), 1),
        (HFValidationError("no such name"), 1),
        (hub_error(HfHubHTTPError, 429), 3),
        (hub_error(HfHubHTTPError, 503), 3),
    ):
        asked.clear()
        monkeypatch.setattr(ours.HfApi, "list_repo_tree", lambda *_, error=error, **__: answer(error))
        with pytest.raises(Refused):
            ours.fetch("/nowhere/tiny", hubs.REPOSITORY, hubs.COMMIT)
        assert len(asked) == times


@pytest.mark.parametrize(("status", "times"), [(403, 1), (503, 3)])
def test_what_a_files_address_answers_is_told(tmp_path, monkeypatch, status, times):
    """The client says of it only that the file is not here, as without a network."""

    def snapshot(*_, **__):
        asked.append(1)
        raise LocalEntryNotFoundError("check your connection") from hub_error(HfHubHTTPError, status)

    monkeypatch.setattr(ours, "_PAUSES", (0, 0))
    asked = []
    monkeypatch.setattr(ours, "snapshot_download", snapshot)
    with pytest.raises(Refused, match="given the hub says no"):
        ours._persistently(lambda: ours._download(tmp_path, "lab/tiny", "f" * 40, []))
    assert len(asked) == times


def hub_error(kind, status):
    """What the client raises of an answer, as far as we look at it."""
    error = kind.__new__(kind)
    Exception.__init__(error, "the hub says no")
    error.response = SimpleNamespace(status_code=status)
    return error


def test_what_the_client_passes_over_without_a_network_is_asked_for_again(tmp_path, monkeypatch):
    """It returns a folder that is not empty as if it were whole."""
    calls = []

    def snapshot(repository, revision, local_dir, allow_patterns):
        calls.append(allow_patterns)
        if len(calls) == 2:
            (local_dir / "a.json").write_text("{}")

    monkeypatch.setattr(ours, "_PAUSES", (0,))
    monkeypatch.setattr(ours, "snapshot_download", snapshot)
    ours._persistently(lambda: ours._download(tmp_path, "lab/tiny", "f" * 40, [ours.HubFile("a.json", 2, "")]))
    assert len(calls) == 2


def test_no_network_and_no_disk_are_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(ours, "_PAUSES", ())
    monkeypatch.setattr(ours.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(ours.HfApi, "list_repo_tree", no_network)
    with pytest.raises(Refused, match=r"^lab/tiny-wan: hub: given no route; accepted: a network, or a mirror$"):
        ours.fetch(tmp_path / "cache" / "tiny", hubs.REPOSITORY, hubs.COMMIT)
    files = [ours.HubFile("vae/config.json", 10**18, "")]
    monkeypatch.setattr(ours, "list_files", lambda repository, commit, wanted: files)
    with pytest.raises(Refused, match=r"tiny\.part: disk: given .* GB free; accepted: at least 1\.02e\+09 GB"):
        ours.fetch(tmp_path / "cache" / "tiny", hubs.REPOSITORY, hubs.COMMIT)
    # What is there of another commit stays, whole.
    folder = write_model(tmp_path / "cache" / "old")
    (folder / ours.ORIGIN).write_text(json.dumps({"repository": hubs.REPOSITORY, "commit": "e" * 40}))
    write_manifest(folder)
    before = hash_folder(folder)
    with pytest.raises(Refused, match=r"cache: disk: given .* GB free; accepted: at least 1\.02e\+09 GB"):
        ours.fetch(folder, hubs.REPOSITORY, hubs.COMMIT)
    assert hash_folder(folder) == before
