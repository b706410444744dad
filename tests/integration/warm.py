"""Python processes that need not import what is large: each is forked from one that has.

A workflow of forty jobs imports torch forty times, which takes longer than all that they compute. Here one process
imports what others have written, and nothing of this project, then forks for each program that it is asked for:
`python -m snakemake` by a test, and by Snakemake, which gets a small program for its Python, the script of each job.
Such a process has arguments, environment, folder and files of its own, and ends as any other, but that it takes nothing
apart behind its last words: to free what it shares with others takes longer than most programs. What it does not have
is a hash seed of its own, nor what a library reads from the environment as it is imported: tests that are about those
start Python itself, or let a forked Snakemake start it for its jobs.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

# Not huggingface_hub's own clients nor papermill: they read the environment, or start threads.
LARGE = (
    "torch",
    "torch.nn.attention",
    "diffusers.guiders",
    "diffusers.pipelines.wan.pipeline_wan_i2v",
    "diffusers.schedulers.scheduling_flow_match_euler_discrete",
    "diffusers.schedulers.scheduling_unipc_multistep",
    "transformers.models.clip.image_processing_clip",
    "transformers.models.clip.modeling_clip",
    "transformers.models.umt5.modeling_umt5",
    "transformers.tokenization_utils_fast",
    "safetensors.torch",
    "xarray",
    "h5netcdf",
    "pandas",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.stats",
    "statsmodels.stats.multitest",
    "statsmodels.stats.proportion",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "matplotlib.pyplot",
    "seaborn",
    "av",
    "PIL.Image",
    "jsonschema",
    "snakemake.cli",
    "snakemake.report",
    "snakemake.script",
    "dvc.cli",
    "dvc.repo",
)
CLIENT = """#!{python} -IS
import json, os, socket, sys

if sys.argv[1].startswith("-") and sys.argv[1] != "-m":
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"-"], [0, 1, 2])
    asked = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ), "python": {python!r}}}
    server.sendall(json.dumps(asked).encode() + b"\\n")
    status = int(server.recv(16) or b"1")
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


class Warm:
    """The process that has imported all, and how to ask it.

    Parameters
    ----------
    folder : path
        Where its socket goes, and the program that stands for Python in jobs of Snakemake.
    """

    def __init__(self, folder: Path):
        self._address, self._client = str(folder / "socket"), folder / "python"
        self._client.write_text(CLIENT.format(python=sys.executable, address=self._address))
        self._client.chmod(0o755)
        # Without large pages, of which a fork would copy the whole wherever it writes.
        left_out = ("PYTHONPATH", "GLIBC_TUNABLES", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        self._server = subprocess.Popen([sys.executable, "-P", __file__, self._address], env=environment)
        while not os.path.exists(self._address):
            assert self._server.poll() is None, "it could not import all"
            time.sleep(0.01)

    def run(
        self, *arguments: str, folder: Path, environment: dict[str, str], python: str = ""
    ) -> subprocess.CompletedProcess:
        """What `python` with these arguments does and says; what it starts is forked as well, or by this Python."""
        python = python or str(self._client)
        asked = {"arguments": arguments, "folder": str(folder), "environment": environment, "python": python}
        with (
            socket.socket(socket.AF_UNIX) as server,
            open(os.devnull) as nothing,
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
        ):
            server.connect(self._address)
            socket.send_fds(server, [b"-"], [each.fileno() for each in (nothing, out, err)])
            server.sendall(json.dumps(asked).encode() + b"\n")
            status = int(server.recv(16) or b"1")
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(arguments, status, out.read(), err.read())

    def close(self) -> None:
        """End it."""
        self._server.terminate()
        self._server.wait()


def next_program(address: str) -> dict:
    """Wait for programs for ever; returns in a fork of this process, with what it is to run."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen(64)
        os.rename(f"{address}.new", address)
        while True:
            client, _ = listening.accept()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if os.fork() == 0:
                break
            client.close()
    _, files, *_ = socket.recv_fds(client, 1, 3)
    asked = json.loads(client.makefile().readline())
    ended, running = os.pipe()
    program = os.fork()
    if program:
        os.close(running)
        _watch(client, ended, program)
    client.close()
    os.close(ended)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    return asked


def _watch(client: socket.socket, ended: int, program: int) -> None:
    """Wait for a program, and tell who asked for it how it ended; kill it once nobody waits for it."""
    ready, _, _ = select.select([client, ended], [], [])
    if ended not in ready:
        os.kill(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    with contextlib.suppress(OSError):
        client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def run_program(asked: dict) -> None:
    """Be the process that was asked for."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    sys.executable = asked["python"]
    random.seed()
    sys.modules["numpy"].random.seed()
    own = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    first, *rest = asked["arguments"]
    module = first == "-m"
    sys.argv = rest if module else [first, *rest]
    sys.path[:0] = [os.getcwd() if module else str(Path(first).parent), *own]
    importlib.invalidate_caches()
    if module:
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(first, run_name="__main__")


def end_program(ended: BaseException | None) -> None:
    """End as Python does, without taking apart what it has imported."""
    status = 0
    if isinstance(ended, SystemExit):
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    elif ended:
        sys.excepthook(type(ended), ended, ended.__traceback__)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    gc.disable()
    for name in LARGE:
        importlib.import_module(name)
    runpy.run_path(str(Path(__file__).parents[1] / "preload.py"))
    gc.freeze()
    gc.enable()
    program = next_program(sys.argv[1])
    try:
        run_program(program)
    except BaseException as ended:
        end_program(ended)
    end_program(None)
