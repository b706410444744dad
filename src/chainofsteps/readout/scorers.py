"""Others' scorers of videos: those of VBVR-Bench (Apache-2.0), as the wheel of lmms-eval carries them.

An optional extra, and never without controls: a score says something of a case only where the ground truth scores above
videos that are known to be wrong. The wheel is looked up, not imported: it depends on a hundred packages that the
scorers do not use.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from chainofsteps.readout.control_videos import CONTROLS, TRUTH
from chainofsteps.refusal import Refused

WHEEL, VERSION = "lmms-eval", "0.7.3"
METRICS = {"task": True, "blend": False}  # the task's rule alone?
_PLACE = ("tasks", "vbvr", "vbvr_bench")
_INSTALL = "`make scorers` (docs/vbvr.md)"


@dataclass(frozen=True)
class Scorers:
    """The scorers that are installed.

    Attributes
    ----------
    name, version : str
    evaluate : callable
        (task, video, folder of the case, metric) -> score in [0, 1], or None where the scorer failed.
    tasks : frozenset of str
        Names of the generators that have a scorer.
    """

    name: str
    version: str
    evaluate: Callable[[str, Path, Path, str], float | None]
    tasks: frozenset[str]


def find_scorers() -> Scorers:
    """The scorers of the installed wheel.

    Raises
    ------
    Refused
        None installed, another version than the pinned one, or no OpenCV.
    """
    found = importlib.util.find_spec("lmms_eval")
    if found is None or not found.submodule_search_locations:
        raise Refused("scorers", WHEEL, "not installed", _INSTALL)
    version = metadata.version(WHEEL)
    if version != VERSION:
        raise Refused("scorers", WHEEL, version, VERSION)
    if importlib.util.find_spec("cv2") is None:
        raise Refused("scorers", "opencv-python-headless", "not installed", _INSTALL)
    folder = Path(found.submodule_search_locations[0], *_PLACE)
    package = _PLACE[-1]
    if package not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            package, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    evaluators = importlib.import_module(f"{package}.evaluators")

    def evaluate(task: str, video: Path, folder: Path, metric: str) -> float | None:
        given = {
            "video_path": str(video),
            "gt_path": str(folder),
            "gt_video_path": str(folder / "ground_truth.mp4"),
            "gt_first_frame": str(folder / "first_frame.png"),
            "gt_final_frame": str(folder / "final_frame.png"),
        }
        return score_in(evaluators.get_evaluator(task, "cpu").evaluate(given, task_specific_only=METRICS[metric]))

    return Scorers(WHEEL, version, evaluate, frozenset(evaluators.list_all_tasks()))


def score_in(result: Mapping) -> float | None:
    """The score in a scorer's answer, 0 to 1; None where it is no number, or failed, which scorers take for 0."""
    return None if "error" in result or np.isnan(result["score"]) else float(np.clip(result["score"], 0, 1))


def is_evidence(scores: Mapping[str, float | None]) -> bool:
    """Whether a scorer's controls hold in a case: every one was scored, and the ground truth above all others.

    Parameters
    ----------
    scores : mapping
        Control -> score; None where the scorer failed.
    """
    values = {name: scores.get(name) for name in CONTROLS}
    if any(value is None for value in values.values()):
        return False
    return all(values[TRUTH] > value for name, value in values.items() if name != TRUTH)
