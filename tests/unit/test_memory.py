"""What sampling holds does not grow with cases or steps: counted, so that no allocator has a say."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
import torch

from chainofsteps.readout.cases import case_dataset
from chainofsteps.sampling import trajectories
from chainofsteps.sampling.parts import Parts

MODEL = {"frames": 9, "height": 32, "width": 32, "guidance_scale": 1.0, "negative_prompt": ""}
MODEL |= {"max_sequence_length": 512}
BATCH, STEPS, MORE = 2, 2, 4
VIDEO = 9 * 32 * 32 * 3  # bytes of one decoded clean estimate


def tensor_bytes():
    """Of all tensors that something still refers to."""
    return sum(each.nbytes for each in gc.get_objects() if type(each) is torch.Tensor)


@pytest.fixture
def held(tmp_path, monkeypatch):
    """``held(pipe, cases, steps)``: bytes of tensors, and of Python's and numpy's own, after each batch; and a peak."""
    own_sample, runs = trajectories.sample, iter(range(10))

    def measure(pipe, cases, steps):
        after = []

        def sample(*arguments, **settings):
            latents = own_sample(*arguments, **settings)
            gc.collect()
            after.append((tensor_bytes(), tracemalloc.get_traced_memory()[0]))
            return latents

        monkeypatch.setattr(trajectories, "sample", sample)
        parts, experiment = Parts(tmp_path / str(next(runs)), None), {"order": "joint", "steps": steps}
        tracemalloc.start()
        try:
            made = trajectories.sample_trajectories(pipe, cases, MODEL, experiment, [0], BATCH, parts)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # All of it was made, and lies in a file.
        assert made["clean_estimate"].nbytes == cases.sizes["case"] * steps * VIDEO
        assert len(after) == cases.sizes["case"] // BATCH
        return *(max(column) for column in zip(*after, strict=True)), peak

    return measure


@pytest.mark.parametrize("form", ["two_networks", "ti2v"])
def test_what_sampling_holds_does_not_grow(tiny_pipeline, held, form):
    cases, pipe = case_dataset("maze", "pilot", 510000, MORE * BATCH), tiny_pipeline(form)
    few = cases.isel(case=slice(BATCH))
    held(pipe, few, STEPS)  # what is made once
    once, more_cases, more_steps = held(pipe, few, STEPS), held(pipe, cases, STEPS), held(pipe, few, MORE * STEPS)
    # Of each more case its given picture and prompt, of each more step its place in the timetable; no video of any.
    for tensors, (more, added) in {0: (more_cases, BATCH), 200: (more_steps, STEPS)}.items():
        added *= MORE - 1
        growth = [now - before for now, before in zip(more, once, strict=True)]
        assert growth[0] <= added * tensors
        assert max(growth[1:]) < added * VIDEO / 4


def test_it_would_be_seen_if_videos_were_kept(tiny_pipeline, held, monkeypatch):
    cases, pipe, kept = case_dataset("maze", "pilot", 510000, MORE * BATCH), tiny_pipeline("ti2v"), []

    class Keeping(trajectories.TrajectoryDecoder):
        def __call__(self, latents):
            kept.append((latents, super().__call__(latents)))
            return kept[-1][1]

    monkeypatch.setattr(trajectories, "TrajectoryDecoder", Keeping)
    first = held(pipe, cases.isel(case=slice(BATCH)), STEPS)
    kept.clear()
    growth = [now - before for now, before in zip(held(pipe, cases, STEPS), first, strict=True)]
    assert growth[0] > 0 and min(growth[1:]) > (MORE - 1) * BATCH * VIDEO / 4
