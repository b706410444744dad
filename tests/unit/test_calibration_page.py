"""What the page on the calibration says is what its tables say, and these keep to their lines but where it says so."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/calibration.md").read_text()
TABLES = {path.stem: pd.read_csv(path) for path in sorted((ROOT / "results/calibration").glob("*.csv"))}
NULL = pd.concat([TABLES["null"][TABLES["null"]["id"] != "table"], TABLES["values"]])
NULL = NULL[NULL["scenario"] == "no effect"].set_index(["id", "family"])
MEASURED = pd.concat(TABLES.values())
MEASURED = MEASURED[MEASURED["scenario"] == "measured"].set_index(["id", "family", "cases"])
AGAIN = pd.read_csv(ROOT / "benchmarks/calibration_again.csv").set_index(["id", "family", "scenario", "rate"])
ROWS = [
    [cell.strip(" *") for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if re.match(r"\| E\d+_", line)
]


def test_the_page_has_a_row_for_each_of_the_tables():
    assert {(row[0], row[2]) for row in ROWS} == set(NULL.index) and len(ROWS) == len(NULL)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2]}")
def test_a_row_of_the_page_is_the_tables(row):
    entry, test, family, cases, *numbers = row
    found = NULL.loc[(entry, family)]
    assert test == found["test"]
    assert int(cases) == found["cases"]
    wanted = [found[name] for name in ("significant", "claimed", "coverage")]
    wanted.append(MEASURED.loc[(entry, family, int(cases)), "coverage"])
    assert [float(number) for number in numbers[:4]] == pytest.approx(wanted, abs=6e-4)


def test_rows_beyond_the_lines_were_drawn_again():
    error = 2 * (0.05 * 0.95 / NULL["datasets"]) ** 0.5
    over = NULL[NULL["significant"] > 0.05 + error].index
    again = {place[:2] for place in AGAIN.index if place[2:] == ("no effect", "significant")}
    assert set(over) == again
    rates = AGAIN["again"].xs("significant", level="rate")
    assert (rates <= [float(line) for line in AGAIN["line"].xs("significant", level="rate")]).all()
    outside = NULL[~NULL["coverage"].between(0.93, 0.97)].index
    assert set(outside) == {place[:2] for place in AGAIN.index if place[2:] == ("no effect", "coverage")}
    assert NULL["coverage"].min() >= 0.93
