"""Scores of a bench's videos, beside those of their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from chainofsteps import datasets
from chainofsteps.readout.control_videos import CONTROLS, TRUTH, control_videos
from chainofsteps.readout.scorers import METRICS, Scorers, is_evidence
from chainofsteps.refusal import Refused
from chainofsteps.videos.bench_cases import resized, unchanged_case, video_name
from chainofsteps.videos.files import read_video, write_video
from chainofsteps.videos.vbvr import picture_size


def check_scorable(root: str | Path, names: Sequence[str], scorers: Scorers) -> None:
    """Refuse what cannot be scored; nothing but folders and the heads of pictures is read.

    Parameters
    ----------
    root : path
        Folder of the bench.
    names : sequence of str
        ``split/task/number`` of each case.
    scorers : Scorers

    Raises
    ------
    Refused
        A task without a scorer, which would be scored by picture quality alone, in silence; pictures with an odd side,
        in whose size no video can be written.
    """
    for name in names:
        task, picture = name.split("/")[1], Path(root, name, "first_frame.png")
        if task not in scorers.tasks:
            accepted = f"one of the {len(scorers.tasks)} tasks of {scorers.name} {scorers.version}"
            raise Refused("config/config.yaml", "bench.tasks", task, accepted)
        height, width = picture_size(picture)
        if height % 2 or width % 2:
            raise Refused(picture, "pixels", f"{height} x {width}", "even sides, as scored videos need them")


def score_bench(
    root: str | Path,
    cases: xr.Dataset,
    folders: Mapping[str, Path],
    seeds: Sequence[int],
    scorers: Scorers,
    scratch: Path,
) -> xr.Dataset:
    """Score the finished videos of all sampling experiments, and the controls.

    Videos are brought to the size of the bench before: scorers would crop what they take for a border. Controls are
    written as the videos are, so that both went through the same file format.

    Parameters
    ----------
    root : path
        Folder of the bench.
    cases : Dataset
        By the ``bench_cases`` schema.
    folders : mapping
        Sampling experiment -> folder of its videos.
    seeds : sequence of int
    scorers : Scorers
    scratch : Path
        Folder for the files that are scored.

    Returns
    -------
    Dataset
        By the ``bench_scores`` schema; attributes of the model are the caller's to add.

    Raises
    ------
    Refused
        As `check_scorable`; a video that is missing or broken; a case that changed.
    """
    check_scorable(root, cases["case"].values.astype(str).tolist(), scorers)
    made: list[list[float | None]] = []
    controls: list[list[float | None]] = []
    file = scratch / "video.mp4"
    for case_id, task in zip(cases["case"].values.astype(str), cases["task"].values.astype(str), strict=True):
        case, folder = unchanged_case(root, cases, case_id), Path(root, case_id)

        def marks(frames: np.ndarray, fps: float, task: str = task, folder: Path = folder) -> list[float | None]:
            write_video(file, frames, fps)
            return [scorers.evaluate(task, file, folder, metric) for metric in METRICS]

        for video in control_videos(case.ground_truth).values():
            controls.append(marks(video, case.fps))
        for place in folders.values():
            for seed in seeds:
                frames, fps = read_video(place / video_name(case_id, seed))
                made.append(marks(resized(frames, *case.first_frame.shape[:2]), fps))
    shape = (cases.sizes["case"], len(folders), len(seeds), len(METRICS))
    score, scored = _filled(made, shape)
    control_score, control_scored = _filled(controls, (shape[0], len(CONTROLS), shape[3]))
    listed = np.reshape(np.array(controls, object), control_score.shape)
    evidence = [
        [is_evidence(dict(zip(CONTROLS, of_case[:, metric], strict=True))) for metric in range(shape[3])]
        for of_case in listed
    ]
    of_video = ("case", "sampled", "seed", "metric")
    return xr.Dataset(
        {
            "score": (of_video, score),
            "scored": (of_video, scored),
            "control_score": (("case", "control", "metric"), control_score),
            "control_scored": (("case", "control", "metric"), control_scored),
            "evidence": (("case", "metric"), np.array(evidence, np.int8)),
        },
        coords={
            "case": cases["case"],
            "sampled": np.array(list(folders), object),
            "seed": np.array(seeds, np.int64),
            "metric": np.array(list(METRICS), object),
            "control": np.array(CONTROLS, object),
        },
        attrs=datasets.attributes(
            {"cases": cases.attrs["config_hash"], "seeds": list(seeds)},
            family=cases.attrs["family"],
            purpose=cases.attrs["purpose"],
            scorer=scorers.name,
            scorer_version=scorers.version,
        ),
    )


def _filled(scores: list[list[float | None]], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Scores, 0 where there is none, and where there is one."""
    there = np.array([[each is not None for each in row] for row in scores], np.int8).reshape(shape)
    values = np.array([[each or 0.0 for each in row] for row in scores], np.float32).reshape(shape)
    return values, there


def score_table(scores: xr.Dataset) -> pd.DataFrame:
    """Scores by experiment and metric, those that are evidence apart from those that are not.

    Returns
    -------
    DataFrame
        ``experiment`` (``control: static`` and so on for the controls), ``metric``, ``scorer``, ``version``, ``cases``;
        ``score`` over all that were scored, which is no evidence; ``cases_of_evidence``, and ``score_of_evidence`` over
        these; ``says`` in words whether there is any.
    """
    evidence = scores["evidence"] == 1
    sources = {str(name): (scores["score"], scores["scored"], {"sampled": name}) for name in scores["sampled"].values}
    sources |= {
        f"control: {name}": (scores["control_score"], scores["control_scored"], {"control": name})
        for name in scores["control"].values
    }
    rows = []
    for source, (score, scored, where) in sources.items():
        for metric in scores["metric"].values:
            given = score.sel(where | {"metric": metric}).where(scored.sel(where | {"metric": metric}) == 1)
            per_case = given.mean("seed") if "seed" in given.dims else given
            holds = evidence.sel(metric=metric)
            count = int((holds & per_case.notnull()).sum())
            rows.append(
                {
                    "experiment": source,
                    "metric": str(metric),
                    "scorer": scores.attrs["scorer"],
                    "version": scores.attrs["scorer_version"],
                    "cases": int(per_case.notnull().sum()),
                    "score": float(per_case.mean()),
                    "cases_of_evidence": count,
                    "score_of_evidence": float(per_case.where(holds).mean()),
                    "says": _said(count, scores.sizes["case"]),
                }
            )
    return pd.DataFrame(rows)


def _said(count: int, cases: int) -> str:
    if not count:
        return f"no evidence: in no case does the scorer put the {TRUTH} above all that is wrong"
    return "evidence" if count == cases else f"evidence in {count} of {cases} cases; of the others none"
