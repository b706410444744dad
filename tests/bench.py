"""A small bench in the layout of VBVR-Bench, drawn by the worlds of this project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from chainofsteps.readout.cases import case_dataset
from chainofsteps.videos.files import write_video

SCALE = 4
TASKS = {"In-Domain_50/G-1_rotation_data-generator": "rotation", "Out-of-Domain_50/O-39_maze_data-generator": "maze"}
COUNT = 2


def enlarged(pictures: np.ndarray) -> np.ndarray:
    """Pictures (..., y, x, channel) with every pixel a square."""
    return pictures.repeat(SCALE, axis=-3).repeat(SCALE, axis=-2)


def write_bench(root: Path) -> Path:
    """Two tasks of two cases each."""
    for task, family in TASKS.items():
        cases = case_dataset(family, "pilot", 500000, COUNT)
        for number in range(COUNT):
            folder = root / task / f"{number:05d}"
            folder.mkdir(parents=True)
            case = cases.isel(case=number)
            video = enlarged(case["ground_truth"].values)
            Image.fromarray(enlarged(case["first_frame"].values)).save(folder / "first_frame.png")
            Image.fromarray(video[-1]).save(folder / "final_frame.png")
            write_video(folder / "ground_truth.mp4", video, 16)
            (folder / "prompt.txt").write_text(f"{case['prompt'].item()}\n")
    return root
