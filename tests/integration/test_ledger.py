"""Record, restore, audit and history with the real Git, DVC and Snakemake, on a workflow of two rules."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray as xr
import yaml

from chainofsteps.ledger import audit as auditing
from chainofsteps.ledger.audit import CURRENT, DRIFTED, MISSING, ORPHAN, STALE, TOLERATED, audit
from chainofsteps.ledger.lock import md5_of
from tests.integration.ssh import Server, needs_sshd, serving
from tests.integration.warm import Warm

pytestmark = pytest.mark.integration

FILES = {
    "Snakefile": """
configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/numbers.smk"
include: "workflow/rules/tables.smk"


rule all:
    default_target: True
    input:
        rules.judge.output,
""",
    "workflow/rules/common.smk": 'from pathlib import Path\n\nRESULTS = Path(config["results"])\n',
    "workflow/rules/numbers.smk": """
rule draw:
    input:
        seed="data/seed.txt",
        weights="data/weights.bin",
        modules="src/helper.py",
        lock="requirements.lock",
    output:
        RESULTS / "numbers" / "a.nc",
        RESULTS / "numbers" / "b.nc",
    params:
        cases=config["count"],
    script:
        "../scripts/draw.py"


rule on_request:
    output:
        RESULTS / "more" / "{name}.txt",
    shell:
        "touch {output}"
""",
    "workflow/rules/tables.smk": """
rule judge:
    input:
        rules.draw.output,
        lock="requirements.lock",
    output:
        verdicts=RESULTS / "statistics" / "verdicts.csv",
        metrics=RESULTS / "statistics" / "metrics.json",
    params:
        scale=config["scale"],
    script:
        "../scripts/judge.py"
""",
    "workflow/scripts/draw.py": """import sys
from pathlib import Path

import numpy as np
import xarray as xr

sys.path.insert(0, "src")
from helper import shifted

rng = np.random.default_rng(int(Path(snakemake.input.seed).read_text()))
for path in snakemake.output:
    values = shifted(rng.normal(size=snakemake.params.cases))
    plan = rng.integers(0, 9, size=snakemake.params.cases)
    dataset = xr.Dataset({"value": ("case", values), "plan": ("case", plan)})
    dataset.to_netcdf(path, engine="h5netcdf")
""",
    "workflow/scripts/judge.py": """import json
from pathlib import Path

import xarray as xr

