"""How long the same interventions take in the shared loop, in calls of the pipeline, and in the forward passes alone.

    python benchmarks/interventions.py --out benchmarks/interventions.csv

Three ways, on the same interventions of the same cases with the shipped mini reasoner, in turns, some cases at a time:

``pipeline``
    what a user does without this project: ``pipe(...)`` for each video, from noise on, with a callback that writes into
    the latents; torch takes all cores;
``loop``
    :func:`chainofsteps.sampling.loop.sample`, as the workflow runs it: a process of one thread on each core;
``forward``
    the network's own forward passes that the loop must make, in the loop's batches and processes, and nothing else.

Decoding is timed apart: each video by the pipeline's own VAE call, and all of them as the workflow does. The latents of
pipeline and loop are compared; the largest difference is in the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers.utils import logging
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
    timestep = torch.full((1, run.settings["frames"] * 16), 500.0)
    passes = 0
    for each in rows:
        for part in split_rows([set()] * len(each), batch):
            n = len(part)
            network(hidden_states=state[:n], timestep=timestep, encoder_hidden_states=text[:n], return_dict=False)
            passes += n
    return passes


def seconds(action, *given):
    start = time.perf_counter()
    result = action(*given)
    return time.perf_counter() - start, result


WORKER = {}


def start_worker():
    """The pipeline of a process of its own, with one thread."""
    torch.set_num_threads(1)
    WORKER["pipe"] = load_pipeline(ROOT / load_yaml(ROOT / "config/models.yaml")[MODEL]["path"])


def run_loop(run):
    return sample(WORKER["pipe"], run.streams, **run.settings).numpy()


def run_forward(run):
    return forward_alone(WORKER["pipe"], run, run.settings["batch"])


def run_decode(latents, batch):
    return len(decode(WORKER["pipe"], torch.from_numpy(latents), batch))


@torch.no_grad()
def decode_each(pipe, latents):
    """The pipeline's own decoding, a video at a time."""
    mean, std = (torch.tensor(pipe.vae.config[name]).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    videos = [pipe.vae.decode(each[None] * std + mean, return_dict=False)[0] for each in latents]
    return [pipe.video_processor.postprocess_video(video, output_type="np") for video in videos]


def call_pipeline_for_each(pipe, streams, settings):
    return torch.cat([call_pipeline(pipe, stream, settings) for stream in streams])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--at-once", type=int, default=8, help="cases in a turn")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    given = parser.parse_args()
    logging.set_verbosity_error()
    model = load_yaml(ROOT / "config/models.yaml")[MODEL]
    pipe = load_pipeline(ROOT / model["path"])
    pipe.set_progress_bar_config(disable=True)
    torch.set_num_threads(given.cores)
    loop = run_settings(model, "joint", given.steps, given.batch)
    every = list(range(given.steps))
    settings = {
        "steps": given.steps,
        "kinds": ["replace", "erase"],
        "at_steps": every,
        "at_frames": [],
        "cells": {"kinds": ["erase"], "steps": every, "frames": [1, 3, 5, 7]},
        "doses": {"counts": [], "sets": 1, "kinds": []},
        "seed": 0,
    }
    arms, _ = erasure_arms(settings, timetable(pipe, loop))
    cases = [
        case
        for family in FAMILIES
        for case in cases_in(case_dataset(family, "pilot", 400000, given.cases // len(FAMILIES)))
    ]

    def runs_of(some):
        parts = [some[place :: given.cores] for place in range(given.cores)]
        return [make_run(part, [0], arms, loop) for part in parts if part]

    rows = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.cores, context, start_worker) as pool:
        warm = runs_of(cases[: given.cores])
        list(pool.map(run_loop, [dataclasses.replace(run, streams=run.streams[:2], arms=[]) for run in warm]))
        call_pipeline(pipe, warm[0].streams[1], loop)
        for start in range(0, len(cases), given.at_once):
            runs = [dataclasses.replace(run, arms=[]) for run in runs_of(cases[start : start + given.at_once])]
            streams = [stream for run in runs for stream in run.streams]
            slow, expected = seconds(call_pipeline_for_each, pipe, streams, loop)
            shared, latents = seconds(lambda some: list(pool.map(run_loop, some)), runs)
            slow_decoding, _ = seconds(decode_each, pipe, expected)
            bare, passes = seconds(lambda some: list(pool.map(run_forward, some)), runs)
            decoding, _ = seconds(lambda some: list(pool.map(run_decode, some, [given.batch] * len(some))), latents)
            rows.append(
                {
                    "cases": sum(len(run.cases) for run in runs),
                    "videos": len(streams),
                    "evaluations_pipeline": len(streams) * given.steps,
                    "evaluations_loop": sum(passes),
                    "pipeline_seconds": slow,
                    "loop_seconds": shared,
                    "forward_seconds": bare,
                    "pipeline_decoding_seconds": slow_decoding,
                    "loop_decoding_seconds": decoding,
                    "largest_difference": float(np.abs(np.concatenate(latents) - expected.numpy()).max()),
                }
            )
            print({key: round(value, 3) for key, value in rows[-1].items()}, flush=True)
    table = pd.DataFrame(rows)
    total = table.sum()
    total["largest_difference"] = table["largest_difference"].max()
    table = pd.concat([table, total.to_frame().T], ignore_index=True)
    table.insert(0, "part", [*range(len(rows)), "all"])
    table["pipeline_over_loop"] = table["pipeline_seconds"] / table["loop_seconds"]
    decoded = (table[f"{way}_seconds"] + table[f"{way}_decoding_seconds"] for way in ("pipeline", "loop"))
    table["pipeline_over_loop_decoded"] = next(decoded) / next(decoded)
    table["loop_over_forward"] = table["loop_seconds"] / table["forward_seconds"]
    whole = ["cases", "videos", "evaluations_pipeline", "evaluations_loop"]
    table[whole] = table[whole].astype(int)
    table.insert(1, "cores", given.cores)
    table.to_csv(given.out, index=False, float_format="%.4g")
    print(table.iloc[-1].to_string())


if __name__ == "__main__":
    main()
