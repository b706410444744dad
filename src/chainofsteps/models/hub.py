"""Fetch a model from the Hugging Face hub at a pinned commit: only the files that are needed, each held to its hash.

No torch here. Everything is fetched beside the model's folder, which gets its name once it is whole and safe; files
that were whole before an interruption are not fetched again. A network that fails is tried again; what the hub refuses
is said once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from chainofsteps.models.check import (
    CONFIG_NAMES,
    INDEX,
    MANIFEST,
    NETWORKS,
    ORIGIN,
    WEIGHTED,
    check_folder,
    check_safetensors,
    hash_folder,
    named_parts,
    read_manifest,
    read_origin,
    write_manifest,
)
from chainofsteps.refusal import NO_ROOM, Refused

_PARTS = {*WEIGHTED, *NETWORKS, *CONFIG_NAMES, "feature_extractor"}
_SUFFIXES = (".json", ".txt", ".model", ".safetensors")
_ROOM = 1.02  # of the files' size: what a file system takes besides
_PAUSES = (5, 20, 60)  # seconds before a network that failed is tried again
_BUSY = (408, 429)  # answers of a hub that may be asked again


Answer = TypeVar("Answer")


class Unreachable(Refused):
    """A network that failed: another try may get what this one did not."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: its path, size, and the hash that the hub states (sha256, or Git's of a small file)."""

    name: str
    size: int
    digest: str


