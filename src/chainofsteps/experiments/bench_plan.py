"""What `snakemake vbvr` takes, known from the entry of its model: nothing is fetched and no model is opened.

Streams are made by what makes them in the run (:mod:`chainofsteps.experiments.arms`), of a case that stands for all,
and their evaluations counted as the loop shares them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from chainofsteps.experiments.arms import CLEAN, Arm, Run, evaluations, make_run, run_settings, timetable
from chainofsteps.experiments.bench import GivenCase, plant_arms
from chainofsteps.experiments.erasure import erasure_arms
from chainofsteps.experiments.orders import plan_runs
from chainofsteps.models.check import outline
from chainofsteps.models.placement import check_memory, resident_gb
from chainofsteps.refusal import Refused
from chainofsteps.sampling.decode import needed_latents
from chainofsteps.sampling.orders import decoded_frames, decoded_steps, kept_pictures
from chainofsteps.sampling.parts import cases_a_batch

TOTAL = "total"
_ANY = GivenCase("any", 0, "", np.zeros((1, 1, 3), np.uint8))
_BYTES_OF_CHANNEL = 4  # of a decoded pixel, in float32
_BYTES, _VARIABLES = 8, 8  # of a number, and over steps or frames of a stream, at most


def count_cases(bench: Mapping) -> int:
    """Cases that a configuration asks for; where it names no tasks, of as many as its plan says that the bench has."""
    return (len(bench["tasks"]) or bench["plan"]["tasks"]) * bench["count"]


def plan_bench(model: Mapping, bench: Mapping) -> pd.DataFrame:
    """What each job of the bench takes, and all of them.

    Parameters
    ----------
    model : mapping
        Entry of config/models.yaml, of the hub or with the ``path`` of a folder.
    bench : mapping
        ``bench`` of the configuration, valid by its schema.

    Returns
    -------
    DataFrame
        A row for each file made, for ``fetch`` and for the ``total``. ``evaluations`` of single states, both guidance
        passes counted; ``decoded`` videos, a clean estimate being one, or as much of one as its latent frames up to the
        last that chosen frames need (a frame-wise VAE takes less); ``hours`` of one device at the plan's rates,
        which videos of fewer frames stay below. At most, with videos uncompressed: ``scratch_gb``, of decoded steps
        while one job runs (so many times as jobs run beside each other), and ``kept_gb``, without the videos of
        shards, which stay beside the joined ones.

    Raises
    ------
    Refused
        What does not fit in the plan's memory; steps, frames or orders that the model does not have.
    """
    if "hub" in model:
        check_memory(model, bench["plan"]["memory_gb"])
        _check_activations(model, bench)
    cases, pipe = count_cases(bench), outline(model)
    rows = {}
    if "hub" in model:
        rows["fetch"] = _row(kept=_download(model))
    for name, asked in bench["experiments"].items():
        run = _sampled(model, asked, bench)
        picture = len(run.streams) * math.prod(model[side] for side in ("height", "width")) * 3
        made, latent_frames = timetable(pipe, run.settings).active.shape
        # The last of the steps is the video and decoded whole, the others up to the last latent frame that is needed.
        chosen = decoded_frames(asked, model["frames"])
        needed = needed_latents(chosen, pipe.vae_scale_factor_temporal) / latent_frames
        videos = (len(decoded_steps(asked, made)) - 1) * needed + 1
        # As many cases as fill a batch are sampled at once; each keeps its decoded steps until they are read.
        at_once = min(cases, cases_a_batch(bench["batch"], len(bench["seeds"])))
        rows[f"features_{name}"] = _row(
            evaluations=cases * evaluations(pipe, run),
            decoded=math.ceil(cases * len(run.streams) * videos),
            scratch=at_once * kept_pictures(asked, made, model["frames"]) * picture,
            kept=cases * (model["frames"] * picture + _numbers(pipe, run)),
        )
    kinds = {"interventions": [_intervened(pipe, model, bench)], "orders": _ordered(pipe, model, bench)}
    for kind, runs in kinds.items():
        rows[kind] = _row(
            evaluations=cases * sum(evaluations(pipe, run) for run in runs),
            decoded=cases * sum(len(run.streams) for run in runs),
            kept=cases * sum(_numbers(pipe, run) for run in runs),
        )
    plan = pd.DataFrame.from_dict(rows, orient="index")
    seconds = plan["evaluations"] * bench["plan"]["seconds_per_evaluation"]
    seconds += plan["decoded"] * bench["plan"]["seconds_per_video"]
    plan.insert(2, "hours", seconds / 3600)
    plan.loc[TOTAL] = plan.sum()
    plan.loc[TOTAL, "scratch_gb"] = plan["scratch_gb"].iloc[:-1].max()
    return plan.astype({"evaluations": int, "decoded": int}).rename_axis("made")


def activations_gb(model: Mapping, batch: int) -> dict[str, float]:
    """GB that each part holds at once beside its weights, for so many states; empty where the entry does not say.

    Both guidance passes go through a network one after another, and videos through a sliced VAE.
    """
    given, placement = model.get("activations_gb", {}), model["placement"]
    if not given:
        return {}
    vae = given["vae_in_tiles" if placement["vae_tiling"] else "vae"]
    video = math.prod(model[side] for side in ("frames", "height", "width")) * 3 * _BYTES_OF_CHANNEL / 1e9
    sliced = placement.get("vae_slicing", False)  # one video at a time, while those before it wait
    held = vae + (batch - 1) * video if sliced else batch * vae
    return {"text_encoder": given["text_encoder"], "transformer": batch * given["transformer"], "vae": held}


def _check_activations(model: Mapping, bench: Mapping) -> None:
    memory, offload = bench["plan"]["memory_gb"], model["placement"]["offload"]
    weights, activations = resident_gb(model)[offload], activations_gb(model, bench["batch"])
    most = max(activations.values(), default=0.0)
    if weights + most > memory:
        part = max(activations, key=activations.get)
        given = f"{memory:g} GB for {weights:.3g} GB of weights, offload {offload}, and {most:.3g} GB in the {part}"
        cheaper = "placement.vae_tiling or a smaller batch" if part == "vae" else "a smaller batch"
        raise Refused(model["hub"]["repository"], "memory", given, f"at least {weights + most:.3g} GB, or {cheaper}")


def describe(model: Mapping, bench: Mapping) -> list[str]:
    """What stands under the table: cases, rates, and weights in memory by what is offloaded."""
    asked = bench["plan"]
    rates = f"{asked['seconds_per_evaluation']:g} s an evaluation and {asked['seconds_per_video']:g} s a decoded video"
    lines = [f"{count_cases(bench)} cases, seeds {bench['seeds']}, {bench['model']}, on one device, at {rates}"]
    if "hub" in model:
        sizes = ", ".join(f"{size:.1f} GB with offload {name}" for name, size in resident_gb(model).items())
        chosen = model["placement"]["offload"]
        lines.append(f"weights on the device at once: {sizes}; chosen: {chosen}, of {asked['memory_gb']:g} GB")
        held = ", ".join(f"{part} {size:.3g} GB" for part, size in activations_gb(model, bench["batch"]).items())
        lines.append(f"beside them, one part at a time, batch {bench['batch']}: {held or 'not known'}")
    if "lora" in model and "download_gb" not in model["lora"]:
        lines.append("the size of the LoRA weights is not known and not counted")
    return lines


def _sampled(model: Mapping, asked: Mapping, bench: Mapping) -> Run:
    """The clean streams of a case."""
    settings = run_settings(model, asked["order"], asked["steps"], bench["batch"])
    return make_run([_ANY], bench["seeds"], [Arm(CLEAN)], settings)


def _intervened(pipe: object, model: Mapping, bench: Mapping) -> Run:
    """The streams of a case under all of its interventions; what is planted does not change their number."""
    erasure = bench["erasure"]
    settings = run_settings(model, erasure["order"], erasure["steps"], bench["batch"])
    order = timetable(pipe, settings)
    erasing, _ = erasure_arms(erasure, order)
    planting, _ = plant_arms(bench["plant"], order, np.zeros(0), erasure["seed"])
    return make_run([_ANY], bench["seeds"], [*erasing, *planting], settings)


def _ordered(pipe: object, model: Mapping, bench: Mapping) -> list[Run]:
    return plan_runs(pipe, [_ANY], model, bench["orders"], bench["seeds"], bench["batch"])


def _row(evaluations: int = 0, decoded: int = 0, scratch: float = 0, kept: float = 0) -> dict[str, float]:
    return {"evaluations": evaluations, "decoded": decoded, "scratch_gb": scratch / 1e9, "kept_gb": kept / 1e9}


def _numbers(pipe: object, run: Run) -> int:
    """Bytes of what is kept of a run's streams beside videos."""
    steps, frames = len(timetable(pipe, run.settings).active), run.settings["frames"]
    return len(run.streams) * _BYTES * (steps * frames + _VARIABLES * (steps + frames))


def _download(model: Mapping) -> float:
    parts = [model[key] for key in ("hub", "lora") if key in model]
    return sum(part.get("download_gb", 0) for part in parts) * 1e9
