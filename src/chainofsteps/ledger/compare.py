"""Whether two versions of a result say the same, but for the last digits that another machine gives.

Text, integers (plans, counts, verdicts) and the form must agree; floats may differ by `TOLERANCE`, relative to the
larger but at least absolutely, p-values and ends of intervals by `TOLERANCE_OF_RESAMPLED`; pictures inside datasets by
`LEVELS` grey levels, figures in `PIXELS` of their pixels.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import PurePath

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

TOLERANCE = 1e-3
# A quantile of resamples of few cases leaps from one resample to the next: .0026 seen of six cases, between two CPUs.
TOLERANCE_OF_RESAMPLED = 1e-2
_RESAMPLED = re.compile(r"(.*\.)?(ci_(low|high)(_corrected)?|p|p_adjusted)")
LEVELS = 2
PIXELS = 0.02


class Differs(Exception):
    """More than last digits; the message says where and how."""


def largest_difference(path: str, recorded: bytes, given: bytes) -> str:
    """The largest difference between two versions of a file, in words.

    Parameters
    ----------
    path : str
        Of the file; its suffix says how it is read: .json, .csv, .nc or .png.
    recorded, given : bytes
        Contents.

    Raises
    ------
    Differs
        The versions differ by more than last digits, one cannot be read, or files of this kind are not compared.
    """
    suffix = PurePath(path).suffix
    if suffix not in _READERS:
        raise Differs(f"files of kind {suffix or 'none'} are the same or not")
    try:
        pairs = list(_READERS[suffix](recorded, given))
    except Differs:
        raise
    # Whatever a reader says of a file that is broken.
    except Exception as error:
        raise Differs(f"cannot be read: {' '.join(str(error).split())[:200]}") from None
    name, difference = max(pairs, key=lambda pair: pair[1], default=("", 0.0))
    return f"largest difference {difference:.2g}, {name}" if difference else "the same values in other bytes"


def _json(recorded: bytes, given: bytes) -> Iterator[tuple[str, float]]:
    one, other = (dict(_leaves(json.loads(content))) for content in (recorded, given))
    _same("leaves", set(one), set(other))
    for name, value in one.items():
        yield name, _difference(name, value, other[name])


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in items:
            yield from _leaves(below, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _csv(recorded: bytes, given: bytes) -> Iterator[tuple[str, float]]:
    one, other = (
        pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""]) for content in (recorded, given)
    )
    _same("columns", list(one), list(other))
    _same("rows", len(one), len(other))
    for column in one:
        kind, other_kind = one[column].dtype.kind, other[column].dtype.kind
        if "f" in kind + other_kind and set(kind + other_kind) <= set("fi"):
            yield column, _arrays(column, one[column].to_numpy(float), other[column].to_numpy(float))
        else:
            row = np.flatnonzero(_words(one[column]) != _words(other[column]))
            if len(row):
                values = one[column].iloc[row[0]], other[column].iloc[row[0]]
                raise Differs(f"{column}, row {row[0]}: recorded {values[0]}, given {values[1]}")


def _words(column: pd.Series) -> np.ndarray:
    """Its values as text; what is missing is like what is missing, which NaN is not."""
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy()


def _dataset(recorded: bytes, given: bytes) -> Iterator[tuple[str, float]]:
    one, other = (xr.load_dataset(io.BytesIO(content), engine="h5netcdf") for content in (recorded, given))
    _same("variables", set(one.variables), set(other.variables))
    _same("sizes", dict(one.sizes), dict(other.sizes))
    _same("attributes", {k: str(v) for k, v in one.attrs.items()}, {k: str(v) for k, v in other.attrs.items()})
    for name in one.variables:
        a, b = one[name].values, other[name].values
        _same(f"type of {name}", a.dtype.kind, b.dtype.kind)
        if a.dtype.kind == "f":
            yield name, _arrays(name, a.astype(float), b.astype(float))
        elif a.dtype == np.uint8 and a.ndim > 2:
            levels = int(np.abs(a.astype(int) - b).max(initial=0))
            if levels > LEVELS:
                raise Differs(f"{name}: pictures differ by {levels} grey levels, {LEVELS} are last digits")
            yield f"{name} (grey levels of 255)", levels / 255
        elif not np.array_equal(a, b):
            raise Differs(f"{name}: {int((a != b).sum())} of {a.size} values differ")


def _picture(recorded: bytes, given: bytes) -> Iterator[tuple[str, float]]:
    one, other = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int) for content in (recorded, given))
    _same("size", one.shape, other.shape)
    share = float((np.abs(one - other).max(-1) > LEVELS).mean())
    if share > PIXELS:
        raise Differs(f"{share:.1%} of the pixels differ, {PIXELS:.0%} are last digits")
    yield "share of pixels", share


_READERS = {".json": _json, ".csv": _csv, ".nc": _dataset, ".png": _picture}


def _same(what: str, recorded: object, given: object) -> None:
    if recorded == given:
        return
    if isinstance(recorded, set) and isinstance(given, set):
        recorded, given = (sorted(map(str, one - other))[:3] for one, other in ((recorded, given), (given, recorded)))
        raise Differs(f"{what}: only recorded {recorded}, only given {given}")
    raise Differs(f"{what}: recorded {recorded}, given {given}")


def _difference(name: str, recorded: object, given: object) -> float:
    if isinstance(recorded, float) and isinstance(given, float):
        return _arrays(name, np.array([recorded]), np.array([given]))
    _same(name, recorded, given)
    return 0.0


def _arrays(name: str, recorded: np.ndarray, given: np.ndarray) -> float:
    """Largest absolute difference of floats, NaN being like NaN."""
    if not np.array_equal(np.isfinite(recorded), np.isfinite(given)):
        raise Differs(f"{name}: not finite in different places")
    finite = np.isfinite(recorded)
    if not np.array_equal(recorded[~finite], given[~finite], equal_nan=True):
        raise Differs(f"{name}: not finite in different ways")
    a, b = recorded[finite], given[finite]
    apart = np.abs(a - b)
    most = float(apart.max(initial=0.0))
    tolerance = TOLERANCE_OF_RESAMPLED if _RESAMPLED.fullmatch(name) else TOLERANCE
    beyond = apart > tolerance * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
    if beyond.any():
        raise Differs(f"{name}: differs by {most:.2g}, {tolerance:g} are last digits")
    return 0.0 if math.isclose(most, 0.0) else most
