"""Each job of a host takes a GPU that no other job holds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from chainofsteps.models.device import ALLOCATION, VISIBLE, claimed_device, visible_devices

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.delenv(ALLOCATION, raising=False)


def test_devices_are_those_named_or_those_of_the_driver(tmp_path, monkeypatch):
    for name in ("nvidia10", "nvidia2", "nvidia0", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    # A host, or a container, that lacks some of them: CUDA knows no gaps.
    assert visible_devices(tmp_path) == ["0", "1", "2"]
    monkeypatch.setenv(VISIBLE, "3, GPU-1234")
    assert visible_devices(tmp_path) == ["3", "GPU-1234"]
    for none in ("", "-1", "NoDevFiles", "-1,2"):
        monkeypatch.setenv(VISIBLE, none)
        assert visible_devices(tmp_path) == []
    monkeypatch.setenv(VISIBLE, "2,-1,3")
    assert visible_devices(tmp_path) == ["2"]


def test_allocations_of_a_cluster_do_not_wait_for_one_another(monkeypatch):
    monkeypatch.setenv(ALLOCATION, "17")
    with claimed_device(["0"]):
        monkeypatch.setenv(ALLOCATION, "18")  # whose GPU 0 is another
        with claimed_device(["0"]) as device:
            assert device == "cuda"


def test_no_device_is_the_cpu():
    with claimed_device([]) as device:
        assert device == "cpu" and VISIBLE not in os.environ


def test_jobs_hold_different_devices_and_give_them_back(monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    with claimed_device(visible_devices()) as one:
        assert (one, os.environ[VISIBLE]) == ("cuda", "0")
        with claimed_device(["0", "1"]) as other:
            assert (other, os.environ[VISIBLE]) == ("cuda", "1")
        assert os.environ[VISIBLE] == "0"
    assert os.environ[VISIBLE] == "0,1"


def test_a_killed_job_gives_its_device_back_and_one_that_waits_takes_it():
    code = (
        "import time\n"
        "from chainofsteps.models.device import claimed_device\n"
        "with claimed_device(['0']):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    waiting = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(0.5)
        with claimed_device(["0", "1"]):
            assert os.environ[VISIBLE] == "1"  # 0 is held by another process
        holder.send_signal(signal.SIGKILL)
        assert waiting.stdout.readline() == "held\n"
    finally:
        for process in (holder, waiting):
            process.kill()
            process.wait()
            process.stdout.close()


def test_every_rule_that_opens_a_model_asks_for_a_gpu():
    profile = yaml.safe_load((ROOT / "workflow/profiles/gpu/config.yaml").read_text())["set-resources"]
    opening = {path.name for path in (ROOT / "workflow/scripts").glob("*.py") if "opened(" in path.read_text()}
    rules = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    found = set()
    for part in re.split(r"\n(?= *(?:use )?rule )", rules):
        name, script = re.search(r"^ *rule (\w+):", part), re.search(r'"\.\./scripts/(\w+\.py)"', part)
        if name and script and script[1] in opening:
            found.add(name[1])
    found |= {new for old, new in re.findall(r"use rule (\w+) as (\w+) with", rules) if old in found}
    assert {"sample_shard", "sample_block", "intervene_in_bench"} < found
    assert {name: profile.get(name, {}).get("gpu") for name in found} == dict.fromkeys(found, 1)
