"""Bring back what was recorded, from a DVC remote, without running a rule."""

from __future__ import annotations

from pathlib import Path

from chainofsteps.ledger import commands
from chainofsteps.ledger.lock import DVC_LOCK, Stage, changed_inputs, md5_if_there, md5_of, read_stages
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
    _require_inputs(stages)
    _keep_what_is_new({path: md5 for path, md5 in outs.items() if path in cached})
    pulled = _pull(remote)
    wrong = [path for path, md5 in outs.items() if md5_if_there(path) != md5]
    if wrong:
        raise Refused(
            DVC_LOCK,
            f"{len(wrong)} outputs",
            f"{', '.join(wrong[:5])}: missing, or not what was recorded{f' ({pulled})' if pulled else ''}",
            "a remote whose objects hash to their names; delete the bad ones there and push from a good clone",
        )
    if pulled is not None:
        raise pulled
    # Only now: to touch while DVC sees a difference would bless stale results.
    commands.touch(sorted(outs))
    rules = commands.planned(sorted(outs))
    if rules:
        raise Refused("snakemake -n", "planned", ", ".join(rules), "nothing to do after a restore")
    return len(outs)


def _pull(remote: str | None) -> Refused | None:
    """What DVC has to say, to be told where the files themselves do not say more."""
    try:
        commands.dvc("pull", *(("--remote", remote) if remote else ()))
    except Refused as refusal:
        return refusal
    return None


def _require_remote(name: str | None) -> None:
    settings = dict(line.split("=", 1) for line in commands.dvc("config", "--list").splitlines() if "=" in line)
    names = [key.split(".")[1] for key in settings if key.startswith("remote.") and key.endswith(".url")]
    if not names:
        raise Refused(".dvc/config", "remote", "none", "`dvc remote add --default NAME URL` first")
    if name is not None and name not in names:
        raise Refused(".dvc/config", "remote", name, ", ".join(names))
    if name is None and settings.get("core.remote") not in names:
        given = settings.get("core.remote", "none")
        raise Refused(
            ".dvc/config", "core.remote", given, f"`dvc remote default NAME`, or --remote {' or '.join(names)}"
        )


def _require_inputs(stages: list[Stage]) -> None:
    """Refuse where the code, settings or inputs here are not those that the outputs were recorded with."""
    made = {path for stage in stages for path in stage.made}
    changed = [
        f"{stage.name}: {cause}"
        for stage in stages
        for cause in changed_inputs(stage, {path: md5_if_there(path) for path in stage.deps if path not in made})
    ]
    if changed:
        raise Refused(DVC_LOCK, "inputs", f"since the record: {', '.join(changed[:5])}", "the commit that was recorded")


def _keep_what_is_new(outs: dict[str, str]) -> None:
    """Refuse to write over a result that is nowhere else."""
    for path, md5 in outs.items():
        if Path(path).is_file():
            own = md5_of(path)
            if own != md5 and not Path(".dvc/cache/files/md5", own[:2], own[2:]).is_file():
                raise Refused(
                    path, "content", "not what was recorded, and kept nowhere", "`make record`, or no file there"
                )
