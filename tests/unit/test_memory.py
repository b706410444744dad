"""What sampling holds does not grow with cases or steps: counted, so that no allocator has a say."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
import torch

from chainofsteps.readout.cases import case_dataset
from chainofsteps.sampling import trajectories
from chainofsteps.sampling.parts import Parts

MODEL = {"frames": 9, "height": 32, "width": 32, "guidance_scale": 1.0, "negative_prompt": ""}
MODEL |= {"max_sequence_length": 512}
BATCH, STEPS, MORE = 2, 1, 3
VIDEO = 9 * 32 * 32 * 3  # bytes of one decoded clean estimate
TRIES = 3  # a table of the whole process may grow in one of them; what is kept grows in all


def tensor_bytes():
    """Of all tensors that something still refers to."""
    return sum(each.nbytes for each in gc.get_objects() if type(each) is torch.Tensor)


@pytest.fixture
def held(tmp_path, monkeypatch):
    """``held(pipe, cases, steps)``: of each batch, bytes at its peak, and behind it, of Python and of tensors."""
    own_sample, runs = trajectories.sample, iter(range(100))

    def measure(pipe, cases, steps):
        rows = []

        def sample(*arguments, **settings):
            gc.collect()
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            latents = own_sample(*arguments, **settings)
            _, peak = tracemalloc.get_traced_memory()
            gc.collect()
            # The list that counts tensors is larger than all that is counted: it comes last.
            behind, _ = tracemalloc.get_traced_memory()
            rows.append((peak - before, behind, tensor_bytes()))
            return latents

        monkeypatch.setattr(trajectories, "sample", sample)
        parts, experiment = Parts(tmp_path / str(next(runs)), None), {"order": "joint", "steps": steps}
        tracemalloc.start()
        try:
            made = trajectories.sample_trajectories(pipe, cases, MODEL, experiment, [0], BATCH, parts)
        finally:
            tracemalloc.stop()
        # All of it was made, and lies in a file.
        assert made["clean_estimate"].nbytes == cases.sizes["case"] * steps * VIDEO
        assert len(rows) == cases.sizes["case"] // BATCH
        return np.array(rows)

    return measure


def growth(held, pipe, cases):
    """From a batch to the last one behind it, and from some steps to more of them."""
    run, more = held(pipe, cases, STEPS), held(pipe, cases.isel(case=slice(BATCH)), MORE * STEPS)
    return run[-1] - run[1], more[-1] - run[0]


def within(by_case, by_step):
    """Of each more step its place in the timetable; no video of any case or step."""
    more_videos = (MORE - 2) * BATCH, (MORE - 1) * STEPS * BATCH
    numbers = [max(each[:2]) < videos * VIDEO / 4 for each, videos in zip((by_case, by_step), more_videos, strict=True)]
    return all(numbers) and by_case[2] <= 0 and by_step[2] <= 200 * (MORE - 1) * STEPS


@pytest.fixture(scope="module")
def cases():
    return case_dataset("maze", "pilot", 510000, MORE * BATCH)


@pytest.mark.parametrize("form", ["two_networks", "ti2v"])
def test_what_sampling_holds_does_not_grow(tiny_pipeline, held, cases, form):
    pipe = tiny_pipeline(form)
    held(pipe, cases.isel(case=slice(BATCH)), STEPS)  # what is made once
    assert any(within(*growth(held, pipe, cases)) for _ in range(TRIES))


@pytest.mark.parametrize("until", ["end", "next_batch"])
def test_it_would_be_seen_if_videos_were_kept(tiny_pipeline, held, cases, monkeypatch, until):
    kept = []

    class Keeping(trajectories.TrajectoryDecoder):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            if until == "next_batch":
                kept.clear()

        def __call__(self, latents):
            kept.append((latents, super().__call__(latents)))
            return kept[-1][1]

    monkeypatch.setattr(trajectories, "TrajectoryDecoder", Keeping)
    by_case, by_step = growth(held, tiny_pipeline("ti2v"), cases)
    assert not within(by_case, by_step)
    if until == "end":
        assert by_case[2] > 0 and by_case[1] > (MORE - 2) * BATCH * VIDEO / 4
    assert by_step[0] > (MORE - 1) * STEPS * BATCH * VIDEO / 4
