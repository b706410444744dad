"""A real OpenSSH server on loopback, with a key of its own, for as long as a test takes."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")

needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd is installed")


@dataclass(frozen=True)
class Server:
    """Where it listens, and the key that it takes."""

    port: int
    key: Path

    def url(self, folder: Path) -> str:
        """Address of a folder."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{folder}"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start sshd on a free port, its keys and settings in ``folder``; stop it by its pid."""
    folder.mkdir(mode=0o700)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root gives up its rights there
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "client.pub",
        "PidFile": "none",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "no",
        "StrictModes": "no",
        "Subsystem": "sftp internal-sftp",
    }
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    with (folder / "log").open("wb") as log:
        sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        _wait(port, sshd, folder / "log")
        yield Server(port, folder / "client")
    finally:
        sshd.terminate()
        sshd.wait(timeout=10)


def _wait(port: int, sshd: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        assert sshd.poll() is None and time.monotonic() < deadline, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
