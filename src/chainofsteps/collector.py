"""Where searching for garbage costs more than it finds."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Import here what is large: torch and diffusers make a million objects, and all of them stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
