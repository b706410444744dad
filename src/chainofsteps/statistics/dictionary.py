"""Data dictionary: what stands in every file that the workflow makes for reading by machines."""

from __future__ import annotations

import pandas as pd

from chainofsteps import datasets
from chainofsteps.statistics import variance
from chainofsteps.statistics.verdicts import BY_FAMILY_COLUMNS, COLUMNS, METRICS

_KINDS = {"f": "float", "i": "integer", "u": "unsigned integer", "O": "text"}


def dictionary() -> pd.DataFrame:
    """One row a variable of a dataset, a column of a table, or a leaf of ``metrics.json``.

    Returns
    -------
    DataFrame
        ``file``: schema of the dataset or name of the file; ``name``, ``dims``, ``type``, ``unit``, ``meaning``.
    """
    rows = []
    for schema, (variables, _) in datasets.SCHEMAS.items():
        dims = dict.fromkeys(dim for each in variables.values() for dim in each.dims)
        given = {name: datasets.COORDINATES[name] for name in dims} | variables
        rows += [
            (f"{schema} dataset", name, ", ".join(each.dims), _KINDS[each.kind], each.units, each.long_name)
            for name, each in given.items()
        ]
    rows += [("verdicts.csv", name, "row", "", unit, meaning) for name, (unit, meaning) in COLUMNS.items()]
    rows += [("by_family.csv", name, "row", "", *COLUMNS[name]) for name in BY_FAMILY_COLUMNS]
    rows += [("variance.csv", name, "row", "", unit, meaning) for name, (unit, meaning) in variance.COLUMNS.items()]
    rows += [("metrics.json", leaf, "id, family", "number", *COLUMNS[column]) for leaf, column in METRICS.items()]
    rows.append(("metrics.json", "verdict", "id, family", "integer", "", "code of the verdict word"))
    rows.append(("metrics.json", "reading", "answer, family", "integer", "", "code of the answer"))
    return pd.DataFrame(rows, columns=["file", "name", "dims", "type", "unit", "meaning"])
