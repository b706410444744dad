"""What the experiments take, known before they are made."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import xarray as xr
from diffusers import WanImageToVideoPipeline

from chainofsteps import worlds
from chainofsteps.experiments.arms import Run, evaluations, make_stream, run_settings, timetable
from chainofsteps.experiments.registry import experiment
from chainofsteps.refusal import Refused
from chainofsteps.sampling.decode import decode
from chainofsteps.sampling.loop import sample
from chainofsteps.sampling.parts import Parts, reserved_bytes

_BYTES = 8  # of a number, at most


def plan_rows(
    pipe: WanImageToVideoPipeline,
    name: str,
    model: dict,
    intervention: str,
    given: dict,
    cases_of: dict[str, xr.Dataset],
    batch: int,
) -> list[dict[str, object]]:
    """What one experiment takes with one model, a row a world.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    name : str
        Of the model.
    model : dict
        Entry of config/models.yaml.
    intervention : str
        Name of the experiment.
    given : dict
        Its ``kind``, ``settings`` and ``seeds``.
    cases_of : dict
        World -> cases.
    batch : int

    Returns
    -------
    list of dict
        ``model``, ``intervention``, ``world``; ``evaluations``: forward passes of single states, both guidance passes
        counted; ``videos`` decoded; ``bytes`` of the dataset, at most.
    """
    rows = []
    for world, cases in cases_of.items():
        runs = experiment(given["kind"]).plan(pipe, cases, model, given["settings"], given["seeds"], batch)
        rows.append(
            {
                "model": name,
                "intervention": intervention,
                "world": world,
                "evaluations": sum(evaluations(pipe, run) for run in runs),
                "videos": sum(len(run.streams) for run in runs),
                "bytes": sum(_stored(pipe, run, given) for run in runs),
            }
        )
    return rows


def _stored(pipe: WanImageToVideoPipeline, run: Run, given: dict) -> int:
    """Bytes of what is kept of a run: by frame and by step of each video, and by block where blocks are looked at."""
    by_step = timetable(pipe, run.settings).active.size
    layers = len((pipe.transformer or pipe.transformer_2).blocks)
    blocks = len(given["settings"].get("at_steps", ())) * layers * (layers + run.settings["frames"] + 1)
    return _BYTES * len(run.streams) * (4 * run.settings["frames"] + by_step + blocks * (given["kind"] == "layers"))


def check_disk(needed: int, target: str | Path) -> None:
    """Refuse what does not fit on the disk of a file that is to be made.

    Raises
    ------
    Refused
    """
    free = shutil.disk_usage(Path(target).parent).free
    if free < needed:
        accepted = f"at least {needed / 1e9:.3g} GB for all that is under way or not begun"
        raise Refused(Path(target).parent, "disk", f"{free / 1e9:.3g} GB free", accepted)


@contextmanager
def room_for(needed: int, folder: Path, root: Path) -> Iterator[Parts]:
    """A new folder for what is kept for a while, if the disk holds it beside what other jobs are about to write.

    Jobs of one run know nothing of one another, and the room that one needs is still free when the next one asks. So
    each says first what it will take, and then asks for all that has been said.

    Parameters
    ----------
    needed : int
        Bytes of the arrays that go into it.
    folder : path
        Holds nothing that an earlier attempt left, and goes when the body ends, however it ends.
    root : path
        Folder under which the other jobs work.

    Raises
    ------
    Refused
    """
    shutil.rmtree(folder, ignore_errors=True)
    kept = Parts(folder, None)
    try:
        kept.reserve(needed)
        check_disk(reserved_bytes(root), folder)
        yield kept
    finally:
        kept.remove()


def measure_rates(pipe: WanImageToVideoPipeline, case: worlds.Case, model: dict, batch: int) -> tuple[float, float]:
    """Evaluations and decoded videos a second, here and now, of a full batch.

    Parameters
    ----------
    pipe, model, batch
        As :func:`plan_rows`.
    case : Case

    Returns
    -------
    tuple of float
    """
    settings = run_settings(model, "joint", 1, batch)
    streams = [make_stream(case, seed) for seed in range(batch)]
    latents = sample(pipe, streams, **settings)  # once for nothing: the first call allocates
    passes = 2 if settings["guidance_scale"] > 1 else 1
    start = time.perf_counter()
    sample(pipe, streams, **settings)
    sampled = time.perf_counter()
    decode(pipe, latents, batch)
    return batch * passes / (sampled - start), batch / (time.perf_counter() - sampled)


def time_line(name: str, rows: Sequence[dict], rates: tuple[float, float]) -> str:
    """How long a model's rows of a plan take at measured rates, in words."""
    counts = [sum(row[key] for row in rows) for key in ("evaluations", "videos")]
    minutes = sum(count / rate for count, rate in zip(counts, rates, strict=True)) / 60
    work = ", ".join(
        f"{count} {what} at {rate:.0f} a second"
        for count, what, rate in zip(counts, ("evaluations", "videos"), rates, strict=True)
    )
    return f"{name}: {work}: about {minutes:.1f} minutes one after another; jobs on several cores share them"
