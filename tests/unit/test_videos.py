"""Videos as files, and the tree of a bench: what is whole is read, what is broken is named."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from chainofsteps import datasets
from chainofsteps.refusal import Refused
from chainofsteps.videos.files import measure_video, read_video, write_video
from chainofsteps.videos.vbvr import index_tree, load_case
from tests.bench import COUNT, TASKS, write_bench

CASE = "Out-of-Domain_50/O-39_maze_data-generator/00001"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return write_bench(tmp_path_factory.mktemp("bench") / "VBVR-Bench")


@pytest.fixture
def bench(shared, tmp_path):
    """A tree of links to the shared one's folders, so that a file may be put in the place of another."""
    for path in sorted(shared.rglob("*")):
        target = tmp_path / "bench" / path.relative_to(shared)
        if path.is_dir():
            target.mkdir(parents=True)
        else:
            os.link(path, target)
    return tmp_path / "bench"


def replaced(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def clip(frames=5, height=32, width=48):
    y, x = np.mgrid[:height, :width]
    pictures = [np.stack([(y * 4 + 9 * f) % 256, x * 3 % 256, y * 0 + 90], -1) for f in range(frames)]
    return np.stack(pictures).astype(np.uint8)


def test_a_video_comes_back_and_the_same_frames_give_the_same_bytes(tmp_path):
    video = clip()
    write_video(tmp_path / "a.mp4", video, 16)
    write_video(tmp_path / "b.mp4", video, 16)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    frames, fps = read_video(tmp_path / "a.mp4")
    assert fps == 16 and frames.shape == video.shape
    assert np.abs(frames.astype(int) - video).mean() < 6
    shape = measure_video(tmp_path / "a.mp4")
    assert (shape.frames, shape.height, shape.width, shape.fps) == (5, 32, 48, 16)
    assert os.listdir(tmp_path).count("a.mp4.part") == 0


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        (clip().astype(float), 16, "frames: given float64"),
        (clip()[..., 0], 16, "accepted: uint8"),
        (clip()[:0], 16, "accepted: uint8"),
        (clip(height=31), 16, "31 x 48 pixels; accepted: even sides"),
        (clip(), 0, "fps: given 0"),
        (clip(), float("inf"), "fps: given inf"),
    ],
)
def test_frames_that_are_no_video(tmp_path, frames, fps, message):
    with pytest.raises(Refused, match=message):
        write_video(tmp_path / "a.mp4", frames, fps)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_video(tmp_path):
    write_video(tmp_path / "a.mp4", clip(), 16)
    content = (tmp_path / "a.mp4").read_bytes()
    for name, bad in {"cut.mp4": content[: len(content) // 2], "text.mp4": b"not a video", "empty.mp4": b""}.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(Refused, match=f"{name}: content: given .*; accepted: a video"):
            read_video(tmp_path / name)
    with pytest.raises(Refused, match=r"none\.mp4: file: given missing"):
        measure_video(tmp_path / "none.mp4")


def test_a_bench_is_listed(shared, tmp_path):
    index = index_tree(shared)
    assert index.sizes["case"] == len(TASKS) * COUNT and CASE in index["case"].values
    assert set(index["frames"].values) == {9} and set(index["height"].values) == {128}
    assert all(index["prompt"].values) and len(set(index["digest"].values)) == index.sizes["case"]
    for name in ("a.nc", "b.nc"):
        datasets.write(index_tree(shared), tmp_path / name, "bench")
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    case = load_case(shared, CASE)
    assert case.ground_truth.shape == (9, 128, 128, 3) and case.first_frame.shape == (128, 128, 3)
    # Compression aside, the video begins and ends as the pictures do.
    for picture, frame in ((case.first_frame, case.ground_truth[0]), (case.final_frame, case.ground_truth[-1])):
        assert np.abs(picture.astype(int) - frame).mean() < 6


def test_the_other_bench_has_metadata(bench):
    before = index_tree(bench)
    (bench / CASE / "metadata.json").write_text('{"task": "maze"}')
    after = index_tree(bench)
    assert (before["digest"] != after["digest"]).sum() == 1
    (bench / CASE / "metadata.json").write_text("[1]")
    with pytest.raises(Refused, match=r"metadata\.json: content: given list; accepted: a JSON object"):
        index_tree(bench)


def grey(path, size):
    Image.new("RGB", size).save(path, "png")


def bomb(path):
    """A picture that says that it has 900 million pixels."""
    content = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", 30000, 30000) + content[24:29]
    replaced(path, content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])


FAULTS = {
    "a bomb": (lambda f: bomb(f / "first_frame.png"), "first_frame.png: content: .*a PNG"),
    "no prompt": (lambda f: (f / "prompt.txt").unlink(), "prompt.txt: file: given missing"),
    "empty prompt": (lambda f: replaced(f / "prompt.txt", b" \n"), "prompt.txt: prompt: given 0 characters"),
    "long prompt": (lambda f: replaced(f / "prompt.txt", b"a" * 5000), "prompt: given 5000 characters; accepted: 1 to"),
    "no text": (lambda f: replaced(f / "prompt.txt", b"\xff\xfe\x00"), "prompt.txt: content: .*accepted: UTF-8"),
    "no picture": (lambda f: replaced(f / "first_frame.png", b"GIF89a"), "first_frame.png: content: .*a PNG"),
    "other size": (
        lambda f: ((f / "final_frame.png").unlink(), grey(f / "final_frame.png", (64, 128))),
        "final_frame.png: pixels: given 128 x 64; accepted: 128 x 128, as the video has them",
    ),
    "no video": (lambda f: replaced(f / "ground_truth.mp4", b"x" * 99), "ground_truth.mp4: content"),
    "one frame": (
        lambda f: ((f / "ground_truth.mp4").unlink(), write_video(f / "ground_truth.mp4", clip(1, 128, 128), 16)),
        "ground_truth.mp4: frames: given 1; accepted: at least 2",
    ),
    "a link out": (
        lambda f: ((f / "prompt.txt").unlink(), (f / "prompt.txt").symlink_to("/etc/hostname")),
        "prompt.txt: file: given a link out of the tree",
    ),
    "a number": (lambda f: f.rename(f.with_name("1")), "1: folder: given 1; accepted: a case: five digits"),
    "a task": (lambda f: f.parent.rename(f.parent.with_name("maze")), "maze: folder: given maze; accepted: a task"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_broken_is_named(bench, name):
    spoil, message = FAULTS[name]
    spoil(bench / CASE)
    with pytest.raises(Refused, match=message):
        index_tree(bench)


def test_a_video_that_holds_fewer_frames_than_it_says(bench):
    """An edit list, as of a clip that was trimmed without being encoded anew: players pass over its beginning."""
    path = bench / CASE / "ground_truth.mp4"
    trimmed = path.with_name("trimmed.mp4")
    with (
        av.open(str(path)) as given,
        av.open(str(trimmed), "w", options={"avoid_negative_ts": "disabled"}) as made,
    ):
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in (packet for packet in given.demux(video=0) if packet.size):
            shift = 3 * packet.duration
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            made.mux(packet)
    trimmed.replace(path)
    assert set(index_tree(bench)["frames"].values) == {9}
    with pytest.raises(Refused, match=r"ground_truth\.mp4: frames: given 6 decoded; accepted: 9, as it says"):
        load_case(bench, CASE)


def test_no_bench(tmp_path):
    with pytest.raises(Refused, match="cases: given none"):
        index_tree(tmp_path)
    with pytest.raises(Refused, match="folder: given missing"):
        index_tree(tmp_path / "nothing")
    for name in ("../../etc", "a/b/c", "In-Domain_50/G-1_rotation_data-generator/1"):
        with pytest.raises(Refused, match="case: given"):
            load_case(tmp_path, name)
