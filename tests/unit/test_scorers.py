"""Scores and their controls: what is evidence, what the controls are, and the real scorers where they are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from chainofsteps import datasets
from chainofsteps.readout import scorers
from chainofsteps.readout.bench_scores import check_scorable, score_bench, score_table
from chainofsteps.readout.control_videos import CONTROLS, TRUTH, control_videos, led_straight
from chainofsteps.refusal import Refused
from chainofsteps.videos import bench_cases
from chainofsteps.videos.files import read_video
from chainofsteps.videos.vbvr import index_tree
from tests.bench import write_bench
from tests.scripts import Job

INSTALLED = all(importlib.util.find_spec(name) for name in ("lmms_eval", "cv2"))
WRONG = [name for name in CONTROLS if name != TRUTH]


def scored(**changes):
    return {TRUTH: 0.9, **dict.fromkeys(WRONG, 0.4)} | changes


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ({"score": 0.25}, 0.25),
        ({"score": 1.5}, 1.0),
        ({"score": -1}, 0.0),
        ({"score": 0.0, "error": "no ball"}, None),
        ({"score": float("nan")}, None),
    ],
)
def test_what_failed_is_not_scored(answer, score):
    assert scorers.score_in(answer) == score


def test_controls_hold_where_the_truth_is_above_all():
    assert scorers.is_evidence(scored())


@pytest.mark.parametrize("control", WRONG)
@pytest.mark.parametrize("score", [0.9, 0.95, None])
def test_one_control_that_fails_is_enough(control, score):
    assert not scorers.is_evidence(scored(**{control: score}))


def test_a_truth_that_was_not_scored_is_no_evidence():
    assert not scorers.is_evidence(scored(ground_truth=None))
    assert not scorers.is_evidence({TRUTH: 1.0})


def test_controls_are_what_they_are_called():
    truth = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, 3) * 50
    made = control_videos(truth)
    assert tuple(made) == CONTROLS
    shown = {name: video[:, 0, 0, 0].tolist() for name, video in made.items()}
    assert shown == {
        "ground_truth": [0, 50, 100, 150, 200],
        "static": [0] * 5,
        "reversed": [200, 150, 100, 50, 0],
        "jump": [0, 200, 200, 200, 200],
        "cross_fade": [0, 50, 100, 150, 200],
        "wall_cut": [0, 50, 100, 150, 200],  # nothing stands out from what rests
    }
    assert all(video.dtype == np.uint8 and video.shape == truth.shape for video in made.values())


def walk(places, size=3):
    """A white square at (y, x) on grey, frame by frame; a black wall between its first and its last place."""
    video = np.full((len(places), 24, 24, 3), 128, np.uint8)
    video[:, :16, 11:13] = 0
    for frame, (y, x) in zip(video, places, strict=True):
        frame[y : y + size, x : x + size] = 255
    return video


AROUND = [(2, 3), (8, 3), (18, 3), (18, 10), (18, 17), (8, 17), (2, 17)]


def test_what_moves_is_led_through_the_wall():
    truth = walk(AROUND)
    straight = led_straight(truth)
    assert (straight[0] == truth[0]).all() and (straight[-1] == truth[-1]).all()
    seen = [np.argwhere((frame == 255).all(-1)).mean(0) - 1 for frame in straight]
    assert np.array(seen) == pytest.approx(np.linspace(AROUND[0], AROUND[-1], len(AROUND)), abs=0.5)
    assert all((frame == 255).all(-1).sum() == 9 for frame in straight)  # one square, and no other
    wall = (truth[0] == 0).all(-1)
    assert ((straight[3] == 255).all(-1) & wall).any() and not ((truth == 255).all(-1) & wall).any()
    assert (control_videos(truth)["wall_cut"] == straight).all()


@pytest.mark.parametrize("places", [[(18, x) for x in range(2, 20, 3)], [(18, 4)] * 6])
def test_what_goes_straight_or_rests_is_not_led_otherwise(places):
    """It would be the ground truth again, above which no score can lie."""
    truth = walk(places)
    assert led_straight(truth) is None
    assert (control_videos(truth)["wall_cut"] == control_videos(truth)["cross_fade"]).all()


@pytest.fixture
def bench(tmp_path):
    """A bench, its cases, and videos that are its ground truths."""
    root = write_bench(tmp_path / "VBVR-Bench")
    cases = datasets.finished(bench_cases.model_cases(root, index_tree(root), 32, 32), "bench_cases")
    for case_id in cases["case"].values:
        target = tmp_path / "made" / bench_cases.video_name(case_id, 0)
        target.parent.mkdir(parents=True)
        target.write_bytes((root / case_id / "ground_truth.mp4").read_bytes())
    return root, cases, {"joint": tmp_path / "made"}


def by_motion(task: str, video: Path, folder: Path, metric: str) -> float | None:
    """A scorer of files that fails at one task: 1 where it moves as the ground truth does; its blend is blind."""
    if task.startswith("G-1_"):
        return None
    if metric == "blend":
        return 0.5
    frames, truth = (read_video(path)[0].astype(float) for path in (video, folder / "ground_truth.mp4"))
    return float(np.abs(frames - truth).max() < 60)


def test_a_table_marks_scores_whose_controls_fail(bench, tmp_path):
    root, cases, folders = bench
    names = frozenset(cases["task"].values)
    found = scorers.Scorers("own", "1", by_motion, names)
    made = score_bench(root, cases, folders, [0], found, tmp_path)
    made.attrs |= {"model_id": "none", "model_revision": "none"}
    datasets.check(datasets.finished(made, "bench_scores"), "bench_scores", "made")
    table = score_table(made).set_index(["experiment", "metric"])
    task, blend = table.loc[("joint", "task")], table.loc[("joint", "blend")]
    # Two of four cases have no scorer that works; the blend cannot tell the truth from what is wrong.
    assert task["cases"] == 2 and task["cases_of_evidence"] == 2 and task["score_of_evidence"] == 1
    assert task["says"] == "evidence in 2 of 4 cases; of the others none"
    assert blend["cases_of_evidence"] == 0 and blend["says"].startswith("no evidence") and blend["score"] == 0.5
    assert np.isnan(blend["score_of_evidence"])
    assert table.loc[("control: static", "task"), "score"] == 0 and set(table["version"]) == {"1"}
    with pytest.raises(Refused, match=r"bench\.tasks: given .* accepted: one of the 0 tasks of own 1"):
        check_scorable(root, cases["case"].values.tolist(), scorers.Scorers("own", "1", by_motion, frozenset()))
    next(folders["joint"].rglob("*.mp4")).unlink()
    with pytest.raises(Refused, match="file: given missing; accepted: a video"):
        score_bench(root, cases, folders, [0], found, tmp_path)


def test_scoring_goes_on_where_it_was_cut_off(bench, tmp_path, monkeypatch):
    root, cases, folders = bench
    path = tmp_path / "cases.nc"
    datasets.write(bench_cases.model_cases(root, index_tree(root), 32, 32), path, "bench_cases")
    asked: list[Path] = []

    def scorer(stops_at: int):
        def evaluate(task: str, video: Path, folder: Path, metric: str) -> float | None:
            if len(set(asked) | {folder}) > stops_at:
                raise RuntimeError("killed")
            asked.append(folder)
            return by_motion(task, video, folder, metric)

        return lambda: scorers.Scorers("own", "1", evaluate, frozenset(cases["task"].values))

    inputs = {"cases": [path], "videos": [str(folders["joint"])], "modules": [__file__]}
    params = {"root": str(root), "sampled": ["joint"], "seeds": [0], "name": "mini", "model": {"revision": "none"}}
    job = Job("score_bench", tmp_path, "scores.nc", inputs, params, {})
    job.name_outputs(scores=job.path, table=tmp_path / "scores.csv").resources = SimpleNamespace(tmpdir=str(tmp_path))
    monkeypatch.setattr(scorers, "find_scorers", scorer(stops_at=2))
    with pytest.raises(RuntimeError, match="killed"):
        job.run()
    assert len(list(job.parts.glob("*.nc"))) == 2 and not job.path.exists()
    before, asked = set(asked), []
    monkeypatch.setattr(scorers, "find_scorers", scorer(stops_at=4))
    job.run()
    # Two of four cases are left, and none of those before is scored again.
    assert len(set(asked)) == 2 and not before & set(asked) and not job.parts.exists()
    whole = score_bench(root, datasets.read(path, "bench_cases"), folders, [0], scorer(4)(), tmp_path)
    made = datasets.read(job.path, "bench_scores")
    for name in whole.data_vars:
        assert made[name].dims == whole[name].dims and np.array_equal(made[name], whole[name]), name
    assert made.attrs["config_hash"] == whole.attrs["config_hash"]


def test_pictures_that_no_video_can_have_are_refused_before_anything_is_sampled(bench, tmp_path):
    name = bench[1]["case"].values[0]
    picture = tmp_path / name / "first_frame.png"
    picture.parent.mkdir(parents=True)
    found = scorers.Scorers("own", "1", by_motion, frozenset([name.split("/")[1]]))
    for size, enough in (((48, 32), True), ((48, 33), False), ((47, 32), False)):
        Image.new("RGB", size).save(picture)
        if enough:
            check_scorable(tmp_path, [name], found)
            continue
        with pytest.raises(
            Refused, match=rf"first_frame\.png: pixels: given {size[1]} x {size[0]}; accepted: even sides"
        ):
            check_scorable(tmp_path, [name], found)


@pytest.mark.skipif(INSTALLED, reason="the scorers are installed")
def test_scorers_that_are_not_there():
    with pytest.raises(Refused, match=r"^scorers: lmms-eval: given not installed; accepted: `make scorers`"):
        scorers.find_scorers()


@pytest.mark.skipif(not INSTALLED, reason="no scorers: make scorers")
def test_the_real_scorers_are_held_to_their_controls(bench, tmp_path):
    root, cases, folders = bench
    found = scorers.find_scorers()
    assert len(found.tasks) == 100 and (found.name, found.version) == ("lmms-eval", "0.7.3")
    maze = cases.isel(case=[str(task).startswith("O-39") for task in cases["task"].values])
    made = score_bench(root, maze, folders, [0], found, tmp_path)
    assert (made["scored"] == 1).all() and (made["control_scored"] == 1).all()
    # What was given is the ground truth, through another file format.
    assert np.allclose(
        made["score"].isel(sampled=0, seed=0), made["control_score"].sel(control="ground_truth"), atol=0.1
    )
    with pytest.raises(Refused, match=r"bench\.tasks: given G-1_rotation_data-generator"):
        check_scorable(root, cases["case"].values.tolist(), found)
