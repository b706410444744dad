"""Bad model folders: each refused in one line, without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from chainofsteps.models.check import check_fit, check_folder, hash_folder
from chainofsteps.refusal import Refused
from tests.folders import INDEX, WEIGHTS, write_json, write_model


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "model")


def edit_index(folder, **changes):
    write_json(folder / "model_index.json", INDEX | changes)


def remove_part(folder):
    for path in (folder / "vae").iterdir():
        path.unlink()
    (folder / "vae").rmdir()


def cut(folder, size):
    path = folder / "vae" / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])


def shard(folder):
    write_json(folder / "vae" / "model.safetensors.index.json", {"weight_map": {"weight": "part-2.safetensors"}})


BAD_FOLDERS = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "model_index.json: file: given missing"),
    "broken index": (lambda f: (f / "model_index.json").write_text("{"), "model_index.json: content: given"),
    "index is a list": (lambda f: write_json(f / "model_index.json", []), "content: given list"),
    "binary index": (lambda f: (f / "model_index.json").write_bytes(b"\xff\xfe\x00"), "content: given"),
    "other pipeline": (
        lambda f: edit_index(f, _class_name="WanPipeline"),
        "_class_name: given WanPipeline; accepted: Wan",
    ),
    "no vae named": (lambda f: edit_index(f, vae=[None, None]), "vae: given not named"),
    "no network named": (lambda f: edit_index(f, transformer=[None, None]), "transformer: given not named"),
    "part missing": (remove_part, "vae: part: given missing"),
    "second network missing": (lambda f: edit_index(f, transformer_2=INDEX["transformer"]), "transformer_2: part"),
    "config missing": (lambda f: (f / "vae" / "config.json").unlink(), "vae/config.json: file: given missing"),
    "scheduler config missing": (
        lambda f: (f / "scheduler" / "scheduler_config.json").unlink(),
        "scheduler_config.json: file: given missing",
    ),
    "weights missing": (lambda f: (f / "vae" / WEIGHTS).unlink(), "vae: weights: given no"),
    "shard missing": (shard, "part-2.safetensors: weights: given missing"),
    "pickle in a part": (lambda f: (f / "vae" / "model.bin").write_bytes(b""), "model.bin: weight format: given"),
    "pickle elsewhere": (lambda f: (f / "old.CKPT").write_bytes(b""), "old.CKPT: weight format"),
    "empty weights": (lambda f: cut(f, 0), "size: given 0 bytes, cut inside the header"),
    "cut in the header": (lambda f: cut(f, 30), "size: given 30 bytes, cut inside the header"),
    "cut in the data": (lambda f: cut(f, -1), "bytes; accepted: "),
    "scheduler of another prediction": (
        lambda f: edit_index(f, scheduler=["diffusers", "UniPCMultistepScheduler"]),
        "scheduler_config.json: prediction_type: given none of UniPCMultistepScheduler; accepted: flow_prediction with",
    ),
    "noise of no stream": (
        lambda f: write_json(f / "scheduler/scheduler_config.json", {"stochastic_sampling": True}),
        "stochastic_sampling: given True",
    ),
    "not safetensors": (
        lambda f: (f / "vae" / WEIGHTS).write_bytes((4).to_bytes(8, "little") + b"abcd"),
        "header: given unreadable",
    ),
}


def test_a_whole_folder_is_accepted(folder):
    check_folder(folder)
    check_folder(folder, hash_folder(folder))
    check_fit(folder, frames=9, height=32, width=32)


def test_no_such_folder(tmp_path):
    with pytest.raises(Refused, match="nowhere: model folder: given no such folder"):
        check_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("case", list(BAD_FOLDERS))
def test_a_bad_folder_is_refused_in_one_line(folder, case):
    spoil, message = BAD_FOLDERS[case]
    spoil(folder)
    with pytest.raises(Refused) as refusal:
        check_folder(folder)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_swapped_weights_are_refused(folder):
    hashes = hash_folder(folder)
    first, second = folder / "transformer" / WEIGHTS, folder / "vae" / WEIGHTS
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    check_folder(folder)
    with pytest.raises(Refused, match=f"transformer/{WEIGHTS}: sha256: given"):
        check_folder(folder, hashes)


def test_a_file_that_the_hashes_name_must_be_there(folder):
    hashes = hash_folder(folder) | {"README.md": "0" * 64}
    with pytest.raises(Refused, match=r"README\.md: file: given missing"):
        check_folder(folder, hashes)


@pytest.mark.parametrize("name", ["notes.txt", "vae/README.md", "vae/second.safetensors", ".hidden"])
def test_a_file_that_the_hashes_do_not_name_is_refused(folder, name):
    hashes = hash_folder(folder)
    (folder / name).write_bytes((folder / "vae" / WEIGHTS).read_bytes())
    check_folder(folder)
    with pytest.raises(Refused, match=rf"/{name}: file: given not named in SHA256SUMS; accepted: "):
        check_folder(folder, hashes)


def test_manifest_and_card_need_no_hash(folder):
    hashes = hash_folder(folder)
    for name in ("SHA256SUMS", "README.md"):
        (folder / name).write_text("text")
    check_folder(folder, hashes)


def test_hashes_are_sha256_by_relative_path(folder):
    hashes = hash_folder(folder)
    assert list(hashes) == sorted(hashes)
    assert f"vae/{WEIGHTS}" in hashes and "model_index.json" in hashes
    assert all(len(value) == 64 for value in hashes.values())


@pytest.mark.parametrize(
    ("frames", "height", "width", "message"),
    [
        (0, 32, 32, "frames: given 0"),
        (9.5, 32, 32, "frames: given 9.5"),
        (9, 36, 32, "height: given 36; accepted: a multiple of 8"),
        (9, 32, 33, "width: given 33; accepted: a multiple of 8"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(folder, frames, height, width, message):
    with pytest.raises(Refused, match=message):
        check_fit(folder, frames, height, width)


def test_older_configs_mean_the_defaults_of_wan(folder):
    write_json(folder / "vae" / "config.json", {})
    write_json(folder / "transformer" / "config.json", {})
    check_fit(folder, frames=81, height=480, width=832)
    with pytest.raises(Refused, match=r"frames: given 80; accepted: 1 \+ a multiple of 4"):
        check_fit(folder, frames=80, height=480, width=832)


def test_the_check_needs_no_torch():
    code = "import sys; import chainofsteps.models.check; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
