"""dvc.yaml from the DAG: one DVC stage a box, a box being a file of workflow/rules.

Snakemake runs the workflow; DVC holds what went into each box and what came out. So nothing is stated here twice:
files come from the jobs of the default configuration, parameters from what the rules read of it.
"""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import yaml
from snakemake.api import ResourceSettings, SnakemakeApi

from chainofsteps.configuration import load_yaml
from chainofsteps.ledger.sources import LOCK

COMMON = Path("workflow/rules/common.smk")
CONFIG = Path("config/config.yaml")
MODELS = Path("config/models.yaml")
HEADER = "# Made from the workflow by `make ledger`. Do not edit.\n"

# Small results are for reading in a diff and stay in Git, as .gitignore says; DVC's cache takes the rest.
IN_GIT = ("statistics", "figures")
# Pages and notebooks change their bytes with each execution: to hash them would say stale where nothing is.
UNHASHED = (".html", ".ipynb")


@dataclass(frozen=True)
class Job:
    """A job of the DAG; paths are relative to the project, with forward slashes."""

    rule: str
    rules_file: str
    script: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def box(self) -> str:
        """Name of the rules file."""
        return Path(self.rules_file).stem


def read_jobs() -> list[Job]:
    """Jobs that the default target needs under the default configuration, whether or not they are done.

    The working directory is the project. Nothing is run; jobs without outputs, which only gather, are left out.

    Returns
    -------
    list of Job
        In no particular order.

    Raises
    ------
    SystemExit
        The workflow refuses its configuration, or Snakemake cannot build the DAG; the reason is on standard error.
    """
    with SnakemakeApi() as api:
        try:
            workflow = api.workflow(ResourceSettings(), snakefile="Snakefile")
            # The API prints a graph but does not return it; what it printed from stays in the workflow.
            with redirect_stdout(io.StringIO()):
                workflow.dag().printrulegraph()
            return [_job(job) for job in workflow._workflow.dag.jobs if job.output]
        # Whatever stops a Snakefile: Snakemake names its line.
        except Exception as error:
            api.print_exception(error)
            raise SystemExit(1) from None


def read_patterns() -> list[re.Pattern]:
    """What the outputs of all rules look like, those that are made on request included.

    Raises
    ------
    SystemExit
        As `read_jobs`.
    """
    with SnakemakeApi() as api:
        try:
            workflow = api.workflow(ResourceSettings(), snakefile=Path("Snakefile"))._workflow
            return [output.regex() for rule in workflow.rules for output in rule.output]
        except Exception as error:
            api.print_exception(error)
            raise SystemExit(1) from None


def _job(job) -> Job:
    rules_file = Path(job.rule.snakefile)
    script = job.rule.script and _in_project(rules_file.parent / job.rule.script)
    return Job(job.rule.name, _in_project(rules_file), script, tuple(map(str, job.input)), tuple(map(str, job.output)))


def _in_project(path: Path) -> str:
    return path.resolve().relative_to(Path.cwd().resolve()).as_posix()


def build_stages(jobs: list[Job]) -> dict[str, dict]:
    """Stages of dvc.yaml.

    Parameters
    ----------
    jobs : list of Job
        As `read_jobs` gives them.

    Returns
    -------
    dict
        Stage by box, each after those whose outputs it takes.

    Raises
    ------
    Refused
        A file of config/ is missing or no YAML mapping.
    graphlib.CycleError
        Two boxes take outputs of each other: DVC has no such stages.
    """
    boxes: dict[str, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.rule):
        boxes.setdefault(job.box, []).append(job)
    maker = {path: job.box for job in jobs for path in job.outputs}
    before = {
        box: sorted({maker.get(path, box) for job in boxes[box] for path in job.inputs} - {box})
        for box in sorted(boxes)
    }
    return {box: _stage(boxes[box]) for box in TopologicalSorter(before).static_order()}


