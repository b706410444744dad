"""How long Snakemake takes to plan a run of a large model: of the worlds and of a bench (three seeds, a shard a case).

python benchmarks/dag.py         # writes benchmarks/dag.csv, about a minute on one core
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
COMMAND = ["-n", "--quiet", "rules", "--profile", "workflow/profiles/gpu", "--configfile", "config/large.yaml"]


def dry_run(overlay: str, *target: str) -> tuple[float, float, dict[str, int]]:
    """Seconds of one dry run, by the clock and of the processor, and its jobs by rule."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(overlay)
        file.flush()
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(
            [sys.executable, "-m", "snakemake", *COMMAND, file.name, *target],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = re.findall(r"^(\w+) +(\d+)$", ran.stdout + ran.stderr, re.MULTILINE)
    return seconds, processor, {name: int(number) for name, number in found}


def row(target: str, cases: int, run: tuple[float, float, dict[str, int]]) -> dict:
    """A row of the table."""
    seconds, processor, jobs = run
    shards = sum(number for name, number in jobs.items() if "shard" in name)
    times = {"seconds": round(seconds, 1), "processor": round(processor, 1)}
    return {"target": target, "cases": cases, **times, "jobs": jobs["total"], "of_them_shards": shards}


def plan_worlds(count: int) -> dict:
    """The default target, so many cases in each of four families."""
    return row("default", 4 * count, dry_run(f"cases: {{count: {count}}}\nshards: {count}\n"))


def plan_bench(count: int) -> dict:
    """The target of the bench, a shard a case, five cases a task; planning reads names, sizes and times alone."""
    with tempfile.TemporaryDirectory() as root:
        for number in range(count):
            folder = Path(root, "In-Domain_50", f"O-{number // 5}_task_data-generator", f"{number % 5:05d}")
            folder.mkdir(parents=True)
            for name in ("first_frame.png", "final_frame.png", "ground_truth.mp4", "prompt.txt"):
                (folder / name).touch()
        bench = "{model: wan2.2_i2v_a14b, seeds: [0, 1, 2], batch: 1}"
        return row("vbvr", count, dry_run(f"vbvr: {root}\nshards: {count}\nbench: {bench}\n", "--", "vbvr"))


if __name__ == "__main__":
    runs = [*(plan_worlds(count) for count in (64, 125, 500)), plan_bench(100), plan_bench(500)]
    table = pd.DataFrame(runs)
    table.to_csv(ROOT / "benchmarks/dag.csv", index=False)
    print(table.to_string(index=False))
