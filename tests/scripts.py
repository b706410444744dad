"""Scripts of the workflow run in a process of their own, as Snakemake runs them, on tiny random models."""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import runpy
import signal
import time
from functools import cache
from pathlib import Path

import torch
from snakemake.iocontainers import Namedlist

from chainofsteps.models.check import ORIGIN, write_manifest

ROOT = Path(__file__).parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Job:
    """What Snakemake gives a script.

    Parameters
    ----------
    script : str
        Its name.
    folder : path
        Where output and log go.
    output : str
    inputs, params, wildcards : dict
    """

    def __init__(self, script: str, folder: Path, output: str, inputs: dict, params: dict, wildcards: dict):
        self._script = ROOT / "workflow/scripts" / f"{script}.py"
        self.output, self.log = Namedlist([str(folder / output)]), Namedlist([str(folder / f"{output}.log")])
        self.input, self.params = Namedlist(fromdict=inputs), Namedlist(fromdict=params)
        self.wildcards, self.threads = Namedlist(fromdict=wildcards), 1
        Path(self.output[0]).parent.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        """Its output."""
        return Path(self.output[0])

    @property
    def parts(self) -> Path:
        """Folder of its finished parts."""
        return Path(f"{self.output[0]}.parts")

    def name_outputs(self, **outputs: Path) -> Job:
        """Give its outputs names, as a script has them that makes several."""
        self.output = Namedlist(fromdict={name: str(path) for name, path in outputs.items()})
        return self

    def run(self) -> Path:
        """Run the script here, to its end."""
        runpy.run_path(str(self._script), {"snakemake": self})
        return self.path

    def _finished_parts(self) -> int:
        # The folder may go while one looks, as the job ends.
        with contextlib.suppress(FileNotFoundError):
            return sum(name.endswith(".nc") for name in os.listdir(self.parts))
        return 0

    def killed(self, seconds: float = 300.0, parts: float = math.inf) -> bool:
        """Run the script in another process, which is killed after so many seconds or parts; whether it was."""
        process = processes().Process(target=self.run)
        process.start()
        end = time.monotonic() + seconds
        try:
            while process.is_alive() and time.monotonic() < end and self._finished_parts() < parts:
                time.sleep(0.002)
        finally:
            process.kill()
            process.join()
        log = Path(self.log[0])
        assert process.exitcode in (0, -signal.SIGKILL), log.read_text() if log.exists() else process.exitcode
        return process.exitcode != 0


@cache
def processes() -> multiprocessing.context.ForkServerContext:
    """Where processes that are to be killed are forked from: a server that has imported all and computed nothing."""
    # A fork of this process, whose OpenMP has started its threads, may wait for them for ever.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(
        [
            "chainofsteps.experiments.registry",
            "chainofsteps.models.train_reasoner",
            "chainofsteps.sampling.trajectories",
            "diffusers.guiders",  # by any pipeline that is loaded
            "snakemake",
            "tests.preload",
        ]
    )
    return processes


def save_model(pipe, folder: Path, form: str, dtype: str) -> dict:
    """A pipeline in a folder as the hub's models lie there, in a precision; its entry for the scripts."""
    pipe.to(getattr(torch, dtype))
    pipe.vae.to(torch.float32)
    pipe.save_pretrained(folder, safe_serialization=True)
    hub = {"repository": "lab/tiny", "commit": COMMIT}
    (folder / ORIGIN).write_text(json.dumps(hub))
    write_manifest(folder)
    entry = {
        "hub": hub,
        "path": str(folder),
        "form": form,
        "placement": {"dtype": dtype, "offload": "none", "vae_tiling": False},
        "steps": 3,
        "shift": 3.0,
        "frames": 9,
        "height": 32,
        "width": 32,
        "guidance_scale": 2.0,
        "negative_prompt": "blurred",
        # The form with an image encoder takes its texts at full length.
        "max_sequence_length": 512 if form == "single" else 20,
    }
    return entry | ({"boundary": 0.875, "guidance_scale_2": 1.5} if form == "two_networks" else {})