def fetch(
    folder: str | Path,
    repository: str,
    commit: str,
    mirror: str | Path | None = None,
    names: Collection[str] | None = None,
) -> str:
    """Bring a model to a folder, unless it is there.

    Parameters
    ----------
    folder : path
        What the model is to be called here; its parent is the cache. A folder of that name that was not fetched by this
        function is refused, never changed; of another commit it is taken down once the hub has said what replaces it.
    repository, commit : str
        Place on the hub, and the commit, 40 hexadecimal digits.
    mirror : path, optional
        A folder that `fetch` made elsewhere of the same commit, for a place without a network: copied, by the hashes of
        its manifest, which are trusted as the hub's would be.
    names : collection of str, optional
        safetensors files to fetch in place of a pipeline: LoRA weights.

    Returns
    -------
    str
        sha256 of the folder's manifest, which holds the hash of every file.

    Raises
    ------
    Refused
        A repository or commit that the hub or the mirror does not have; no network, or ``HF_HUB_OFFLINE``, without a
        mirror; no disk for it; a file whose hash differs (it is deleted, and fetched anew by the next call); a part
        missing or without safetensors, or another pipeline, by `check_folder`; a folder of somebody else.
    """
    folder, origin = Path(folder), {"repository": repository, "commit": commit}
    if not _is_whole(folder, origin):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            # Another process may have brought it meanwhile.
            if not _is_whole(folder, origin):
                _bring(folder, origin, mirror, names)
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _is_whole(folder: Path, origin: dict) -> bool:
    """Whether a folder is there and of this commit: nothing is asked or written then, not even a lock."""
    return (folder / MANIFEST).is_file() and read_origin(folder) == origin


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One fetch of a folder at a time, also of other clones with the same cache; the system lets go of the lock."""
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        print(f"{folder}: waits for another process that fetches it", flush=True)
        held = lock.acquire()
    with held:
        yield


def _bring(folder: Path, origin: dict, mirror: str | Path | None, names: Collection[str] | None) -> None:
    repository, commit = origin["repository"], origin["commit"]
    if folder.is_dir() and any(folder.iterdir()) and read_origin(folder) is None:
        raise Refused(folder, ORIGIN, "none: not fetched by this project", "another hub.cache, or no such folder")
    # Asked first: what is here stays as it is where there is nothing to take its place.
    wanted = _is_needed if names is None else set(names).__contains__
    files = (
        _persistently(lambda: list_files(repository, commit, wanted))
        if mirror is None
        else _mirrored(Path(mirror), origin, wanted)
    )
    for name in sorted(set(names or ()) - {file.name for file in files}):
        raise Refused(repository, "file", f"no {name}", "files of this commit")
    part = folder.with_name(f"{folder.name}.part")
    if (folder / MANIFEST).is_file():  # of another commit: without room for this one it stays
        _require_disk(folder.parent, _to_come(folder, files))
    _take_down(folder, part)
    _clear(part, files)
    _require_disk(part, sum(file.size for file in files if not _is_there(part / file.name, file.size)))

    def bring(some: list[HubFile]) -> None:
        if mirror is None:
            _persistently(lambda: _download(part, repository, commit, some))
        else:
            _copy(part, Path(mirror), some)

    if names is None:
        index = [file for file in files if file.name == INDEX]
        if not index:
            raise Refused(repository, "file", f"no {INDEX}", "a pipeline in diffusers layout")
        bring(index)
        _check_listed(part, files)
    bring(files)
    hashes = _verify(part, files)
    if names is None:
        check_folder(part)
    for name in names or ():
        check_safetensors(part / name)
    content = json.dumps(origin, indent=1) + "\n"
    (part / ORIGIN).write_text(content)
    write_manifest(part, hashes | {ORIGIN: hashlib.sha256(content.encode()).hexdigest()})
    part.rename(folder)


def list_files(repository: str, commit: str, wanted: Callable[[str], bool]) -> list[HubFile]:
    """Files of a repository that are wanted: of a pipeline, its parts' configurations and safetensors.

    Raises
    ------
    Refused
        `Unreachable`, where another try may help.
    """
    if constants.HF_HUB_OFFLINE:
        raise Refused(repository, "HF_HUB_OFFLINE", os.environ.get("HF_HUB_OFFLINE", 1), "0, or a mirror")
    try:
        entries = list(HfApi().list_repo_tree(repository, revision=commit, recursive=True))
    except RevisionNotFoundError:
        raise Refused(repository, "hub.commit", commit, "a commit of this repository") from None
    except RepositoryNotFoundError:
        raise Refused(repository, "hub.repository", "not on the hub, or not for this account", "owner/name") from None
    # What the client and the libraries below it raise of a network differs by version.
    except Exception as error:
        raise _failure(error)(repository, "hub", _first_line(error), "a network, or a mirror") from None
    files = [
        HubFile(each.path, each.size, each.lfs.sha256 if each.lfs else each.blob_id)
        for each in entries
        if isinstance(each, RepoFile) and wanted(each.path)
    ]
    if not files:
        raise Refused(repository, "files", "none that is wanted", "model_index.json and its parts, or LoRA weights")
    return files


def _take_down(folder: Path, part: Path) -> None:
    """Of an older commit, the files that did not change need not come again."""
    if folder.is_dir() and any(folder.iterdir()):
        shutil.rmtree(part, ignore_errors=True)
        folder.rename(part)
    elif folder.is_dir():
        folder.rmdir()
    part.mkdir(parents=True, exist_ok=True)


def _clear(part: Path, files: list[HubFile]) -> None:
    """Give back what nothing goes on from: downloads that were cut off, of which the client takes up none when it is
    started again, and of an older commit the files of another content.
    """
    for path in part.glob(".cache/huggingface/download/**/*.incomplete"):
        path.unlink()
    # Here as long as nothing of this commit is.
    older = read_manifest(part) if (part / MANIFEST).is_file() else {}
    for file in files:
        changed = len(file.digest) == 64 and older.get(file.name, file.digest) != file.digest
        if changed or not _is_there(part / file.name, file.size):
            (part / file.name).unlink(missing_ok=True)
    (part / MANIFEST).unlink(missing_ok=True)


def _check_listed(part: Path, files: list[HubFile]) -> None:
    """Refuse, by ``model_index.json`` alone, what `check_folder` would refuse once everything has come.

    Raises
    ------
    Refused
        Another pipeline, or a part of it whose configuration or weights are not among the files.
    """
    listed = {file.name for file in files}
    for each in named_parts(part):
        config = f"{each}/{CONFIG_NAMES.get(each, 'config.json')}"
        if config not in listed:
            raise Refused(part / config, "file", "missing", "a JSON file")
        if each in WEIGHTED and not any(PurePosixPath(name).match(f"{each}/*.safetensors") for name in listed):
            raise Refused(part / each, "weights", "no *.safetensors", "at least one *.safetensors file")


def _is_needed(name: str) -> bool:
    path = PurePosixPath(name)
    if name == INDEX:
        return True
    return len(path.parts) == 2 and path.parts[0] in _PARTS and path.suffix in _SUFFIXES


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _to_come(folder: Path, files: list[HubFile]) -> int:
    """Bytes of files that a folder of another commit does not hold already, by their hashes."""
    known = read_manifest(folder)
    kept = [file for file in files if len(file.digest) != 64 or known.get(file.name) == file.digest]
    there = {file.name for file in kept if _is_there(folder / file.name, file.size)}
    return sum(file.size for file in files if file.name not in there)


def _require_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed * _ROOM:
        raise Refused(folder, "disk", f"{free / 1e9:.3g} GB free", f"at least {needed * _ROOM / 1e9:.3g} GB")


def _persistently(ask: Callable[[], Answer]) -> Answer:
    """What is asked of a network, after each pause again where it failed."""
    for pause in _PAUSES:
        try:
            return ask()
        except Unreachable as failure:
            print(f"{failure}; tried again in {pause} s")
            time.sleep(pause)
    return ask()


def _failure(error: Exception) -> type[Refused]:
    """Whether it is worth another try: not where the hub has answered that it will not."""
    answer = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    final = isinstance(error, HFValidationError) or (400 <= answer < 500 and answer not in _BUSY)
    return Refused if final else Unreachable


def _download(part: Path, repository: str, commit: str, files: list[HubFile]) -> None:
    try:
        snapshot_download(repository, revision=commit, local_dir=part, allow_patterns=[file.name for file in files])
    # As in `list_files`; a full disk is told from a network.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        accepted = "a network; call again, and it goes on"
        # The client hides behind a missing entry what a file's address has answered.
        answered = error.__cause__ if isinstance(error.__cause__, HfHubHTTPError) else error
        raise _failure(answered)(repository, "download", _first_line(answered), accepted) from None
    # Without a network the client takes what is in the folder for the answer.
    for file in files:
        if not (part / file.name).is_file():
            raise Unreachable(repository, "download", f"no {file.name}", "a network; call again, and it goes on")


def _mirrored(mirror: Path, origin: dict, wanted: Callable[[str], bool]) -> list[HubFile]:
    """Files of a mirror, by its manifest."""
    hashes = read_manifest(mirror)
    if read_origin(mirror) != origin:
        raise Refused(mirror / ORIGIN, "origin", read_origin(mirror), origin)
    for name, digest in hashes.items():
        if not (wanted(name) or name == ORIGIN):
            raise Refused(mirror / MANIFEST, "path", name, "model_index.json and files of its parts, or LoRA weights")
        if not (mirror / name).is_file():
            raise Refused(mirror / name, "file", "missing", f"sha256 {digest}")
    return [HubFile(name, (mirror / name).stat().st_size, digest) for name, digest in hashes.items()]


def _copy(part: Path, mirror: Path, files: list[HubFile]) -> None:
    for file in files:
        target = part / file.name
        if not _is_there(target, file.size):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mirror / file.name, target)


def _verify(part: Path, files: list[HubFile]) -> dict[str, str]:
    """Delete what is not as the hub states it, and refuse; what it does not state goes without a word.

    Returns
    -------
    dict
        sha256 of every file.
    """
    shutil.rmtree(part / ".cache", ignore_errors=True)
    stated = {part / file.name for file in files}
    for path in [each for each in part.rglob("*") if each.is_file() and each not in stated]:
        path.unlink()
    hashes = hash_folder(part)
    wrong = {}
    for file in files:
        given = hashes[file.name] if len(file.digest) == 64 else _git_hash(part / file.name)
        if given != file.digest:
            (part / file.name).unlink()
            wrong[file] = given
    for file, given in wrong.items():
        more = f", as were {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise Refused(part / file.name, "hash", f"{given}; deleted{more}", file.digest)
    return hashes


def _git_hash(path: Path) -> str:
    """Git's name of a file's content: what the hub states of files that are not in large file storage."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
