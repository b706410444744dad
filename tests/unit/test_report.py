"""The report's tables say what the verdicts say, and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from chainofsteps.figures.report import (
    claim_table,
    family_matrix,
    join_chapters,
    page,
    read_verdicts,
    run_lines,
    show,
    shown_verdict,
    stability_matrix,
    variance_shares,
    verdict_matrix,
    verdict_table,
)

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def row(name, family="maze", **given):
    """A row of verdicts.csv."""
    return {
        "id": name,
        "family": family,
        "claim": "C6",
        "role": "confirmatory",
        "purpose": "confirmatory",
        "estimate": 0.25,
        "ci_low": 0.125,
        "ci_high": 0.375,
        "p_adjusted": 0.0001,
        "n_cases": 64,
        "n_seeds": 2,
        "smallest_effect": 0.05,
        "unit": "probability",
        "verdict": "replicated",
        "reading": "steps",
        "controls": "passed",
        "reason": "",
        "group": "steps",
        "paper": "",
        "status": "confirmatory",
        "question": "Do steps gain?",
        "estimand": "gain_of_steps",
        "test": "sign_flip",
        "power": float("nan"),
    } | given


def text(page):
    """What a reader sees, a space between elements."""
    return " ".join(re.sub(r"<wbr>", "", re.sub(r"<(?!wbr)[^>]*>", " ", page)).split())


@pytest.mark.parametrize("verdict", ["replicated", "direction only", "contradicted"])
def test_nothing_is_said_of_a_claim_whose_controls_failed(verdict):
    verdicts = pd.DataFrame([row("E2", verdict=verdict, controls="failed: E4_control, static")])
    for shown in (verdict_matrix(verdicts), verdict_table(verdicts, "steps"), claim_table(verdicts)):
        assert verdict not in text(shown) and "controls failed" in text(shown)
    assert "failed: E4_control, static" in text(verdict_matrix(verdicts))
    assert "failed: E4_control, static" in text(verdict_table(verdicts, "steps"))


def test_a_control_passes_or_does_not():
    assert shown_verdict("replicated", "control", "passed") == "passed"
    assert shown_verdict("inconclusive", "control", "failed") == "not passed"
    assert shown_verdict("not testable here", "control", "not run") == "not testable here"


def test_the_matrix_has_a_row_an_entry_and_a_column_a_family():
    answers = [row("answer", family, role="", reading=reading) for family, reading in (("a", "steps"), ("b", "frames"))]
    verdicts = pd.DataFrame([row("E0", "a"), row("E0", "b", verdict="inconclusive"), row("E1", "b"), *answers])
    rows = re.findall(r"<tr>.*?</tr>", verdict_matrix(verdicts))
    assert text(rows[0]) == "claim paper ours: a ours: b unit n controls"
    assert "steps frames 64 x 2 passed" in text(rows[1])
    assert text(rows[2]) == (
        "C6 E0 Do steps gain? ✓ replicated 0.25 [0.12, 0.38] ? inconclusive 0.25 [0.12, 0.38] probability 64 x 2 passed"
    )
    assert rows[3].count("<td") == 6 and 'data-label="a"></td>' in rows[3]


def test_many_families_are_not_cut_to_one_line():
    few, many = (verdict_matrix(pd.DataFrame([row("E0", family) for family in names])) for names in ("abcd", "abcde"))
    assert 'class="matrix"' in few and 'class="matrix many"' in many


def test_pooled_families_stand_in_one_wide_cell():
    family_rows = [row("E2", family, verdict="contradicted", group="erasure") for family in "cd"]
    pooled = row("E2", "all", group="erasure", paper=".685 to below .3", status="pilot")
    shown = verdict_matrix(pd.DataFrame([row("E0", "a"), row("E0", "b"), pooled, *family_rows]))
    assert 'colspan="2"' in shown and "ours: c" not in text(shown)
    assert "E2 pilot Do steps gain? .685 to below .3 ✓ replicated 0.25 [0.12, 0.38] by family: 2 contradicted" in text(
        shown
    )


def test_what_cannot_be_tested_says_why():
    reason = "the paper gives no measure"
    untestable = row("C8", "all", verdict="not testable here", role="untestable", n_cases=0, reason=reason)
    untestable |= dict.fromkeys(["smallest_effect", "estimate", "ci_low", "p_adjusted"], float("nan"))
    assert f"not testable here {reason} - none - probability - - passed" in text(
        verdict_table(pd.DataFrame([untestable]), "steps")
    )
    assert f"not testable here {reason} probability - passed" in text(verdict_matrix(pd.DataFrame([untestable])))


def test_controls_have_neither_controls_nor_corrected_tests():
    rows = pd.DataFrame([row("E1", "a"), row("E1_control", "a", group="controls", role="control", estimate=4e-14)])
    heads = [text(verdict_table(rows, group)).split(" n ")[0] for group in ("steps", "controls")]
    assert [head.endswith("adjusted p") for head in heads] == [True, False]
    shown = text(verdict_table(rows, "controls"))
    assert "controls" not in shown and "passed 0.000 0.125 to 0.375" in shown


def test_power_stands_beside_the_verdict_where_it_was_calibrated(tmp_path):
    pd.DataFrame([row("E0", "a"), row("E0", "b"), row("E2", "all")]).drop(columns="power").to_csv(tmp_path / "v.csv")
    rates = pd.DataFrame({"scenario": ["smallest", "smallest", "twice", "smallest"], "id": "E0"})
    rates = rates.assign(family=["a", "a", "a", "b"], cases=[64, 128, 64, 32], claimed=[0.25, 0.5, 1, 0.75])
    rates = rates.assign(estimand="gain_of_steps", test="sign_flip")
    rates.to_csv(tmp_path / "rates.csv", index=False)
    judged = read_verdicts(tmp_path / "v.csv", [tmp_path / "rates.csv"])
    rates.assign(estimand="success").to_csv(tmp_path / "other.csv", index=False)
    assert read_verdicts(tmp_path / "v.csv", [tmp_path / "other.csv"])["power"].isna().all()
    # As many cases, of the smallest size: no other power is that of the row.
    assert judged["power"].tolist() == pytest.approx([0.25, float("nan"), float("nan")], nan_ok=True)
    shown = text(verdict_table(judged, "steps"))
    assert " power controls" in shown and "64 x 2 0.25 passed" in shown and "64 x 2 - passed" in shown
    assert "power" not in text(verdict_table(read_verdicts(tmp_path / "v.csv"), "steps"))


def test_stability_counts_each_word_by_model_and_family(tmp_path):
    words = [("E0", "maze", "confirmatory", "replicated", 4), ("E0", "maze", "confirmatory", "inconclusive", 1)]
    words += [("E1_control", "maze", "control", "replicated", 5), ("answer", "maze", None, "steps", 5)]
    counts = pd.DataFrame(words, columns=["id", "family", "role", "verdict", "count"]).assign(model_id="mini")
    counts.to_csv(tmp_path / "stability.csv", index=False)
    shown = text(stability_matrix([tmp_path / "stability.csv"]))
    cells = ["mini E0 4 x ✓ replicated 1 x ? inconclusive", "mini E1_control 5 x ✓ passed", "mini answer 5 x steps"]
    assert shown == " ".join(["model claim maze", *cells])
    assert "Not made in this run" in text(stability_matrix([]))


def test_links_of_the_matrix_lead_to_rows_of_the_chapters():
    verdicts = pd.DataFrame([row("E0", "a"), row("E0", "b"), row("E4", "c", group="controls", role="control")])
    chapters = verdict_table(verdicts, "steps")
    assert "ours: c" not in text(verdict_matrix(verdicts)) and "E4" in verdict_table(verdicts, "controls")
    links = re.findall(r'href="#(\w+)"', verdict_matrix(verdicts))
    assert links == ["E0"] == re.findall(r' id="(\w+)"', chapters)
    assert "< 0.001" not in chapters and "&lt; 0.001" in chapters


def test_claims_that_no_entry_asks_for_are_named():
    shown = text(claim_table(pd.DataFrame([row("E2", claim="C1, C2"), row("E1", claim="C1", role="control")])))
    assert "C1: noise at one step breaks reasoning E2 1 x ✓ replicated C2:" in shown
    assert "C12: few steps cost much none not judged" in shown


def test_figures_are_inside_the_page_with_words_and_a_command(tmp_path):
    paths = [str(tmp_path / f"{name}.png") for name in ("gain_mini", "gain_mini_shallow", "gainless")]
    for path in paths:
        plt.figure(figsize=(1, 1)).savefig(path)
        plt.close()
    shown = show(paths, "gain", 'Gain of "steps".', "plot_features")
    assert re.findall(r'alt="([^"]*)"', shown) == [f"{m}: Gain of &quot;steps&quot;." for m in ("Mini", "Mini shallow")]
    assert shown.count("data:image/png;base64,") == 2
    assert f"snakemake --cores 2 --forcerun plot_features -- {paths[1]}" in shown
    assert show(paths, "loss", "Loss.") == "<p>loss: not made in this run.</p>"


def test_shares_of_variance_lie_beside_the_verdicts(tmp_path):
    file = tmp_path / "variance.csv"
    head = "experiment,family,variable,part,share,ci_low,ci_high,n_cases\n"
    file.write_text(head + "joint,maze,commitment_step,case,0.25,0.1,0.4,64\njoint,maze,commitment_step,seed,0,,,64\n")
    shown = text(variance_shares(tmp_path / "verdicts.csv"))
    assert "case 0.25 [0.10, 0.40]; seed 0.00" in shown and "nan" not in shown
    file.write_text(head)
    assert "two seeds" in variance_shares(tmp_path / "verdicts.csv")


def test_what_is_not_tested_has_no_controls_that_passed():
    verdict = {"verdict": "not testable here", "role": "untestable", "n_cases": 0, "reason": "no such world"}
    shown = verdict_matrix(pd.DataFrame([row("E0"), row("E9", "all", controls="", **verdict)]))
    assert re.findall(r'data-label="controls"[^>]*>([^<]*)<', shown) == ["passed", "-"]


def test_pooled_entries_by_family_lie_beside_the_verdicts(tmp_path):
    path, file = tmp_path / "verdicts.csv", tmp_path / "by_family.csv"
    pd.DataFrame([row("E5", "all", group="plant"), row("E2", "all", group="erasure")]).to_csv(path)
    head = "id,family,estimate,ci_low,ci_high,n_cases,unit,reason\n"
    rows = 'E5,largest_tie,,,,3,frames,"3 cases, <12"\nE5,maze_fork,0.125,0,0.25,64,frames,\nE2,maze,0.5,,,8,score,\n'
    file.write_text(head + rows)
    shown = family_matrix(path, "plant")
    assert "E5 - n 3 0.12 [0.00, 0.25], n 64 frames" in text(shown) and "E2" not in shown and "nan" not in shown
    assert 'title="3 cases, &lt;12"' in shown and 'href="#E5"' in shown
    assert "E2 0.50 n 8 score" in text(family_matrix(path, "erasure"))
    assert "No entry" in family_matrix(path, "layers")


def test_chapters_are_joined_with_links_to_each():
    run = run_lines(
        [{"model_id": "mini", "revision": "f" * 40, "parameters": {"a": 3_100_000}}], pd.DataFrame([row("E0")])
    )
    assert (
        text(run)
        == "Cases a row: 64 (confirmatory); seeds a case: 2. Models: mini, revision ffffffffffff, 3.10 M parameters."
    )
    whole = page("A & B", join_chapters("A & B", run, {"steps": "<h2>Steps</h2>", "limits": "<h2>Limits</h2>"}))
    assert whole.count("<h1>A &amp; B</h1>") == 1 and '<html lang="en">' in whole
    assert re.findall(r'href="#(\w+)"', whole) == re.findall(r'section id="(\w+)"', whole) == ["steps", "limits"]
    assert "<script" not in whole and "http" not in whole


def test_missing_texts_of_a_table_are_empty(tmp_path):
    pd.DataFrame([row("E0", reason=None, ci_low=None), row("E1", reason="all alike")]).to_csv(tmp_path / "v.csv")
    table = read_verdicts(tmp_path / "v.csv")
    assert table["reason"].tolist() == ["", "all alike"] and table["paper"].tolist() == ["", ""]
    assert table["ci_low"].isna().tolist() == [True, False]


def test_cells_of_the_notebooks_have_ids_of_their_own():
    """They become ids of the one page that all chapters are joined to."""
    ids = [cell["id"] for path in NOTEBOOKS for cell in json.loads(path.read_text())["cells"]]
    assert len(ids) == len(set(ids))


def test_a_number_that_rounds_to_nothing_is_told_from_none():
    tiny = row("E3", "all", estimate=7.5e-5, ci_low=-0.00095, ci_high=0.00026)
    shown = text(verdict_matrix(pd.DataFrame([tiny])))
    assert "7.5e-05 [-0.00095, 0.00026]" in shown
    assert "0.00 [-0.12, 0.30]" in text(
        verdict_matrix(pd.DataFrame([row("E3", estimate=0, ci_low=-0.12, ci_high=0.3)]))
    )
