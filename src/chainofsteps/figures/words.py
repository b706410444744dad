"""Words for numbers and names, in figures and in the report."""

from __future__ import annotations

import pandas as pd


def span(values: pd.Series) -> str:
    """One number, or the lowest to the highest."""
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def label(name: str) -> str:
    """Words for a name of the configuration: ``frame_by_frame`` -> ``frame by frame``."""
    return name.replace("_", " ")
