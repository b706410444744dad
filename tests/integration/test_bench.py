"""The cases of a bench are listed by their rule, and what is broken is refused before anything is written."""

from __future__ import annotations

import pytest

from chainofsteps import datasets
from tests.bench import COUNT, TASKS, write_bench

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_bench_is_listed_on_request(make_clone, tmp_path):
    clone, root = make_clone("bench"), write_bench(tmp_path / "VBVR-Bench")
    done = clone.snakemake("--cores", "1", "--config", f"vbvr={root}", "--", "bench")
    assert done.returncode == 0, done.stderr
    path = clone.folder / "results/bench/vbvr.nc"
    assert datasets.read(path, "bench").sizes["case"] == COUNT * len(TASKS)
    assert str(root).encode() not in path.read_bytes()
    assert not clone.planned("--config", f"vbvr={root}", "--", "bench")
    next(root.rglob("prompt.txt")).write_text("")
    for given, words in (
        (("--config", f"vbvr={root}"), "prompt: given 0 characters"),
        ((), "vbvr: given nothing"),
    ):
        done = clone.snakemake("--cores", "1", *given, "--", "bench")
        said = done.stdout + done.stderr
        refusals = [line for line in said.splitlines() if line.startswith("refused: ")]
        assert done.returncode != 0 and refusals and all(words in line for line in refusals), said
        assert not path.exists()
