"""Record what a finished run made: hashes into dvc.lock, and where and how it ran into a sidecar that is not hashed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from chainofsteps.configuration import load_yaml
from chainofsteps.ledger import commands
from chainofsteps.ledger.audit import PROVENANCE
from chainofsteps.ledger.lock import DVC_LOCK, DVC_YAML
from chainofsteps.ledger.sources import LOCK
from chainofsteps.ledger.stages import CONFIG, Job, build_stages, read_jobs, render
from chainofsteps.refusal import Refused

_METADATA = Path(".snakemake/metadata")
_TOUCHED = 0.05  # seconds within which nothing runs: an output that was touched, as after a restore
_PACKAGES = ("torch", "diffusers", "transformers", "numpy", "scipy", "xarray", "snakemake", "dvc")


def record() -> list[str]:
    """Write dvc.lock and the provenance sidecar of a run that is finished.

    Returns
    -------
    list of str
        Files that are to be committed.

    Raises
    ------
    Refused
        Inputs are not as Git's last commit has them, dvc.yaml is not what the workflow says, or Snakemake would run
        something: nothing is written.
    """
    dirty = _dirty()
    if dirty:
        raise Refused("git", "changed since the last commit", ", ".join(dirty[:5]), "a commit of all but results first")
    jobs = read_jobs()
    if not DVC_YAML.is_file() or DVC_YAML.read_text() != render(build_stages(jobs)):
        raise Refused(DVC_YAML, "stages", "not those of the workflow", "`make ledger`, and a commit of it")
    rules = commands.planned()
    if rules:
        raise Refused("snakemake -n", "planned", ", ".join(rules), "a run that is finished: `make replicate`")
    # Without --no-relink DVC puts new files in the place of results, and Snakemake takes them for newer.
    commands.dvc("commit", "--force", "--no-relink")
    sidecar = Path(load_yaml(CONFIG)["results"]) / PROVENANCE
    part = sidecar.with_name(f"{sidecar.name}.part")
    part.write_text(json.dumps(provenance(jobs), indent=1, sort_keys=True) + "\n")
    part.replace(sidecar)
    return [DVC_LOCK.as_posix(), sidecar.as_posix()]


def provenance(jobs: Iterable[Job]) -> dict:
    """Where and how the recorded results were made: of reading, not of comparison.

    Parameters
    ----------
    jobs : iterable of Job
        Whose outputs' durations are looked up in Snakemake's own records.

    Returns
    -------
    dict
        ``recorded`` (UTC), ``commit``, ``config`` and ``environment`` (sha256 of files), ``python``, ``packages``,
        ``system``, ``cpu``, ``cores``, ``threads`` (what torch would take), ``seconds`` by rule (a job's once, however
        many its outputs), ``rules_without_record``.
    """
    seconds: dict[str, float] = {}
    unknown = set()
    times = _times()
    for job in jobs:
        first = min(job.outputs)
        if first in times:
            seconds[job.rule] = round(seconds.get(job.rule, 0.0) + times[first], 1)
        else:
            unknown.add(job.rule)
    return {
        "recorded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commands.git("rev-parse", "HEAD").strip(),
        "config": _sha256(CONFIG),
        "environment": _sha256(LOCK),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "one a job, by the rules"),
        "seconds": seconds,
        "rules_without_record": sorted(unknown),
    }


def _dirty() -> list[str]:
    """Tracked files that differ from the last commit, and new ones that are not ignored; results and dvc.lock aside."""
    results = load_yaml(CONFIG)["results"]
    said = commands.git("status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames")
    changed = [entry[3:] for entry in said.split("\0") if entry]
    return [path for path in changed if path != DVC_LOCK.as_posix() and not path.startswith(f"{results}/")]


def _times() -> dict[str, float]:
    """Seconds that Snakemake measured, by output."""
    found = {}
    for file in _METADATA.rglob("*"):
        if file.is_file():
            kept = json.loads(file.read_text())
            start, end = kept.get("starttime"), kept.get("endtime")
            if start and end and end - start > _TOUCHED:
                found[_name_of(file)] = end - start
    return found


def _name_of(file: Path) -> str:
    """Output that a file of Snakemake's metadata is about: its path in base64, cut into folders where it is long."""
    encoded = "".join(part.removeprefix("@") for part in file.relative_to(_METADATA).parts)
    return base64.b64decode(encoded, altchars=b"-_").decode(errors="replace")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