means = [float(xr.load_dataset(path)["value"].mean()) * snakemake.params.scale for path in snakemake.input[:2]]
words = ["replicated" if mean > 0 else "contradicted" for mean in means]
lines = ["id,family,estimate,verdict", *(f"E{i},maze,{m:.6g},{w}" for i, (m, w) in enumerate(zip(means, words)))]
Path(snakemake.output.verdicts).write_text("\\n".join(lines) + "\\n")
Path(snakemake.output.metrics).write_text(json.dumps({"E0": {"maze": {"estimate": means[0], "n": 20}}}))
""",
    "src/helper.py": "def shifted(values):\n    return values + 3\n",
    "config/config.yaml": "results: results\ncount: 20\nscale: 2.0\n",
    "data/seed.txt": "7\n",
    "data/weights.bin": "weights of a model " * 50,
    "requirements.lock": "xarray==1\n",
    ".gitignore": "/results/*\n!/results/statistics/\n!/results/provenance.json\n/.snakemake/\n__pycache__/\n",
}
OUTS = ("numbers/a.nc", "numbers/b.nc", "statistics/metrics.json", "statistics/verdicts.csv")
STATISTICS = {"results/statistics/metrics.json", "results/statistics/verdicts.csv"}


class Project:
    """A Git and DVC repository with Snakemake in it."""

    def __init__(self, folder: Path, warm: Warm):
        self.folder, self.warm = folder, warm

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess:
        # A stage's command is looked up on PATH.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = os.environ | {"DVC_NO_ANALYTICS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PATH": path}
        if command[0] == sys.executable:
            done = self.warm.run(*command[1:], folder=self.folder, environment=own)
        else:
            done = subprocess.run(command, cwd=self.folder, env=own, capture_output=True, text=True)
        assert (done.returncode == 0) == ok, (command, done.stdout, done.stderr)
        return done

    def git(self, *arguments: str) -> str:
        return self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments).stdout

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments).stdout

    def snakemake(self, *arguments: str) -> str:
        done = self.run(sys.executable, "-m", "snakemake", *arguments)
        return done.stdout + done.stderr

    def ledger(self, *arguments: str, ok: bool = True) -> str:
        done = self.run(sys.executable, "-m", "chainofsteps.ledger", *arguments, ok=ok)
        if ok:
            return done.stdout
        refused = [line for line in done.stderr.splitlines() if line.startswith("refused: ")]
        assert len(refused) == 1 and "accepted:" in refused[0], done.stderr
        return refused[0]

    def killed_when(self, folder: Path, *command: str) -> None:
        """Run a Python module and kill it, with what it has started, once there is a new file in a folder."""
        before, deadline = files_in(folder), time.monotonic() + 120
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = subprocess.Popen([sys.executable, "-m", *command], cwd=self.folder, start_new_session=True, **quiet)
        try:
            while files_in(folder) == before:
                assert running.poll() is None and time.monotonic() < deadline, "ended before it moved anything"
                time.sleep(0.001)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()

    def commit(self, words: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", words)

    def findings(self, monkeypatch) -> dict:
        monkeypatch.chdir(self.folder)
        return {finding.path: finding for finding in audit()}

    def copy(self, folder: Path) -> Project:
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder, self.warm)

    def clone(self, folder: Path) -> Project:
        subprocess.run(["git", "clone", "--quiet", str(self.folder), str(folder)], check=True)
        return Project(folder, self.warm)


def files_in(folder: Path) -> set[Path]:
    """Files at any depth, temporary ones included; folders may go while one looks."""
    return {Path(way, name) for way, _, names in os.walk(folder) for name in names}


def objects_in(store: Path) -> dict[str, Path]:
    """Whole objects of a remote by the hash that their names tell."""
    return {path.parent.name + path.name: path for path in files_in(store) if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, warm) -> Project:
    """A run that was recorded and pushed to a folder. Not to be changed: copy or clone it."""
    project = Project(tmp_path_factory.mktemp("ledger") / "project", warm)
    for name, text in FILES.items():
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project.git("init", "--quiet")
    project.dvc("init", "--quiet")
    project.dvc("remote", "add", "--quiet", "--default", "store", str(project.folder.parent / "store"))
    project.ledger("stages")
    project.commit("project")
    project.snakemake("--cores", "1")
    project.ledger("record")
    project.commit("first run")
    project.dvc("push", "--quiet")
    return project


@pytest.fixture
def project(recorded, tmp_path) -> Project:
    return recorded.copy(tmp_path / "project")


def test_a_recorded_run_is_current_and_says_how_it_ran(recorded, monkeypatch):
    assert "4 current" in recorded.ledger("audit")
    told = json.loads(recorded.ledger("audit", "--json"))
    assert {each["path"] for each in told} == {f"results/{name}" for name in OUTS}
    assert all(each == each | {"state": CURRENT, "cause": ""} for each in told)
    sidecar = json.loads((recorded.folder / "results/provenance.json").read_text())
    assert set(sidecar["seconds"]) == {"draw", "judge"} and min(sidecar["seconds"].values()) > 0.1
    assert sidecar["commit"] == recorded.git("rev-parse", "HEAD~1").strip() and sidecar["cores"] == os.cpu_count()
    assert "provenance" not in (recorded.folder / "dvc.lock").read_text()


def test_only_a_finished_run_of_committed_code_is_recorded(project):
    helper, lock = project.folder / "src/helper.py", project.folder / "dvc.lock"
    before = lock.read_bytes()
    helper.write_text(helper.read_text() + "\n# edited\n")
    assert "git: changed since the last commit: given src/helper.py" in project.ledger("record", ok=False)
    project.commit("edited")
    assert "snakemake -n: planned: given draw, judge" in project.ledger("record", ok=False)
    rules = project.folder / "workflow/rules/tables.smk"
    rules.write_text(rules.read_text().replace('config["scale"]', 'config["count"]'))
    project.commit("another rule")
    assert "dvc.yaml: stages: given not those of the workflow" in project.ledger("record", ok=False)
    assert lock.read_bytes() == before


def test_every_fault_in_content_is_named_and_no_change_of_time_is(project, monkeypatch):
    """200 single faults in results and in what they were made from."""
    rng = random.Random(20261125)
    outs = [f"results/{name}" for name in OUTS]
    inputs = ["data/seed.txt", "data/weights.bin", "src/helper.py", "requirements.lock", "workflow/rules/numbers.smk"]
    assert {finding.state for finding in project.findings(monkeypatch).values()} == {CURRENT}
    kinds = {"flip": 0, "cut": 0, "delete": 0, "swap": 0, "time": 0}
    for _ in range(200):
        kind, name = rng.choice(list(kinds)), rng.choice(outs + inputs)
        kinds[kind] += 1
        path = project.folder / name
        other = project.folder / rng.choice([each for each in outs + inputs if each != name])
        kept = {each: (each.read_bytes(), each.stat()) for each in (path, other)}
        content = bytearray(kept[path][0])
        if kind == "flip":
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
        elif kind == "cut":
            path.write_bytes(content[: rng.randrange(len(content))])
        elif kind == "delete":
            path.unlink()
        elif kind == "swap":
            path.write_bytes(kept[other][0])
            other.write_bytes(kept[path][0])
        else:
            os.utime(path, (rng.randrange(10**9), rng.randrange(2 * 10**9)))
        found = project.findings(monkeypatch)
        named = {name} | ({other.relative_to(project.folder).as_posix()} if kind == "swap" else set())
        for each in named if kind != "time" else ():
            if each in outs:
                assert found[each].state in ((MISSING,) if kind == "delete" else (DRIFTED, TOLERATED)), (kind, each)
            else:
                assert any(each in finding.cause and finding.state == STALE for finding in found.values()), (kind, each)
        if kind == "time":
            assert {finding.state for finding in found.values()} == {CURRENT}, name
        for each, (before, times) in kept.items():
            each.write_bytes(before)
            os.utime(each, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert min(kinds.values()) > 20
    assert {finding.state for finding in project.findings(monkeypatch).values()} == {CURRENT}


def test_last_digits_of_another_machine_are_told_from_other_results(project, monkeypatch):
    path = project.folder / "results/numbers/a.nc"
    dataset = xr.load_dataset(path)
    dataset.assign(value=dataset["value"] * (1 + 1e-6)).to_netcdf(path, engine="h5netcdf")
    found = project.findings(monkeypatch)
    assert found["results/numbers/a.nc"].state == TOLERATED and "value" in found["results/numbers/a.nc"].cause
    # What was made from last digits is not stale.
    assert {found[f"results/{name}"].state for name in OUTS[1:]} == {CURRENT}
    assert not auditing.is_clean(found.values()) and auditing.is_clean(found.values(), tolerant=True)
    project.ledger("audit", "--tolerant")
    project.run(sys.executable, "-m", "chainofsteps.ledger", "audit", ok=False)
    dataset.assign(plan=dataset["plan"] + 1).to_netcdf(path, engine="h5netcdf")
    found = project.findings(monkeypatch)
    assert found["results/numbers/a.nc"].state == DRIFTED and "plan: 20 of 20" in found["results/numbers/a.nc"].cause
    assert all(found[each].state == STALE and "a.nc is drifted" in found[each].cause for each in STATISTICS)
    shutil.rmtree(project.folder / ".dvc/cache")
    found = project.findings(monkeypatch)
    assert found["results/numbers/a.nc"].state == DRIFTED and "no copy is here" in found["results/numbers/a.nc"].cause
    assert {found[each].state for each in STATISTICS} == {CURRENT}  # it may be last digits
    verdicts = project.folder / "results/statistics/verdicts.csv"
    verdicts.write_text(verdicts.read_text().replace("replicated", "inconclusive", 1))
    cause = project.findings(monkeypatch)["results/statistics/verdicts.csv"].cause
    assert "verdict, row 0: recorded replicated, given inconclusive" in cause


def test_a_file_that_no_rule_makes_is_an_orphan(project):
    for name in ("more/asked.txt", "numbers/left.nc"):
        path = project.folder / "results" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    done = project.run(sys.executable, "-m", "chainofsteps.ledger", "audit", ok=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [ORPHAN, "results/numbers/left.nc", "no", "rule", "makes", "it"] in lines
    assert "asked.txt" not in done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "rules"),
    [
        ("config/config.yaml", "count: 20", "count: 21", {"draw", "judge"}),
        ("config/config.yaml", "scale: 2.0", "scale: 3.0", {"judge"}),
        ("workflow/rules/tables.smk", 'scale=config["scale"]', 'scale=2 * config["scale"]', {"judge"}),
        ("workflow/scripts/judge.py", "mean > 0", "mean > 1", {"judge"}),
        ("workflow/scripts/draw.py", "integers(0, 9", "integers(0, 8", {"draw", "judge"}),
        ("src/helper.py", "+ 3", "+ 4", {"draw", "judge"}),
        ("data/seed.txt", "7", "8", {"draw", "judge"}),
        ("data/weights.bin", "weights of a model", "weights of another", {"draw", "judge"}),
        ("requirements.lock", "xarray==1", "xarray==2", {"draw", "judge"}),
        ("results/statistics/verdicts.csv", None, None, {"judge"}),
    ],
)
def test_snakemake_dvc_and_audit_name_the_same(project, monkeypatch, file, old, new, rules):
    """Parity: rules that Snakemake would run, stages that DVC calls changed, stages of what is not current."""
    stage_of = {"draw": "numbers", "judge": "tables"}
    path = project.folder / file
    if old is None:
        path.unlink()
    else:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    said = project.snakemake("-n", "--quiet", "host")
    assert {rule for rule in stage_of if f"\n{rule} " in said} == rules
    found = project.findings(monkeypatch)
    assert {finding.stage for finding in found.values() if finding.state != CURRENT} == {stage_of[r] for r in rules}
    status = yaml.safe_load(project.dvc("status", "--json"))
    # DVC says where it begins; what follows from it is stale by its inputs once that was made again.
    assert set(status) and set(status) <= {stage_of[rule] for rule in rules}
    assert stage_of[sorted(rules)[0]] in status


def test_restore_in_a_clone_runs_nothing_and_goes_on_noticing(recorded, tmp_path):
    clone = recorded.clone(tmp_path / "clone")
    assert "recorded, not here" in clone.run(sys.executable, "-m", "chainofsteps.ledger", "audit", ok=False).stdout
    # No room for a file in mid-restore: one line, and the next call goes on.
    full = clone.run("bash", "-c", f"ulimit -f 4; {sys.executable} -m chainofsteps.ledger restore", ok=False)
    assert [line.startswith("refused: ") for line in full.stderr.splitlines()] == [True], full.stderr
    assert clone.ledger("restore").startswith("4 outputs")
    assert "4 current" in clone.ledger("audit")
    assert "Nothing to be done" in clone.snakemake("-n")
    assert clone.ledger("restore").startswith("4 outputs")
    config = clone.folder / "config/config.yaml"
    config.write_text(config.read_text().replace("scale: 2.0", "scale: 3.0"))
    assert "\njudge " in clone.snakemake("-n", "--quiet", "host")
    assert "dvc.lock: inputs: given since the record: tables: scale of config/config.yaml changed" in clone.ledger(
        "restore", ok=False
    )


def test_what_a_remote_lacks_or_holds_wrong_is_named_and_a_later_restore_goes_on(recorded, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(recorded.folder.parent / "store", store)
    clone = recorded.clone(tmp_path / "clone")
    clone.dvc("remote", "add", "--quiet", "--local", "--default", "copy", str(store))
    objects = sorted(path for path in store.rglob("*") if path.is_file())
    assert len(objects) == 2
    kept = objects[0].read_bytes()
    objects[0].unlink()
    clone.ledger("restore", ok=False)
    assert len(list((clone.folder / "results/numbers").glob("*.nc"))) <= 1
    objects[0].write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    refused = clone.ledger("restore", ok=False)
    assert "a.nc" in refused or "b.nc" in refused
    objects[0].parent.mkdir(exist_ok=True)  # DVC takes a bad object away where it can
    objects[0].write_bytes(kept)
    shutil.rmtree(clone.folder / ".dvc/cache", ignore_errors=True)
    for path in (clone.folder / "results/numbers").glob("*.nc"):
        path.unlink()
    assert clone.ledger("restore").startswith("4 outputs")


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with serving(tmp_path / "sshd") as started:
        yield started


def add_remote(project: Project, server: Server, store: Path) -> None:
    """The store behind the server as the default remote of this clone alone."""
    # What `dvc remote add` and four of `dvc remote modify` would write, each a process.
    (project.folder / ".dvc/config.local").write_text(
        "[core]\n"
        "    remote = far\n"
        "['remote \"far\"']\n"
        f"    url = {server.url(store)}\n"
        f"    keyfile = {server.key}\n"
        "    allow_agent = false\n"
        "    verify = true\n"
        "    jobs = 1\n"  # one file after the other: an interruption leaves some for later
    )


@needs_sshd
def test_a_remote_over_ssh_survives_interruptions_and_what_is_tampered_with_is_named(project, server, tmp_path):
    store = tmp_path / "far"
    store.mkdir()
    config = project.folder / "config/config.yaml"
    config.write_text(config.read_text().replace("count: 20", "count: 300000"))  # 5 MB a file: time to interrupt
    project.commit("larger")
    project.snakemake("--cores", "1")
    project.ledger("record")
    project.commit("larger run")
    add_remote(project, server, store)
    project.killed_when(store, "dvc", "push")
    assert len(objects_in(store)) < 2
    project.dvc("push")
    objects = objects_in(store)
    assert len(objects) == 2 and all(md5_of(path) == name for name, path in objects.items())

    clone = project.clone(tmp_path / "clone")
    add_remote(clone, server, store)
    clone.killed_when(clone.folder / ".dvc/cache", "chainofsteps.ledger", "restore")
    assert "recorded, not here" in clone.run(sys.executable, "-m", "chainofsteps.ledger", "audit", ok=False).stdout
    assert clone.ledger("restore").startswith("4 outputs")
    assert "4 current" in clone.ledger("audit") and "Nothing to be done" in clone.snakemake("-n")

    name, path = next(iter(objects.items()))
    (result,) = (each for each in (clone.folder / "results/numbers").iterdir() if md5_of(each) == name)
    kept = bytearray(path.read_bytes())
    kept[len(kept) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(kept)
    other = project.clone(tmp_path / "other")
    add_remote(other, server, store)
    refused = other.ledger("restore", ok=False)
    assert result.relative_to(clone.folder).as_posix() in refused, refused
    path.unlink(missing_ok=True)  # DVC takes a bad object away where it can
    project.dvc("push")
    assert other.ledger("restore").startswith("4 outputs")


@needs_sshd
def test_a_server_that_is_gone_is_refused_in_one_line(recorded, tmp_path):
    clone = recorded.clone(tmp_path / "clone")
    with serving(tmp_path / "sshd") as server:
        add_remote(clone, server, tmp_path / "far")
    assert "pull" in clone.ledger("restore", ok=False)


def test_a_result_that_is_kept_nowhere_is_not_written_over(project):
    path = project.folder / "results/numbers/a.nc"
    path.write_bytes(b"mine")
    assert "results/numbers/a.nc: content: given not what was recorded" in project.ledger("restore", ok=False)
    assert path.read_bytes() == b"mine"


def test_bad_ground_is_refused_in_one_line(recorded, tmp_path):
    clone = recorded.clone(tmp_path / "clone")
    assert ".dvc/config: remote: given elsewhere; accepted: store" in clone.ledger(
        "restore", "--remote", "elsewhere", ok=False
    )
    clone.dvc("remote", "add", "--quiet", "away", "s3://bucket/store")
    refused = clone.ledger("restore", "--remote", "away", ok=False)
    assert "pull --remote away" in refused and "requires 'dvc-s3' to be installed" in refused
    clone.dvc("remote", "remove", "away")
    clone.dvc("remote", "remove", "store")
    assert ".dvc/config: remote: given none" in clone.ledger("restore", ok=False)
    (clone.folder / "dvc.lock").write_text("stages:\n  numbers:\n    outs:\n    - path: x\n")
    assert "dvc.lock: stages.numbers.outs: given an entry without path or md5" in clone.ledger("audit", ok=False)
    (clone.folder / "dvc.lock").unlink()
    for command in ("audit", "restore"):
        assert "dvc.lock: file: given none; accepted: a recorded run" in clone.ledger(command, ok=False)


def test_history_lists_runs_and_the_verdicts_that_moved(project):
    assert project.ledger("history").count("config") == 1
    config = project.folder / "config/config.yaml"
    config.write_text(config.read_text().replace("scale: 2.0", "scale: -2.0"))
    project.commit("turned round")
    project.snakemake("--cores", "1")
    project.ledger("record")
    project.commit("second run")
    latest, *rest = project.ledger("history").splitlines()
    assert latest.startswith(project.git("rev-parse", "--short=12", "HEAD").strip()) and "results of: tables" in latest
    assert rest[0].strip() == "E0 maze: replicated -> contradicted" and len(rest) == 3
    assert "scale" in project.dvc("params", "diff", "HEAD~2") and "estimate" in project.dvc("metrics", "diff", "HEAD~2")


def test_an_experiment_of_dvc_is_run_by_snakemake_and_both_agree_on_it(project):
    for key in ("user.name", "user.email"):
        project.git("config", key, "t@t")
    said = project.dvc("exp", "run", "--name", "turned", "-S", "config/config.yaml:scale=-2.0")
    assert "Stage 'numbers' didn't change, skipping" in said
    assert "contradicted" in (project.folder / "results/statistics/verdicts.csv").read_text()
    assert "up to date" in project.dvc("status") and "Nothing to be done" in project.snakemake("-n")
    changed = json.loads(project.dvc("exp", "diff", "--json"))
    assert changed["params"]["config/config.yaml"] == {"scale": {"old": 2.0, "new": -2.0, "diff": -4.0}}
    assert changed["metrics"]["results/statistics/metrics.json"]["E0.maze.estimate"]["new"] < 0
    assert "turned" in project.dvc("exp", "list")
