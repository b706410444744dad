"""How long the same interventions take in the shared loop, in calls of the pipeline, and in the forward passes alone.

    python benchmarks/interventions.py --out benchmarks/interventions.csv

Three ways, on the same interventions of the same cases with the shipped mini reasoner, a case after another so that
each way meets the machine in the same state:

``pipeline``
    what a user does without this project: ``pipe(...)`` for each video, from noise on, with a callback that writes into
    the latents;
``loop``
    one call of :func:`chainofsteps.sampling.loop.sample` for as many cases as are asked for;
``forward``
    the network's forward passes that the loop must make, in the loop's batches, and nothing else.

Decoding is timed apart. The latents of pipeline and loop are compared; the largest difference is in the table.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from chainofsteps.configuration import load_yaml
from chainofsteps.experiments.arms import cases_in, make_run, run_settings, timetable
from chainofsteps.experiments.erasure import erasure_arms
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset
from chainofsteps.sampling.decode import decode
from chainofsteps.sampling.interventions import edit_states
from chainofsteps.sampling.loop import sample
from chainofsteps.sampling.sharing import share_rows, split_rows

ROOT = Path(__file__).parents[1]
MODEL = "mini"
FAMILIES = ("maze", "maze_loop", "largest", "rotation")


def call_pipeline(pipe, stream, settings):
    """One video by the pipeline itself, its latents edited in a callback."""
    pipe.scheduler.set_timesteps(settings["steps"])
    sigmas = pipe.scheduler.sigmas.clone()
    frames = settings["frames"]

    def edited(latents, step):
        acting = [[each for each in stream.interventions if step in each.steps]]
        sigma = sigmas[step].expand(frames)
        return edit_states(latents, torch.zeros_like(latents), sigma, acting, [stream.seed], np.zeros(1, int), step)

    def callback(pipe, step, timestep, given):
        last = step + 1 == settings["steps"]
        return given if last else given | {"latents": edited(given["latents"], step + 1)}

    shape = (1, pipe.vae.config.z_dim, frames, settings["height"] // 4, settings["width"] // 4)
    noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(stream.seed))
    return pipe(
        Image.fromarray(stream.image),
        stream.prompt,
        height=settings["height"],
        width=settings["width"],
        num_frames=frames - 1,  # at temporal factor 1 the pipeline makes one more than it is asked for
        num_inference_steps=settings["steps"],
        guidance_scale=settings["guidance_scale"],
        max_sequence_length=settings["max_sequence_length"],
        latents=edited(noise, 0),
        output_type="latent",
        callback_on_step_end=callback,
    ).frames


@torch.no_grad()
def forward_alone(pipe, run, batch):
    """The forward passes of a run on inputs of the right shape."""
    order = timetable(pipe, run.settings)
    rows = share_rows(
        [stream.start for stream in run.streams], [s.interventions for s in run.streams], len(order.active)
    )
    network = pipe.transformer
    text = torch.randn(batch, run.settings["max_sequence_length"], network.config.text_dim)
    state = torch.randn(batch, network.config.in_channels, run.settings["frames"], 8, 8)
    timestep = torch.full((batch, run.settings["frames"] * 16), 500.0)
    passes = 0
    for each in rows:
        for part in split_rows([set()] * len(each), batch):
            n = len(part)
            network(hidden_states=state[:n], timestep=timestep[:n], encoder_hidden_states=text[:n], return_dict=False)
            passes += n
    return passes


def seconds(action, *given, **options):
    start = time.perf_counter()
    result = action(*given, **options)
    return time.perf_counter() - start, result


def call_pipeline_for_each(pipe, streams, settings):
    return torch.cat([call_pipeline(pipe, stream, settings) for stream in streams])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--at-once", type=int, default=4, help="cases in a call of the loop")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = load_yaml(ROOT / "config/models.yaml")[MODEL]
    pipe = load_pipeline(ROOT / model["path"])
    pipe.set_progress_bar_config(disable=True)
    loop = run_settings(model, "joint", given.steps, given.batch)
    every = list(range(given.steps))
    arms, _ = erasure_arms(
        {
            "steps": given.steps,
            "kinds": ["replace", "erase"],
            "at_steps": every,
            "at_frames": [],
            "cells": {"kinds": ["erase"], "steps": every, "frames": [1, 3, 5, 7]},
            "doses": {"counts": [], "sets": 1, "kinds": []},
            "seed": 0,
        },
        timetable(pipe, loop),
    )
    cases = [
        case
        for family in FAMILIES
        for case in cases_in(case_dataset(family, "pilot", 400000, given.cases // len(FAMILIES)))
    ]
    warm = make_run(cases[:1], [0], arms[:2], loop)
    call_pipeline(pipe, warm.streams[1], loop)
    sample(pipe, warm.streams, **loop)
    rows = []
    for start in range(0, len(cases), given.at_once):
        run = make_run(cases[start : start + given.at_once], [0], arms, loop)
        slow, expected = seconds(call_pipeline_for_each, pipe, run.streams, loop)
        shared, latents = seconds(sample, pipe, run.streams, **loop)
        bare, passes = seconds(forward_alone, pipe, run, given.batch)
        decoding, _ = seconds(decode, pipe, latents, given.batch)
        rows.append(
            {
                "cases": len(run.cases),
                "videos": len(run.streams),
                "evaluations_pipeline": len(run.streams) * given.steps,
                "evaluations_loop": passes,
                "pipeline_seconds": slow,
                "loop_seconds": shared,
                "forward_seconds": bare,
                "decoding_seconds": decoding,
                "largest_difference": (latents - expected).abs().max().item(),
            }
        )
        print({key: round(value, 3) for key, value in rows[-1].items()}, flush=True)
    table = pd.DataFrame(rows)
    total = table.sum()
    total["largest_difference"] = table["largest_difference"].max()
    table = pd.concat([table, total.to_frame().T], ignore_index=True)
    table.insert(0, "part", [*range(len(rows)), "all"])
    table["pipeline_over_loop"] = table["pipeline_seconds"] / table["loop_seconds"]
    table["loop_over_forward"] = table["loop_seconds"] / table["forward_seconds"]
    whole = ["cases", "videos", "evaluations_pipeline", "evaluations_loop"]
    table[whole] = table[whole].astype(int)
    table.insert(1, "threads", given.threads)
    table.to_csv(given.out, index=False, float_format="%.4g")
    print(table.iloc[-1].to_string())


if __name__ == "__main__":
    main()