def _stage(jobs: list[Job]) -> dict:
    rules_file = jobs[0].rules_file
    made = {path for job in jobs for path in job.outputs}
    taken = {path for job in jobs for path in (*job.inputs, job.script) if path}
    deps = (taken - made) | {rules_file, COMMON.as_posix(), LOCK.as_posix()}
    # Without a core count: the command is stored in dvc.lock and must be the same on every machine.
    commands = [f"snakemake --cores all --until {' '.join(rules)}" for rules in _levels(jobs)]
    stage = {
        "cmd": commands[0] if len(commands) == 1 else commands,
        "deps": sorted(deps),
        "params": [{file: keys} for file, keys in _params(Path(rules_file).read_text()).items()],
    }
    for path in sorted(made):
        if not path.endswith(UNHASHED):
            stage.setdefault(_kind(path), []).append({path: _flags(path)})
    return {key: value for key, value in stage.items() if value}


def _levels(jobs: list[Job]) -> list[list[str]]:
    """Rules of a box, each list after those whose outputs it takes.

    Snakemake never starts a job whose inputs are made, in the same call, by a rule that is named after ``--until``
    (dag.py, `finish`: what depends on such jobs is not counted as ready; seen in 9.27).
    """
    maker = {path: job.rule for job in jobs for path in job.outputs}
    before: dict[str, set[str]] = {job.rule: set() for job in jobs}
    for job in jobs:
        before[job.rule] |= {maker[path] for path in job.inputs if path in maker} - {job.rule}
    sorter, levels = TopologicalSorter(before), []
    sorter.prepare()
    while sorter.is_active():
        levels.append(sorted(sorter.get_ready()))
        sorter.done(*levels[-1])
    return levels


def _kind(path: str) -> str:
    if Path(path).name == "metrics.json":
        return "metrics"
    return "plots" if path.endswith(".png") else "outs"


def _flags(path: str) -> dict[str, bool]:
    # persist: without it `dvc repro` deletes an output before it calls Snakemake, which would have left it alone.
    return ({"cache": False} if Path(path).parent.name in IN_GIT else {}) | {"persist": True}


def _params(rules: str) -> dict[str, list[str]]:
    """Keys by file of config/ that the text of a rules file reads."""
    # A function of common.smk that reads the constant.
    rules = re.sub(r"\bget_model\b", "MODELS", rules)
    config_keys = read_keys(rules, _constants(COMMON.read_text()))
    params = {CONFIG.as_posix(): sorted(config_keys)}
    if re.search(r"\bMODELS?\b", rules):
        name = load_yaml(CONFIG)["model"]
        # How a model was trained and how its success is measured change none of its outputs: the rules drop them.
        keys = sorted(set(load_yaml(MODELS)[name]) - {"training", "orders"})
        params[MODELS.as_posix()] = [f"{name}.{key}" for key in keys]
    return {file: keys for file, keys in params.items() if keys}


def _constants(common: str) -> dict[str, set[str]]:
    """Keys behind each constant that common.smk makes from the configuration."""
    constants: dict[str, set[str]] = {}
    for name, value in re.findall(r"^\s*([A-Z_]+) = (.+)$", common, flags=re.MULTILINE):
        constants[name] = read_keys(value, constants)
    return constants


def read_keys(text: str, constants: dict[str, set[str]]) -> set[str]:
    """Configuration keys that workflow code reads.

    Parameters
    ----------
    text : str
        Snakemake code. ``config["cases"]["count"]`` reads ``cases.count``; a computed key reads all of its parent.
    constants : dict
        Keys by name of a constant: naming the constant reads them too.

    Returns
    -------
    set of str
        Dotted keys.
    """
    keys = {".".join(re.findall(r'\["(\w+)"\]', path)) for path in re.findall(r'\bconfig((?:\["\w+"\])+)', text)}
    return keys.union(*(constants.get(name, ()) for name in re.findall(r"\b[A-Z_]+\b", text)))


def render(stages: dict[str, dict]) -> str:
    """Text of dvc.yaml: the same bytes for the same stages."""
    return HEADER + yaml.safe_dump({"stages": stages}, sort_keys=False, width=1000)
