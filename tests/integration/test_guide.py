"""The guide to the paper's model runs as it is written, as far as nothing has to be fetched."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.bench import write_bench

pytestmark = [pytest.mark.integration, pytest.mark.slow]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def clone(make_clone):
    """A clone with the guide's own configuration."""
    made = make_clone("guide")
    mine = re.search(r"```yaml\n(# my\.yaml.*?)```", (DOCS / "vbvr.md").read_text(), re.DOTALL)[1]
    (made.folder / "my.yaml").write_text(mine.replace("/path/to/VBVR-Bench", "VBVR-Bench"))
    return made


@pytest.fixture(scope="module")
def commands():
    """Commands of the guide, in words."""
    guide = (DOCS / "large_models.md").read_text().partition("## From an empty host")[2]
    block = re.search(r"```sh\n(.*?)```", guide, re.DOTALL)[1]
    return [shlex.split(line, comments=True) for line in block.splitlines() if "<" not in line]


def test_the_plan_needs_nothing_that_is_fetched(clone, commands):
    (command,) = [words for words in commands if "plan_vbvr" in words]
    done = clone.snakemake(*command[1:])
    assert done.returncode == 0, done.stderr
    plan = pd.read_csv(clone.folder / "results/bench/vbvr_wan2.2/plan.csv", index_col="made")
    assert plan.loc["total", "evaluations"] > plan.loc["interventions", "evaluations"] > 0
    assert "29.1 GB with offload model" in done.stdout + done.stderr
    assert not (clone.folder / "resources/hub").exists()


def test_its_commands_are_there_and_its_rules_can_be_planned(clone, commands):
    programs = {words[0] for words in commands} - {".", "$EDITOR"}
    assert programs == {"make", "snakemake", "hf"} and all(map(shutil.which, programs))
    (fetch,) = [words[1:] for words in commands if words[-1].endswith("SHA256SUMS")]
    refused = clone.snakemake("-n", *fetch)
    assert refused.returncode != 0 and "vbvr_wan2.2.hub.commit: given nothing" in refused.stdout + refused.stderr
    path = clone.folder / "config/models.yaml"
    written = f"VBVR-Wan2.2  # (v)\n    commit: {'a' * 40}\n"
    path.write_text(path.read_text().replace("VBVR-Wan2.2  # (v)\n", written, 1))
    scorers = all(importlib.util.find_spec(name) for name in ("lmms_eval", "cv2"))
    write_bench(clone.folder / "VBVR-Bench")  # asked for where there are scorers
    for words in commands:
        if words[0] == "snakemake" and "plan_vbvr" not in words and (scorers or "vbvr_scores" not in words):
            done = clone.snakemake("-n", *(word for word in words[1:] if word != "-n"))
            assert done.returncode == 0, (words, done.stdout + done.stderr)
