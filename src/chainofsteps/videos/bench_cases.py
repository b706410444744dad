"""Cases of a bench as a model is given them: chosen, of its size, each with a seed of its own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from chainofsteps import datasets
from chainofsteps.configuration import check_choice
from chainofsteps.refusal import Refused
from chainofsteps.videos.files import write_video
from chainofsteps.videos.vbvr import BenchCase, load_case

SEED_BITS = 62


def chosen(names: Sequence[str], tasks: Sequence[str], count: int) -> list[int]:
    """Where the first cases of each task stand among all cases of a bench.

    Parameters
    ----------
    names : sequence of str
        ``split/task/number`` of each case.
    tasks : sequence of str
        Names of generators; all of them where none is given.
    count : int
        Cases a task and split.

    Raises
    ------
    Refused
        A task that the bench does not have, or has fewer cases of in a split.
    """
    groups = [tuple(name.split("/")[:2]) for name in names]
    for task in tasks:
        check_choice("config/config.yaml", "bench.tasks", task, sorted({group[1] for group in groups}))
    for group, there in sorted(Counter(groups).items()):
        if there < count and (not tasks or group[1] in tasks):
            raise Refused("config/config.yaml", "bench.count", count, f"at most {there}: all of {'/'.join(group)}")
    return [
        number
        for number, group in enumerate(groups)
        if (not tasks or group[1] in tasks) and groups[:number].count(group) < count
    ]


def choose_cases(index: xr.Dataset, tasks: Sequence[str], count: int) -> xr.Dataset:
    """The first cases of each task; `index` by the ``bench`` schema, the others as of `chosen`."""
    return index.isel(case=chosen(index["case"].values.astype(str).tolist(), tasks, count))


def check_lengths(root: str | Path, index: xr.Dataset, latent_frames: int) -> None:
    """Refuse a ground truth of fewer frames than a model has latent frames.

    All that is said of frames here is said of latent frames. Brought to the model's number of frames, such a video
    would show several of them the same picture: a truth that stands still where the bench's own moves.

    Parameters
    ----------
    root : path
        Folder of the bench.
    index : Dataset
        By the ``bench`` schema: the chosen cases.
    latent_frames : int

    Raises
    ------
    Refused
    """
    for name, frames in zip(index["case"].values.astype(str), index["frames"].values.tolist(), strict=True):
        if frames < latent_frames:
            accepted = f"at least {latent_frames}, the model's latent frames"
            raise Refused(Path(root, name, "ground_truth.mp4"), "frames", frames, accepted)


def case_seed(case_id: str) -> int:
    """Seed of a case of a bench: of its name, so that it stays when other cases are chosen."""
    return int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:8], "big") >> (64 - SEED_BITS)


def resized(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pictures of another size: each pixel the mean of the area it covers; enlarged, cubic between pixels.

    Parameters
    ----------
    pictures : ndarray of uint8, (..., y, x, channel)
        Of any shape; it is not kept, as no pipeline of this project crops.
    height, width : int

    Returns
    -------
    ndarray of uint8, (..., height, width, channel)
    """
    smaller = height <= pictures.shape[-3] and width <= pictures.shape[-2]
    way = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    made = np.stack([np.asarray(Image.fromarray(picture).resize((width, height), way)) for picture in flat])
    return made.reshape(*pictures.shape[:-3], *made.shape[1:])


def in_frames(video: np.ndarray, frames: int) -> np.ndarray:
    """So many frames of a video (frame, ...), at even distances, the first and the last among them."""
    return video[np.linspace(0, len(video) - 1, frames).round().astype(int)]


def model_cases(root: str | Path, index: xr.Dataset, height: int, width: int) -> xr.Dataset:
    """Cases as a model takes them.

    Ground truths are not in it: a bench's would fill the memory. :func:`ground_truth` reads one.

    Parameters
    ----------
    root : path
        Folder of the bench.
    index : Dataset
        By the ``bench`` schema: the chosen cases.
    height, width : int
        Of the model's videos.

    Returns
    -------
    Dataset
        By the ``bench_cases`` schema.

    Raises
    ------
    Refused
        A case whose files are not those of the index; as :func:`chainofsteps.videos.vbvr.load_case`.
    """
    names = index["case"].values.astype(str)
    pictures = [resized(unchanged_case(root, index, name).first_frame, height, width) for name in names]
    shape = {"height": height, "width": width}
    return xr.Dataset(
        {
            **{key: index[key] for key in ("prompt", "task", "digest", "frames", "fps")},
            "case_seed": ("case", np.array([case_seed(name) for name in names], np.int64)),
            # A bench grades nothing; the datasets of trajectories ask for it.
            "difficulty": ("case", np.zeros(len(names), np.int16)),
            "first_frame": (("case", "y", "x", "channel"), np.stack(pictures)),
        },
        coords={"case": index["case"], "channel": np.array(["red", "green", "blue"], object)},
        attrs=datasets.attributes(
            {"bench": index["digest"].values.tolist(), **shape}, family=index.attrs["family"], purpose="bench"
        ),
    )


def ground_truth(root: str | Path, cases: xr.Dataset, case_id: str, frames: int) -> np.ndarray:
    """Ground-truth video of a case, of the model's frames and pixels; uint8 (frame, y, x, channel).

    Raises
    ------
    Refused
        Files that changed since the cases were read.
    """
    case = unchanged_case(root, cases, case_id)
    return resized(in_frames(case.ground_truth, frames), cases.sizes["y"], cases.sizes["x"])


def unchanged_case(root: str | Path, cases: xr.Dataset, case_id: str) -> BenchCase:
    """A case with its pictures as the bench has them, held to the hash that the dataset states.

    Raises
    ------
    Refused
    """
    case, accepted = load_case(root, case_id), str(cases["digest"].sel(case=case_id).item())
    if case.digest != accepted:
        raise Refused(Path(root, case_id), "digest", case.digest, f"{accepted}, as when the cases were read")
    return case


def video_name(case_id: str, seed: int) -> str:
    """File of the video of a case and generation seed, in the folder of an experiment."""
    return f"{case_id}/{seed}.mp4"


def write_videos(folder: str | Path, cases: xr.Dataset, videos: xr.DataArray) -> None:
    """Write finished videos as files, each as long as the ground truth of its case.

    Parameters
    ----------
    folder : path
    cases : Dataset
        By the ``bench_cases`` schema.
    videos : DataArray of uint8, (case, seed, frame, y, x, channel)
    """
    for case_id, frames, fps in zip(*(cases[name].values for name in ("case", "frames", "fps")), strict=True):
        for seed in videos["seed"].values:
            path = Path(folder, video_name(str(case_id), int(seed)))
            path.parent.mkdir(parents=True, exist_ok=True)
            video = videos.sel(case=case_id, seed=seed).transpose("frame", "y", "x", "channel").values
            write_video(path, video, float(fps) * len(video) / int(frames))
