"""The success tables beside the shipped models' cards: whole, of the shipped entries, and what was asked of *mini*."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.sampling.orders import build_order, longest

ROOT = Path(__file__).parents[2]
MODELS = {name: model for name, model in load_yaml(ROOT / "config/models.yaml").items() if "revision" in model}
SUCCESS = load_yaml(ROOT / "config/config.yaml")["success"]
LEVELS = ("easy", "medium", "hard")


def table_of(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / MODELS[name]["path"] / "success.csv")


def at(table: pd.DataFrame, order: str, step: int) -> pd.DataFrame:
    """Rows of an order at a step, -1 the last, by family and level."""
    rows = table[table["order"] == order]
    rows = rows[rows["step"] == range(rows["step"].max() + 1)[step]]
    return rows.set_index(["family", "level"]).sort_index()


@pytest.mark.parametrize("name", SUCCESS["models"])
def test_every_family_level_order_and_step_is_there(name):
    table = table_of(name)
    assert list(table) == ["family", "level", "order", "step", "n", "success", "ci_low", "ci_high"]
    expected = {
        (family, level, order, step)
        for family in MODELS[name]["training"]["families"]
        for level in LEVELS
        for order, given in MODELS[name]["orders"].items()
        for step in range(len(build_order(given["order"], MODELS[name]["frames"], given["steps"]).active))
    }
    assert {*table[["family", "level", "order", "step"]].itertuples(index=False, name=None)} == expected
    assert len(table) == len(expected)
    assert (table["ci_low"] <= table["success"]).all() and (table["success"] <= table["ci_high"]).all()
    last = table["step"] == table.groupby("order")["step"].transform("max")
    whole = last & table["order"].isin(longest(MODELS[name]["orders"]))
    assert (table["n"] == np.where(whole, SUCCESS["count"], SUCCESS["followed"])).all()


def test_easy_medium_and_hard_are_what_they_are_called():
    joint = at(table_of("mini"), "joint", -1)
    assert (joint["n"] == 256).all()
    by_level = joint["success"].unstack()
    assert (by_level["easy"] >= 0.95).all(), by_level["easy"]
    least = pd.Series({"maze": 0.7, "bounce": 0.7}).reindex(by_level.index, fill_value=0.8)
    assert (by_level["medium"] >= least).all(), by_level["medium"]
    assert by_level["hard"].between(0.3, 0.85).all(), by_level["hard"]


def test_frame_by_frame_solves_at_least_six_tenths_of_joint():
    table = table_of("mini")
    share = at(table, "frame_by_frame", -1)["success"] / at(table, "joint", -1)["success"]
    assert (share >= 0.6).all(), share[share < 0.6]


def test_some_levels_are_solved_in_the_first_estimate_and_some_are_not():
    first = at(table_of("mini"), "joint", 0)["success"]
    assert len(set(first[first <= 0.4].index.get_level_values("family"))) >= 3
    assert len(set(first[first >= 0.9].index.get_level_values("family"))) >= 3


def test_one_pass_solves_next_to_nothing_of_what_has_two_answers():
    last = at(table_of("mini_one_pass"), "one_step", -1)["success"]
    two = [family for family in MODELS["mini_one_pass"]["training"]["families"] if worlds.family(family).ANSWERS > 1]
    assert (last[two] <= 0.2).all(), last[two]


def test_the_shallow_model_solves_less_where_the_page_says_so():
    """One training of each depth: what the tables hold, not why."""
    deep, shallow = (at(table_of(name), "joint", -1)["success"] for name in ("mini", "mini_shallow"))
    for family in ("maze", "bounce", "bins", "rotation"):
        assert (shallow[family] <= deep[family]).all() and shallow[family]["hard"] <= deep[family]["hard"] - 0.2


SHOWN = (("joint", -1), ("frame_by_frame", -1), ("joint_8", -1), ("frame_by_frame_1", -1), ("joint", 0))


@pytest.mark.parametrize(
    ("name", "beside"), [("mini", [("mini_one_pass", "one_step", -1)]), ("mini_shallow", [])], ids=str
)
def test_the_page_says_what_the_tables_say(name, beside):
    """A row a family in docs/mini.md, a cell a model, order and step, in it easy, medium and hard."""
    shown = [at(table_of(model), order, step) for model, order, step in [*((name, *each) for each in SHOWN), *beside]]
    page = (ROOT / "docs/mini.md").read_text()
    for family in MODELS[name]["training"]["families"]:
        cells = [
            " / ".join(f"{rows.loc[(family, level), 'success']:.2f}".removeprefix("0") for level in LEVELS)
            for rows in shown
        ]
        assert f"| {family} | {' | '.join(cells)} |" in page
