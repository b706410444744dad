"""Bring back what was recorded, from a DVC remote, without running a rule."""

from __future__ import annotations

import json
from pathlib import Path

from chainofsteps.ledger import commands
from chainofsteps.ledger.lock import DVC_LOCK, md5_of, read_stages
from chainofsteps.refusal import Refused


def restore(remote: str | None = None) -> int:
    """Pull recorded outputs, make sure that they are what was recorded, and let Snakemake take them as made.

    Parameters
    ----------
    remote : str, optional
        Name of a DVC remote; the default one otherwise.

    Returns
    -------
    int
        Number of outputs that are here and as recorded.

    Raises
    ------
    Refused
        No remote, or none of that name; nothing recorded; code, settings or inputs that are not those of the record; a
        file here that is neither recorded nor in DVC's cache; a remote that does not answer, lacks an object or holds
        another content; Snakemake would still run something. What was pulled before stays, and the next call goes on.
    """
    stages = read_stages()
    outs = {path: md5 for stage in stages for path, md5 in stage.outs.items() if path in stage.made}
    cached = {path for stage in stages for path, is_cached in stage.made.items() if is_cached}
    if not outs:
        raise Refused(DVC_LOCK, "outs", "none", "a recorded run")
    _require_remote(remote)
    _require_inputs()
    _keep_what_is_new({path: md5 for path, md5 in outs.items() if path in cached})
    pulled = _pull(remote)
    wrong = [path for path, md5 in outs.items() if not Path(path).is_file() or md5_of(path) != md5]
    if wrong:
        raise Refused(
            DVC_LOCK,
            f"{len(wrong)} outputs",
            f"{', '.join(wrong[:5])}: missing, or not what was recorded",
            "a remote whose objects hash to their names; delete the bad ones there and push from a good clone",
        )
    if pulled is not None:
        raise pulled
    # Only now: to touch while DVC sees a difference would bless stale results.
    commands.snakemake("--cores", "1", "--touch", "--forceall", "--quiet", "all", "--", *sorted(outs))
    rules = commands.planned(sorted(outs))
    if rules:
        raise Refused("snakemake -n", "planned", ", ".join(rules), "nothing to do after a restore")
    return len(outs)


def _pull(remote: str | None) -> Refused | None:
    """What DVC has to say, to be told where the files themselves do not say more."""
    try:
        commands.dvc("pull", "--quiet", *(("--remote", remote) if remote else ()))
    except Refused as refusal:
        return refusal
    return None


def _require_remote(name: str | None) -> None:
    listed = commands.dvc("remote", "list").split()
    names = listed[::2] if "(default)" not in listed else [each for each in listed if each != "(default)"][::2]
    if not names:
        raise Refused(".dvc/config", "remote", "none", "`dvc remote add --default NAME URL` first")
    if name is not None and name not in names:
        raise Refused(".dvc/config", "remote", name, ", ".join(names))
    if name is None and not commands.dvc("config", "core.remote").strip():
        raise Refused(
            ".dvc/config", "core.remote", "none", f"`dvc remote default NAME`, or --remote {' or '.join(names)}"
        )


def _require_inputs() -> None:
    """Refuse where the code, settings or inputs here are not those that the outputs were recorded with."""
    status = json.loads(commands.dvc("status", "--json") or "{}")
    changed = []
    for stage, said in status.items():
        for each in said:
            # Outputs that are not here yet change the stages after them: these are what is to be restored.
            parts = each.get("changed deps", {}) if isinstance(each, dict) else {each: "changed"}
            changed += [f"{stage}: {path}" for path, how in parts.items() if how != "deleted"]
    made = {path for stage in read_stages() for path in stage.made}
    changed = [each for each in changed if each.split(": ", 1)[1] not in made]
    if changed:
        raise Refused(
            DVC_LOCK, "inputs", f"changed since the record: {', '.join(changed[:5])}", "the commit that was recorded"
        )


def _keep_what_is_new(outs: dict[str, str]) -> None:
    """Refuse to write over a result that is nowhere else."""
    for path, md5 in outs.items():
        if Path(path).is_file():
            own = md5_of(path)
            if own != md5 and not Path(".dvc/cache/files/md5", own[:2], own[2:]).is_file():
                raise Refused(
                    path, "content", "not what was recorded, and kept nowhere", "`make record`, or no file there"
                )
