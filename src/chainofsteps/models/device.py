"""A GPU of this host for each job: jobs are processes that know nothing of one another. No torch here."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"
ALLOCATION = "SLURM_JOB_ID"
_POLL = 2.0  # seconds


def visible_devices(folder: str | Path = "/dev") -> list[str]:
    """GPUs that a job may use: those that ``CUDA_VISIBLE_DEVICES`` names, or else as many as the driver has made.

    Of its names, as CUDA does, those before the first that is none (``-1``, ``NoDevFiles``). Where it names none they
    are counted: CUDA numbers what it finds from 0, also where a container was given the host's fourth GPU alone.
    """
    if VISIBLE in os.environ:
        names = (name.strip() for name in os.environ[VISIBLE].split(","))
        return list(itertools.takewhile(lambda name: name not in ("", "-1", "NoDevFiles"), names))
    made = [path for path in Path(folder).glob("nvidia[0-9]*") if path.name.removeprefix("nvidia").isdigit()]
    return [str(number) for number in range(len(made))]


@contextmanager
def claimed_device(devices: list[str], poll: float = _POLL) -> Iterator[str]:
    """Hold one GPU that no other job of this user, host and Slurm allocation holds; wait where all are held.

    The system lets go of it however the job ends. To be entered before CUDA is first used.

    Parameters
    ----------
    devices : list of str
        As `visible_devices` gives them.
    poll : float
        Seconds between two looks.

    Yields
    ------
    str
        Where torch computes: ``cuda``, the only GPU that it then sees, or ``cpu`` where there is none.
    """
    if not devices:
        yield "cpu"
        return
    # A cluster may call the GPU of every allocation 0: one allocation's names say nothing of another's.
    allocation = f"-{os.environ[ALLOCATION]}" if ALLOCATION in os.environ else ""
    folder = Path(tempfile.gettempdir()) / f"chainofsteps-{os.getuid()}{allocation}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as held:
        device = _claim(devices, folder, held)
        while device is None:
            time.sleep(poll)
            device = _claim(devices, folder, held)
        before = os.environ.get(VISIBLE)
        os.environ[VISIBLE] = device
        try:
            yield "cuda"
        finally:
            del os.environ[VISIBLE]
            if before is not None:
                os.environ[VISIBLE] = before


def _claim(devices: list[str], folder: Path, held: ExitStack) -> str | None:
    """The first device whose lock is free; the lock is held until the stack is closed."""
    for device in devices:
        try:
            held.enter_context(FileLock(folder / f"{device.replace('/', '_')}.lock", timeout=0))
        except Timeout:
            continue
        return device
    return None
