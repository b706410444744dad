"""What the README says of the shipped run is what its verdict table says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
README = " ".join((ROOT / "README.md").read_text().split())
STATISTICS = ROOT / "results/statistics"
VERDICTS, BY_FAMILY = (
    pd.read_csv(STATISTICS / f"{name}.csv").set_index(["id", "family"]) for name in ("verdicts", "by_family")
)

# Words of the README with the number in brackets; entry, family and column that it is of.
NUMBERS = [
    (r"In \*maze_loop\* success rises by (\S+) from", "E0_gain", "maze_loop", "estimate"),
    (r"\*largest_tie\* rises by (\S+) and", "E0_gain", "largest_tie", "estimate"),
    (r"to the last step, in \*largest\* by (\S+), and", "E0_gain", "largest", "estimate"),
    (r"steps gain (\S+) there where nothing is left", "E0_static", "largest_tie", "estimate"),
    (r"nothing to reason about, steps gain (\S+) there", "E0_static", "largest", "estimate"),
    (r"\*maze\* gains (\S+), too little", "E0_gain", "maze", "estimate"),
    (r"a lead of (\S+) in \*maze_fork\*\)", "E5_control", "maze_fork", "estimate"),
    (r"not clearly in \*largest_tie\* \((\S+), where", "E5_control", "largest_tie", "estimate"),
    (r"by (\S+) with noise of full strength", "E2_replace", "all", "estimate"),
    (r"and (\S+) with noise of the frame's own variance", "E2_erase", "all", "estimate"),
    (r"in a still picture: (\S+), where \S+ would count", "E6_persistence", "all", "estimate"),
    (r"in a still picture: \S+, where (\S+) would count", "E6_persistence", "all", "smallest_effect"),
    (r"a step costs: (\S+) of 64 cases", "E3_grid", "all", "n_cases"),
    (r"about as much as to later ones \(E4, replicated, (\S+) on a scale", "E4_joint", "all", "estimate"),
    (r"as earlier ones \(E5, (\S+), its corrected", "E5_joint", "all", "estimate"),
    (r"in \*maze_fork\* by (\S+), in", "E5_joint", "maze_fork", "estimate"),
    (r"in \*largest_tie\* by (\S+)\. -", "E5_joint", "largest_tie", "estimate"),
    (r"its corrected interval reaches (\S+): inconclusive,", "E5_joint", "all", "ci_high_corrected"),
    (r"the solved scene along the steps \((\S+) and", "E0_static", "maze", "estimate"),
    (r"the solved scene along the steps \(\S+ and (\S+)\)", "E0_static", "maze_loop", "estimate"),
    (r"\(E6 peak, \w+, (\S+); inconclusive", "E6_peak", "all", "estimate"),
    (r"a quarter of the steps loses (\S+) of the score", "E14_steps", "all", "estimate"),
    (r"about half of the frames (\S+) of the right beginnings", "E14_frames", "all", "estimate"),
    (r"right beginnings \((\S+) in \*maze\*", "E14_frames", "maze", "estimate"),
    (r"in \*maze\*, (\S+) in \*tic_tac_toe\*, eight", "E14_frames", "tic_tac_toe", "estimate"),
]
# Words of the README with the least and greatest estimate of an entry's families in brackets.
RANGES = [
    (r"In shuffled turns commitment \((\S+) to (\S+)\)", "E1_shuffled"),
    (r"In shuffled turns .* damage \((\S+) to (\S+)\)", "E4_shuffled"),
    (r"In shuffled turns .* planted plans lean forward in \*largest_tie\* \((\S+) to (\S+), both", "E5_shuffled"),
]
# Words of the README with a verdict in brackets, and the entry that it is of.
WORDS = [
    (r"\(E2, \*([\w ]+)\* twice;", ["E2_replace", "E2_erase"]),
    (r"to later ones \(E4, (\w+),", ["E4_joint"]),
    (r"lose any \(E3, ([\w ]+)\)", ["E3_grid"]),
    (r"would count \(E6, ([\w ]+)\)", ["E6_persistence"]),
    (r"\(E6 peak, (\w+),", ["E6_peak"]),
    (r"interval reaches \S+: (\w+), since", ["E5_joint"]),
    (r"of the score \(E14, (\w+);", ["E14_steps"]),
    (r"eight cases each; E14 frames, (\w+);", ["E14_frames"]),
    (r"on the mover \(E11, (\w+)\)", ["E11_objects"]),
]


def short(value):
    """Two decimals, as README writes them; a count as it is."""
    return str(value) if isinstance(value, (int, np.integer)) else f"{value:.2f}".replace("0.", ".", 1)


@pytest.mark.parametrize(("words", "entry"), RANGES)
def test_a_range_of_the_readme_is_the_tables(words, entry):
    (said,) = re.findall(words, README)
    values = VERDICTS.loc[entry, "estimate"]
    assert said == (short(values.min()), short(values.max()))


@pytest.mark.parametrize(("words", "entries"), WORDS, ids=lambda value: str(value))
def test_a_verdict_of_the_readme_is_the_tables(words, entries):
    (said,) = re.findall(words, README)
    assert set(VERDICTS.loc[entries, "verdict"]) == {said}


@pytest.mark.parametrize(("words", "entry", "family", "column"), NUMBERS, ids=lambda value: value)
def test_a_number_of_the_readme_is_the_tables(words, entry, family, column):
    (said,) = re.findall(words, README)
    # A pooled entry has its families in a table of their own.
    table = VERDICTS if (entry, family) in VERDICTS.index else BY_FAMILY
    assert said == short(table.loc[(entry, family), column])
