"""The whole default workflow in two fresh clones: seconds, memory, bytes.

    python benchmarks/workflow.py

Writes benchmarks/workflow.csv: wall time and peak memory (sum over all processes of the run, sampled twice a second) of
`snakemake --cores 2` from no results, the time in which `snakemake -n` says that nothing is to do, and whether both
clones hold the same bytes in every dataset, metric, table, figure and page.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

ROOT = Path(__file__).parents[1]
WANTED = (".nc", ".json", ".csv", ".png", ".html")


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak resident memory (GB) of a command with its children."""
    start, peak = time.perf_counter(), 0
    with (folder / "benchmark.log").open("w") as log:
        environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            time.sleep(0.5)
            peak = max(peak, memory_of(process))
    if process.returncode:
        sys.exit(f"{' '.join(command)}: status {process.returncode}, see {folder / 'benchmark.log'}")
    return time.perf_counter() - start, peak / 1e9


def memory_of(process: psutil.Process) -> int:
    """Resident bytes of a process and its children, as far as they still live."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every result that is promised to be the same."""
    files = [file for file in sorted((folder / "results").rglob("*")) if file.suffix in WANTED]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> None:
    """Measure and write the table."""
    snakemake = [sys.executable, "-m", "snakemake"]
    rows, found = [], []
    with tempfile.TemporaryDirectory() as space:
        for name in ("first", "second"):
            folder = Path(space) / name
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
            subprocess.run(["rm", "-rf", str(folder / "results")], check=True)
            seconds, peak = timed([*snakemake, "--cores", "2"], folder)
            rows.append({"what": f"snakemake --cores 2, {name} clone", "seconds": seconds, "peak_gb": peak})
            seconds, peak = timed([*snakemake, "-n"], folder)
            rows.append({"what": f"snakemake -n when finished, {name} clone", "seconds": seconds, "peak_gb": peak})
            found.append(hashes(folder))
            print(pd.DataFrame(rows).to_string(), flush=True)
    different = [name for name in found[0] if found[0][name] != found[1].get(name)]
    rows.append({"what": f"of {len(found[0])} result files, differ between the clones: {len(different)}"})
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.2f")
    sys.exit(f"differ: {different}" if different or set(found[0]) != set(found[1]) else 0)


if __name__ == "__main__":
    main()
