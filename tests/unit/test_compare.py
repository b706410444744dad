"""What counts as last digits, and what as another result."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chainofsteps.ledger import compare
from chainofsteps.ledger.compare import Differs, largest_difference

CSV = "id,n,p,estimate,word,note\nE0,64,0.25,0.5,replicated,\nE1,64,,,contradicted,of two\n"
METRICS = {"E0": {"maze": {"estimate": 0.25, "n": 64, "verdict": 1}}}


def dataset(**given):
    values = {
        "value": ("case", np.array([1.0, np.nan, -3.0])),
        "plan": ("case", np.array([1, 2, 3])),
        "picture": (("y", "x", "channel"), np.full((4, 4, 3), 100, np.uint8)),
        "name": ("case", np.array(["a", "b", "c"], object)),
    } | given
    path = io.BytesIO()
    xr.Dataset(values, attrs={"model_id": "mini"}).to_netcdf(path, engine="h5netcdf")
    return path.getvalue()


def picture(changed=0):
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels.reshape(-1, 3)[:changed] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@settings(max_examples=60)
@given(st.floats(-1e6, 1e6), st.floats(-0.9, 0.9))
def test_floats_may_differ_by_the_tolerance_and_no_more(value, share):
    one, other = (json.dumps({"a": each}).encode() for each in (value, value + share * compare.TOLERANCE))
    largest_difference("metrics.json", one, other)
    far = json.dumps({"a": value + 3 * compare.TOLERANCE * max(1, abs(value))}).encode()
    with pytest.raises(Differs, match="a: differs by"):
        largest_difference("metrics.json", one, far)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("64,0.25", "65,0.25", "n, row 0: recorded 64, given 65"),
        ("replicated", "inconclusive", "word, row 0: recorded replicated, given inconclusive"),
        ("0.25", "", "p: not finite in different places"),
        ("0.25", "0.27", "p: differs by 0.02, 0.01 are last digits"),
        ("0.5", "0.51", "estimate: differs by 0.01, 0.001 are last digits"),
        ("of two", "", "note, row 1: recorded of two, given nan"),
        ("E1,64,,,contradicted,of two\n", "", "rows: recorded 2, given 1"),
        ("word", "verdict", "columns: recorded"),
    ],
)
def test_tables(old, new, message):
    with pytest.raises(Differs, match=message):
        largest_difference("verdicts.csv", CSV.encode(), CSV.replace(old, new, 1).encode())
    said = largest_difference("verdicts.csv", CSV.encode(), CSV.replace("0.25", "0.2501").encode())
    assert said == "largest difference 0.0001, p"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 65}, "E0.maze.n: recorded 64, given 65"),
        ({"verdict": 2}, "E0.maze.verdict: recorded 1, given 2"),
        ({"more": 1.0}, r"leaves: only recorded \[\], only given \['E0.maze.more'\]"),
        ({"estimate": float("nan")}, "not finite"),
        ({"estimate": 0.255}, "E0.maze.estimate: differs by 0.005"),
        ({"estimate": True}, "recorded 0.25, given True"),
    ],
)
def test_metrics(changes, message):
    given = {"E0": {"maze": METRICS["E0"]["maze"] | changes}}
    with pytest.raises(Differs, match=message):
        largest_difference("metrics.json", json.dumps(METRICS).encode(), json.dumps(given).encode())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"plan": ("case", np.array([1, 2, 4]))}, "plan: 1 of 3 values differ"),
        ({"value": ("case", np.array([1.0, 2.0, -3.0]))}, "value: not finite in different places"),
        ({"value": ("case", np.array([1.1, np.nan, -3.0]))}, "value: differs by 0.1"),
        ({"name": ("case", np.array(["a", "b", "d"], object))}, "name: 1 of 3"),
        ({"picture": (("y", "x", "channel"), np.full((4, 4, 3), 103, np.uint8))}, "3 grey levels"),
        ({"more": ("case", np.zeros(3))}, "variables"),
    ],
)
def test_datasets(changed, message):
    with pytest.raises(Differs, match=message):
        largest_difference("a.nc", dataset(), dataset(**changed))


def test_ends_of_intervals_and_p_values_leap():
    for name in ("ci_low", "ci_high_corrected", "p_adjusted"):
        one, other = ({"E0": {"maze": {name: value}}} for value in (0.25, 0.255))
        said = largest_difference("metrics.json", json.dumps(one).encode(), json.dumps(other).encode())
        assert said == f"largest difference 0.005, E0.maze.{name}"


def test_last_digits_of_datasets_and_figures():
    near = dataset(
        value=("case", np.array([1.0 + 1e-6, np.nan, -3.0])),
        picture=(("y", "x", "channel"), np.full((4, 4, 3), 101, np.uint8)),
    )
    assert "picture" in largest_difference("a.nc", dataset(), near)
    assert largest_difference("a.png", picture(), picture(150)) == "largest difference 0.015, share of pixels"
    with pytest.raises(Differs, match=r"2\.5% of the pixels differ"):
        largest_difference("a.png", picture(), picture(250))


@pytest.mark.parametrize("name", ["a.nc", "a.png", "a.json", "a.csv"])
def test_what_cannot_be_read_differs(name):
    content = {"a.nc": dataset(), "a.png": picture(), "a.json": json.dumps(METRICS).encode(), "a.csv": CSV.encode()}[
        name
    ]
    assert largest_difference(name, content, content) == "the same values in other bytes"
    for broken in (b"", content[: len(content) // 2] + b"\xff\xfe"):
        with pytest.raises(Differs):
            largest_difference(name, content, broken)
    with pytest.raises(Differs, match="the same or not"):
        largest_difference("a.txt", b"a", b"b")
