"""How the project says no: before any work, in one line."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path


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


@contextmanager
def at_the_door(log: str | Path) -> Iterator[None]:
    """Run a script's body with its output in ``log``; a refusal ends it with one line and status 1."""
    with Path(log).open("w", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        try:
            yield
        except Refused as error:
            file.write(f"refused: {error}\n")
            raise SystemExit(f"refused: {error}") from None
        except Exception:
            traceback.print_exc(file=file)
            raise
