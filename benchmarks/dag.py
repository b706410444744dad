"""How long Snakemake takes to plan a run of a large model, by cases in four families (three seeds, a shard a case).

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


def plan(count: int) -> dict:
    """Seconds of one dry run, by the clock and of the processor, and its jobs."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as overlay:
        overlay.write(f"cases: {{count: {count}}}\nshards: {count}\n")
        overlay.flush()
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(
            [sys.executable, "-m", "snakemake", *COMMAND, overlay.name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", ran.stdout + ran.stderr, re.MULTILINE)}
    kinds = {name: jobs[name] for name in ("fetch_model", "sample_shard", "extract_shard", "run_shard")}
    return {
        "cases": 4 * count,
        "seconds": round(seconds, 1),
        "processor": round(processor, 1),
        "jobs": jobs["total"],
        **kinds,
    }


if __name__ == "__main__":
    table = pd.DataFrame([plan(count) for count in (64, 125, 500)])
    table.to_csv(ROOT / "benchmarks/dag.csv", index=False)
    print(table.to_string(index=False))
