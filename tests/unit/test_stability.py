"""Counting verdicts over blocks, and their figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from chainofsteps import doors
from chainofsteps.configuration import load_yaml
from chainofsteps.figures.stability import verdicts_by_block
from chainofsteps.refusal import Refused
from chainofsteps.statistics.claims import FEATURES, asked_of, check_entries
from chainofsteps.statistics.stability import repeated_claims, tally


def verdicts():
    words = {"E0_gain": ["replicated", "inconclusive", "replicated"], "E1_joint": ["contradicted"] * 3}
    rows = [
        {"id": entry, "family": "maze", "block": block, "verdict": word, "estimate": block / 10, "reading": "steps"}
        for entry, given in words.items()
        for block, word in enumerate(given)
    ]
    rows += [
        {"id": "answer", "family": "maze", "block": block, "verdict": "", "estimate": None, "reading": answer}
        for block, answer in enumerate(["steps", "undecided", "undecided"])
    ]
    return pd.DataFrame(rows).assign(unit="1", n_cases=12, n_seeds=2, model_id="mini", role="confirmatory")


def test_verdicts_are_counted_and_answers_by_what_they_say():
    table = tally(verdicts()).set_index(["id", "verdict"])
    assert table["count"].to_dict() == {
        ("E0_gain", "replicated"): 2,
        ("E0_gain", "inconclusive"): 1,
        ("E1_joint", "contradicted"): 3,
        ("answer", "undecided"): 2,
        ("answer", "steps"): 1,
    }
    assert (table["runs"] == 3).all()
    assert table.loc[("E0_gain", "replicated"), ["lowest", "highest"]].tolist() == [0, 0.2]


def test_models_are_counted_apart():
    other = verdicts().assign(model_id="mini_second", verdict="direction only", reading="frames")
    table = tally(pd.concat([verdicts(), other]))
    assert (table["runs"] == 3).all() and set(table["model_id"]) == {"mini", "mini_second"}
    second = table[(table["model_id"] == "mini_second") & (table["id"] != "answer")]
    assert second["verdict"].tolist() == ["direction only"] * 2 and (second["count"] == 3).all()


def test_every_block_is_a_point_of_its_verdict():
    figure = verdicts_by_block(verdicts())
    panels = [axis for axis in figure.axes if axis.get_title()]
    points = {axis.get_title(): sum(len(each.get_offsets()) for each in axis.collections) for axis in panels}
    assert points == {"E0 gain": 3, "E1 joint": 3}
    plt.close(figure)


def test_each_model_has_lines_of_its_own():
    figure = verdicts_by_block(pd.concat([verdicts(), verdicts().assign(model_id="mini_second")]))
    panels = {axis.get_title(): axis for axis in figure.axes}
    # Panels of a row share the labels of the first.
    assert [text.get_text() for text in panels["E0 gain"].get_yticklabels()] == ["maze, mini", "maze, mini second"]
    heights = [height for each in panels["E1 joint"].collections for _, height in each.get_offsets()]
    assert sorted(heights) == [0] * 3 + [1] * 3
    plt.close(figure)


def test_only_entries_that_features_suffice_for_are_repeated():
    claims = load_yaml("config/claims.yaml")["claims"]
    asked = asked_of(claims, ["joint", "frame_by_frame"])
    by_id = {entry["id"]: entry for entry in asked}
    assert {"E0_gain", "E1_joint", "E13_order", "E1_control"} < set(by_id)
    assert not {"E0_static", "E0_scores", "E2_erase", "E9_perception"} & set(by_id)
    assert all(set(entry.get("controls", [])) <= set(by_id) for entry in asked)
    assert not asked_of(claims, []) and FEATURES == "features"


def test_what_is_repeated_can_be_judged():
    """Each keeps a control: the shipped claims, as `snakemake stability` takes them."""
    repeated = repeated_claims(load_yaml("config/claims.yaml")["claims"], ["joint", "frame_by_frame"])
    check_entries(repeated)
    assert {"E0_scores", "E7_entropy", "E8_correction", "E13_order"} < {entry["id"] for entry in repeated}


def test_blocks_of_unknown_models_are_refused():
    config = load_yaml("config/config.yaml")
    models = load_yaml("config/models.yaml")
    doors.check_stability(config, models, "config.yaml")
    config["stability"]["models"] = ["maxi"]
    with pytest.raises(Refused, match=r"config\.yaml: stability\.models: given"):
        doors.check_stability(config, models, "config.yaml")


@pytest.mark.parametrize("apart", [-1900, -3000, 0, 63, 500])
def test_blocks_of_the_run_itself_are_refused(apart):
    config = load_yaml("config/config.yaml")
    doors.check_blocks(config, "config.yaml")
    config["stability"]["first"] = config["cases"]["first"] + apart
    with pytest.raises(Refused, match=r"config\.yaml: stability\.first: given"):
        doors.check_blocks(config, "config.yaml")
