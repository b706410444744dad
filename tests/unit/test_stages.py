"""Which settings a rules file reads, and how jobs become stages."""

from __future__ import annotations

import graphlib

import pytest
import yaml

from chainofsteps.ledger import stages
from chainofsteps.ledger.stages import Job, build_stages, read_keys, render

CONSTANTS = {"FAMILIES": {"cases.families"}, "LOGS": {"results"}}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("count=config['x']", set()),
        ('first=config["cases"]["first"],', {"cases.first"}),
        ('lambda wildcards: config["experiments"][wildcards.experiment]', {"experiments"}),
        ("expand(rules.draw.output, family=FAMILIES)", {"cases.families"}),
        ('LOGS / "x", config["seeds"]', {"results", "seeds"}),
        ('myconfig["seeds"], MY_FAMILIES', set()),
    ],
)
def test_keys_that_code_reads(text, keys):
    assert read_keys(text, CONSTANTS) == keys


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two rules files; returns their jobs."""
    monkeypatch.chdir(tmp_path)
    files = {
        "config/config.yaml": "{model: mini, seeds: [0], batch: 2}",
        "config/models.yaml": "{mini: {path: a, training: {}}}",
        "workflow/rules/common.smk": 'try:\n    MODELS = check(config["model"])\nexcept: pass\n',
        "workflow/rules/first.smk": 'seeds=config["seeds"]',
        "workflow/rules/second.smk": "MODELS[wildcards.model]",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    inner = Job("inner", "workflow/rules/second.smk", None, ("out/a.nc",), ("out/b.nc",))
    last = Job("last", "workflow/rules/second.smk", "scripts/last.py", ("out/b.nc", "in.csv"), LAST)
    return [last, inner, Job("draw", "workflow/rules/first.smk", "scripts/draw.py", (), ("out/a.nc",))]


LAST = ("out/statistics/metrics.json", "out/figures/c.png", "out/statistics/d.csv", "out/report/index.html")


def test_stages_hold_inputs_parameters_and_outputs_of_their_jobs(project):
    built = build_stages(project)
    assert list(built) == ["first", "second"]
    in_git = {"cache": False, "persist": True}
    assert built["second"] == {
        "cmd": ["snakemake --cores all --until inner", "snakemake --cores all --until last"],
        "deps": [
            "in.csv",
            "out/a.nc",
            "requirements.lock",
            "scripts/last.py",
            "workflow/rules/common.smk",
            "workflow/rules/second.smk",
        ],
        "params": [{"config/config.yaml": ["model"]}, {"config/models.yaml": ["mini.path"]}],
        "outs": [{"out/b.nc": {"persist": True}}, {"out/statistics/d.csv": in_git}],
        "metrics": [{"out/statistics/metrics.json": in_git}],
        "plots": [{"out/figures/c.png": in_git}],
    }
    assert built["first"]["params"] == [{"config/config.yaml": ["seeds"]}]


def test_text_does_not_depend_on_the_order_of_jobs(project):
    text = render(build_stages(project))
    assert text == render(build_stages(project[::-1]))
    assert text.startswith("# Made from the workflow by `make ledger`.")
    assert yaml.safe_load(text)["stages"] == build_stages(project)


def test_boxes_that_need_each_other_are_no_stages(project):
    with pytest.raises(graphlib.CycleError):
        build_stages([*project, Job("back", stages.COMMON.with_stem("first").as_posix(), None, ("out/b.nc",), ("e",))])
