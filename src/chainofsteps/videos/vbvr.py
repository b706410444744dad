"""The tree of VBVR-Bench (arXiv:2602.20159) and VBVR-Pro-Bench (arXiv:2608.26105), read as cases.

    {split}/{task}_data-generator/{number}/{first_frame.png, final_frame.png, ground_truth.mp4, prompt.txt}

with a ``metadata.json`` beside them in the second bench. There is no symbolic truth: what is known of a case is its
ground-truth video.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from chainofsteps import datasets
from chainofsteps.refusal import Refused
from chainofsteps.videos.files import VideoShape, measure_video, read_video

FAMILY = "vbvr"
FILES = ("first_frame.png", "final_frame.png", "ground_truth.mp4", "prompt.txt")
METADATA = "metadata.json"
LONGEST_PROMPT = 4000  # characters; a prompt is cut to the model's tokens in any case
_SPLIT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TASK = re.compile(r"[A-Z]+-\d+_[A-Za-z0-9_-]+_data-generator")
_NUMBER = re.compile(r"\d{5}")
_BAD_PICTURE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises of one


@dataclass(frozen=True, eq=False)
class BenchCase:
    """One case with its pictures.

    Attributes
    ----------
    case_id : str
        ``split/task/number``.
    prompt : str
    first_frame, final_frame : ndarray of uint8, (y, x, channel)
    ground_truth : ndarray of uint8, (frame, y, x, channel)
    fps : float
    digest : str
        sha256 over its files, as the index states it.
    """

    case_id: str
    prompt: str
    first_frame: np.ndarray
    final_frame: np.ndarray
    ground_truth: np.ndarray
    fps: float
    digest: str


def list_cases(root: str | Path) -> list[str]:
    """Names of the cases of a bench, in their order: its folders are looked at, no file is.

    Raises
    ------
    Refused
        No case; a folder with another name.
    """
    names = [folder.relative_to(root).as_posix() for folder in _case_folders(Path(root))]
    if not names:
        raise Refused(root, "cases", "none", "{split}/{task}_data-generator/{five digits}/")
    return names


def index_tree(root: str | Path) -> xr.Dataset:
    """What a bench holds: every case is looked at, none is decoded.

    Parameters
    ----------
    root : path
        Folder of the splits.

    Returns
    -------
    Dataset
        By the ``bench`` schema, over ``case`` in the order of their names; the same tree gives the same bytes.

    Raises
    ------
    Refused
        No case; a folder or file with another name; a file that is missing, leads out of the tree or cannot be read; a
        prompt that is empty or too long; pictures and video of different sizes; a video of fewer than two frames.
    """
    root = Path(root)
    rows = [_measured(root, root / name) for name in list_cases(root)]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    texts = {key: ("case", np.array(columns[key], object)) for key in ("prompt", "split", "task", "digest")}
    sizes = {key: ("case", np.array(columns[key], np.int32)) for key in ("frames", "height", "width")}
    rates = {"fps": ("case", np.array(columns["fps"], np.float32))}
    return xr.Dataset(
        {**texts, **sizes, **rates},
        coords={"case": np.array(columns["case"], object)},
        attrs=datasets.attributes(columns["digest"], family=FAMILY, purpose="bench"),
    )


def load_case(root: str | Path, case_id: str) -> BenchCase:
    """A case with its pictures.

    Raises
    ------
    Refused
        A name that is no case's; as `index_tree`.
    """
    parts = case_id.split("/")
    if len(parts) != 3 or not all(
        pattern.fullmatch(part) for pattern, part in zip((_SPLIT, _TASK, _NUMBER), parts, strict=True)
    ):
        raise Refused(root, "case", case_id, "split/task_data-generator/number")
    root, folder = Path(root), Path(root, case_id)
    row = _measured(root, folder)
    truth, fps = read_video(folder / "ground_truth.mp4")
    if len(truth) != row["frames"]:
        raise Refused(folder / "ground_truth.mp4", "frames", f"{len(truth)} decoded", f"{row['frames']}, as it says")
    first, final = (_picture(folder / name) for name in FILES[:2])
    return BenchCase(case_id, str(row["prompt"]), first, final, truth, fps, str(row["digest"]))


def _case_folders(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise Refused(root, "folder", "missing", "the folder of a bench")
    for split in _folders(root, _SPLIT, "a split: letters, digits, - and _"):
        for task in _folders(split, _TASK, "a task: O-39_maze_data-generator"):
            yield from _folders(task, _NUMBER, "a case: five digits")


def _folders(parent: Path, pattern: re.Pattern, accepted: str) -> list[Path]:
    """Folders in a folder, each of an accepted name; files beside them, a licence say, are of no matter."""
    found = sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    for path in found:
        if not pattern.fullmatch(path.name):
            raise Refused(path, "folder", path.name, accepted)
    return found


def _measured(root: Path, folder: Path) -> dict[str, object]:
    names = [*FILES, *([METADATA] if (folder / METADATA).exists() else [])]
    for name in names:
        path = folder / name
        if not path.is_file():
            raise Refused(path, "file", "missing", ", ".join(FILES))
        if not path.resolve().is_relative_to(root.resolve()):
            raise Refused(path, "file", "a link out of the tree", "a file in it")
    if METADATA in names:
        _check_json(folder / METADATA)
    shape = measure_video(folder / "ground_truth.mp4")
    if shape.frames < 2:
        raise Refused(folder / "ground_truth.mp4", "frames", shape.frames, "at least 2")
    for name in FILES[:2]:
        _check_picture(folder / name, shape)
    split, task, number = folder.relative_to(root).parts
    digest = hashlib.sha256(b"".join(hashlib.sha256((folder / name).read_bytes()).digest() for name in names))
    return {
        "case": f"{split}/{task}/{number}",
        "split": split,
        "task": task,
        "prompt": _prompt(folder / "prompt.txt"),
        "digest": digest.hexdigest(),
        "frames": shape.frames,
        "height": shape.height,
        "width": shape.width,
        "fps": shape.fps,
    }


def _check_json(path: Path) -> None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(path, "content", error, "a JSON object") from None
    if not isinstance(content, dict):
        raise Refused(path, "content", type(content).__name__, "a JSON object")


def picture_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture, which is not decoded.

    Raises
    ------
    Refused
        No PNG picture.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return picture.size[::-1]
    except _BAD_PICTURE as error:
        raise Refused(path, "content", error, "a PNG picture") from None


def _check_picture(path: Path, shape: VideoShape) -> None:
    height, width = picture_size(path)
    if (height, width) != (shape.height, shape.width):
        accepted = f"{shape.height} x {shape.width}, as the video has them"
        raise Refused(path, "pixels", f"{height} x {width}", accepted)


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return np.asarray(picture.convert("RGB"))
    except _BAD_PICTURE as error:
        raise Refused(path, "content", error, "a PNG picture that is whole") from None


def _prompt(path: Path) -> str:
    try:
        prompt = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise Refused(path, "content", error, "UTF-8 text") from None
    if not 0 < len(prompt) <= LONGEST_PROMPT:
        raise Refused(path, "prompt", f"{len(prompt)} characters", f"1 to {LONGEST_PROMPT}")
    return prompt
