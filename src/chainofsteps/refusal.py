"""How the project says no: before any work, in one line."""

from __future__ import annotations

import errno
import gc
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refused(ValueError):
    """An input that is not accepted.

    Parameters
    ----------
    where : str
        File (or dataset, or folder) that holds the wrong thing.
    field : str
        What in it is wrong: a key, a variable, a dimension, a part.
    given, accepted : object
        What was found there, and what would have been accepted.
    """

    def __init__(self, where: object, field: str, given: object, accepted: object):
        line = f"{where}: {field}: given {given}; accepted: {accepted}"
        super().__init__(" ".join(line.split()))


class NotMeasured(Refused):
    """A dataset without the part that is asked of it: whole by its schema, but the experiment did not measure it."""


@contextmanager
def or_exit() -> Iterator[None]:
    """End the program with one line and status 1 where its body is refused. Also decorates a function."""
    try:
        yield
    except Refused as refusal:
        raise SystemExit(f"refused: {refusal}") from None


@contextmanager
def at_the_door(log: str | Path) -> Iterator[None]:
    """Run a script's body with its output in ``log``; a refusal or a full disk ends it with one line and status 1."""
    # What a script has imported stays to its end: not to be searched for garbage, nor at the end itself.
    gc.freeze()
    try:
        with Path(log).open("w", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
            try:
                yield
            except Exception as error:
                refusal = _refusal(error, log)
                if refusal is None:
                    traceback.print_exc(file=file)
                    raise
                file.write(f"refused: {refusal}\n")
                raise refusal from None
    except Exception as error:
        # Asked again: the log lies on the same disk, so that writing or closing it may be what fails.
        refusal = _refusal(error, log)
        if refusal is None:
            raise
        raise SystemExit(f"refused: {refusal}") from None


def _refusal(error: Exception, log: str | Path) -> Refused | None:
    """What to say in one line; None where the traceback is wanted."""
    if isinstance(error, Refused):
        return error
    number = _os_error(error)
    if number not in NO_ROOM:
        return None
    where = getattr(error, "filename", None) or Path(log).with_suffix("")
    return Refused(where, "disk", os.strerror(number), "room for this file on the disk, in the quota and size limits")


def _os_error(error: Exception) -> int | None:
    """Number of a system's error; safetensors is written in Rust and states it in its message only."""
    if isinstance(error, OSError):
        return error.errno
    stated = re.search(r"\(os error (\d+)\)", str(error))
    return int(stated[1]) if stated else None
