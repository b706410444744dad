"""What dvc.lock holds of each stage, beside what dvc.yaml says that it should."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chainofsteps.configuration import load_yaml
from chainofsteps.refusal import Refused

DVC_YAML = Path("dvc.yaml")
DVC_LOCK = Path("dvc.lock")
_KINDS = ("outs", "metrics", "plots")


@dataclass(frozen=True)
class Stage:
    """A stage: what dvc.yaml asks and what dvc.lock recorded. Paths are relative to the project.

    Attributes
    ----------
    name : str
    made : dict
        Whether DVC's cache (else Git) keeps an output, by path; of dvc.yaml.
    deps, outs : dict
        Recorded md5 by path; empty where the stage was never recorded.
    params : dict
        Recorded value by (file, dotted key).
    asked : set
        Dependencies and (file, dotted key) parameters of dvc.yaml.
    command_differs : bool
        The recorded command is another than that of dvc.yaml.
    """

    name: str
    made: dict[str, bool]
    deps: dict[str, str]
    outs: dict[str, str]
    params: dict[tuple[str, str], object]
    asked: set
    command_differs: bool


def read_stages() -> list[Stage]:
    """Stages of dvc.yaml in their order, with what dvc.lock recorded. The working directory is the project.

    Raises
    ------
    Refused
        dvc.yaml or dvc.lock is missing or no YAML mapping, or dvc.lock holds a stage or output without its hash.
    """
    wanted = _stages_of(DVC_YAML, "run `make ledger`")
    recorded = _stages_of(DVC_LOCK, "a recorded run: `make record`")
    found = []
    for name, stage in wanted.items():
        lock = recorded.get(name, {})
        made = {}
        for kind in _KINDS:
            for entry in stage.get(kind, []):
                for path, flags in entry.items():
                    made[path] = flags.get("cache", True)
        asked_params = {
            (file, key) for entry in stage.get("params", []) for file, keys in entry.items() for key in keys
        }
        locked_params = {
            (file, key): value for file, values in lock.get("params", {}).items() for key, value in values.items()
        }
        found.append(
            Stage(
                name,
                made,
                _hashes(lock, "deps", name),
                _hashes(lock, "outs", name),
                locked_params,
                {*stage.get("deps", []), *asked_params},
                bool(lock) and lock.get("cmd") != stage["cmd"],
            )
        )
    return found


def _stages_of(path: Path, accepted: str) -> dict:
    if not path.is_file():
        raise Refused(path, "file", "none", accepted)
    stages = load_yaml(path).get("stages")
    if not isinstance(stages, dict):
        raise Refused(path, "stages", type(stages).__name__, "stages by name")
    return stages


def _hashes(lock: dict, key: str, name: str) -> dict[str, str]:
    try:
        return {entry["path"]: entry["md5"] for entry in lock.get(key, [])}
    except (KeyError, TypeError):
        raise Refused(
            DVC_LOCK, f"stages.{name}.{key}", "an entry without path or md5", "entries that DVC wrote"
        ) from None


def md5_of(path: str | Path) -> str:
    """md5 of a file's bytes, as DVC takes it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def md5_if_there(path: str | Path) -> str | None:
    """As `md5_of`; None of no file."""
    return md5_of(path) if Path(path).is_file() else None


def changed_inputs(stage: Stage, own: Mapping[str, str | None]) -> Iterator[str]:
    """In what the code, settings and inputs of a stage are not those that it was recorded with; nothing where they are.

    Parameters
    ----------
    stage : Stage
    own : mapping
        md5 of its dependencies that no stage makes, as they are here; None of a file that is not.

    Raises
    ------
    Refused
        A file of config/ is missing or no YAML mapping.
    """
    if not stage.outs:
        yield "never recorded"
        return
    if stage.command_differs:
        yield "other rules"
    for place in sorted(stage.asked - set(stage.deps) - set(stage.params), key=str):
        yield f"{_shown(place)} is new"
    configs: dict[str, dict] = {}
    for file, key in sorted(set(stage.params) & stage.asked):
        if file not in configs:
            configs[file] = load_yaml(file)
        if _value(configs[file], key) != stage.params[file, key]:
            yield f"{_shown((file, key))} changed"
    for path in sorted(set(stage.deps) - stage.asked):
        yield f"{path} is no longer used"
    for path, md5 in sorted(own.items()):
        if path in stage.asked and md5 != stage.deps[path]:
            yield f"{path} {'is missing' if md5 is None else 'changed'}"


def _value(config: dict, key: str) -> object:
    """Setting by its dotted key; None where there is none."""
    value: object = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _shown(place: str | tuple[str, str]) -> str:
    return place if isinstance(place, str) else f"{place[1]} of {place[0]}"


def recorded_bytes(path: str, md5: str) -> bytes | None:
    """A recorded file's content, from DVC's cache or Git's last commit; None where neither has it whole.

    Nothing is believed by its name: what does not hash to ``md5`` is passed over.
    """
    cached = Path(".dvc/cache/files/md5", md5[:2], md5[2:])
    if cached.is_file() and md5_of(cached) == md5:
        return cached.read_bytes()
    shown = subprocess.run(["git", "show", f"HEAD:{path}"], capture_output=True)
    if shown.returncode == 0 and hashlib.md5(shown.stdout, usedforsecurity=False).hexdigest() == md5:
        return shown.stdout
    return None
