"""Peak memory of the sampling loop above the model, over 1, 4 and 16 times as many steps, or cases.

Each point is a process of its own, with a tiny random pipeline and pictures of 128 x 128, so that what is kept would
show: the largest points make 226 MB of decoded clean estimates. Two numbers are measured from after the first batch on:
memory of the process itself (RssAnon of /proc/self/status, read every two milliseconds), and all that is resident
(VmHWM), which counts pages of the result's own file that the system may drop. Each point is measured with the allocator
as it is, which keeps freed memory for later and does so in pieces, and with one that gives large pieces back at once
(``MALLOC_MMAP_THRESHOLD_``): what then stays is in use. Linux with glibc only.

    python benchmarks/memory.py      # writes benchmarks/memory.csv, about ten minutes on one core
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
POINTS = [(8, 4), (8, 16), (8, 64), (32, 4), (128, 4)]
BATCH, SCALE = 8, 4
ALLOCATORS = {"default": {}, "gives_back": {"MALLOC_MMAP_THRESHOLD_": "65536"}}


def resident(field: str) -> float:
    """A field of this process's status, in MB."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1e3


class Peak(threading.Thread):
    """Highest RssAnon while it runs."""

    def __init__(self):
        super().__init__(daemon=True)
        self.highest, self.running = resident("RssAnon"), True

    def run(self) -> None:
        while self.running:
            self.highest = max(self.highest, resident("RssAnon"))
            time.sleep(0.002)


def measure(count: int, steps: int) -> None:
    """Print the peaks of one point."""
    import torch

    from chainofsteps import datasets
    from chainofsteps.readout.cases import case_dataset
    from chainofsteps.sampling.parts import Parts
    from chainofsteps.sampling.trajectories import sample_trajectories

    torch.set_num_threads(1)
    pipe = runpy.run_path(str(HERE.parent / "tests/pipelines.py"))["build_pipeline"]("ti2v")
    cases = case_dataset("maze", "pilot", 0, count).drop_vars("ground_truth")
    enlarged = cases["first_frame"].values.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    cases = cases.drop_vars("first_frame").assign(first_frame=(("case", "y", "x", "channel"), enlarged))
    side = 32 * SCALE
    model = {"frames": 9, "height": side, "width": side, "guidance_scale": 1.0, "negative_prompt": ""}
    model["max_sequence_length"] = 20
    settings = {"order": "joint", "steps": steps}
    # The first batch allocates what every batch takes.
    sample_trajectories(pipe, cases.isel(case=slice(BATCH)), model, settings | {"steps": 2}, [0], BATCH)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM from here on
    before, peak = (resident("RssAnon"), resident("VmRSS")), Peak()
    peak.start()
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(Path(folder) / "parts", 0)
        made = sample_trajectories(pipe, cases, model, settings, [0], BATCH, parts)
        made.attrs |= {"model_id": "tiny", "model_revision": "none", "experiment": "joint"}
        datasets.write(made, Path(folder) / "made.nc", "trajectories")
    peak.running = False
    peak.join()
    size = made["clean_estimate"].nbytes / 1e6
    print("point", count, steps, size, peak.highest - before[0], resident("VmHWM") - before[1])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(*map(int, sys.argv[1:]))
        raise SystemExit
    rows = []
    names = ["cases", "steps", "result_mb", "own_mb", "resident_mb"]
    for allocator, variables in ALLOCATORS.items():
        for point in POINTS:
            command = [sys.executable, __file__, *map(str, point)]
            ran = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
            said = next(line for line in ran.stdout.splitlines() if line.startswith("point")).split()[1:]
            rows.append({"allocator": allocator} | dict(zip(names, map(float, said), strict=True)))
    table = pd.DataFrame(rows).round(1).astype({"cases": int, "steps": int})
    table.to_csv(HERE / "memory.csv", index=False)
    print(table.to_string(index=False))
