"""Maze videos read by another's scorer: VBVR-Bench's O-39 (Apache-2.0), as lmms-eval 0.7.3 carries it.

    pip download --no-deps lmms-eval==0.7.3 && unzip -d lmms lmms_eval-0.7.3-*.whl
    pip install opencv-python-headless        # beside, not in, the project's environment: benchmarks alone need it
    python benchmarks/external_scorer.py lmms/lmms_eval/tasks/vbvr [MODEL] [COUNT]

Writes benchmarks/external_scorer.csv. O-39 asks for a trail in the last frame, which these worlds do not draw. It is
drawn here from the video's own pixels, without our reader: the centre of what is yellow in each frame, joined by lines.
Then first and last frame are enlarged 16 times and scored. ``agreement`` is the share of videos that both call solved
(theirs: full marks) or both do not; the controls are plans whose success is known, and show what the scorer cannot see.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import read_manifest
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset, case_of
from chainofsteps.readout.success import video_scores
from chainofsteps.sampling.trajectories import sample_videos

FIRST, SCALE = 300_000, 16
TRAIL = (255, 165, 0)  # inside the scorer's range of hues
ORDERS = {"joint": {"order": "joint", "steps": 20}, "frame_by_frame": {"order": "frame_by_frame", "steps": 4}}


def yellow_centre(frame: np.ndarray) -> tuple[int, int] | None:
    """Centre, in enlarged pixels, of what is yellow in a frame (32, 32, 3); none if nothing is."""
    red, green, blue = (frame[..., channel].astype(int) for channel in range(3))
    rows, cols = np.nonzero((red > 180) & (green > 180) & (blue < 100))
    if not len(rows):
        return None
    return round((cols.mean() + 0.5) * SCALE), round((rows.mean() + 0.5) * SCALE)


def with_trail(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First frame, and last frame with the trail, enlarged, in OpenCV's order of colours."""
    first, last = (cv2.resize(video[i], None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST) for i in (0, -1))
    centres = [centre for centre in map(yellow_centre, video) if centre is not None]
    for one, other in zip(centres, centres[1:] + centres[-1:], strict=True):
        cv2.line(last, one, other, TRAIL, thickness=SCALE)
    return first[..., ::-1].copy(), last[..., ::-1].copy()


def main(package: str, name: str = "mini", count: str = "128") -> None:
    """Measure and write the table."""
    sys.path.insert(0, package)
    from vbvr_bench.evaluators.Out_of_Domain_50_part4 import MazePathfindingEvaluator

    scorer = MazePathfindingEvaluator("cpu", "O-39_maze_data-generator")

    def theirs(videos: np.ndarray) -> np.ndarray:
        pairs = map(with_trail, videos)
        return np.array([scorer._evaluate_task_specific([*pair], [], None, None, {}) for pair in pairs])

    model = load_yaml("config/models.yaml")[name]
    pipe = load_pipeline(model["path"], hashes=read_manifest(model["path"], model["revision"]))
    cases = case_dataset("maze", "pilot", FIRST, int(count))
    truths = [case_of(cases, case_id) for case_id in cases["case"].values]
    videos = {
        f"control: {control}": np.stack([case.render(worlds.control_plans(case)[control]) for case in truths])
        for control in worlds.control_plans(truths[0])
    }
    # Few evaluations leave videos that are not solved, so that there is more to agree on.
    sampled = ORDERS | {"joint, 2 steps": {"order": "joint", "steps": 2}}
    for order, settings in sampled.items():
        videos[order] = sample_videos(pipe, cases, model, settings, [0], 32)[:, 0]
    rows = []
    for source, shown in videos.items():
        ours, scores = video_scores(cases, shown[:, None])[:, 0] == 1, theirs(shown)
        full = np.isclose(scores, 1)
        rows.append(
            {
                "videos": source,
                "n": len(ours),
                "ours_solved": ours.mean(),
                "theirs_mean_score": scores.mean(),
                "theirs_full_marks": full.mean(),
                "agreement": (ours == full).mean(),
            }
        )
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.3f")


if __name__ == "__main__":
    main(*sys.argv[1:])
