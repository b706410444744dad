"""Cases as a dataset, and back."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr

from chainofsteps import datasets, seeds, worlds
from chainofsteps.refusal import Refused

_MAX_DRAWS_A_CASE = 20


def case_dataset(
    family: str,
    purpose: str,
    first: int,
    count: int,
    level: str | None = None,
    field: str = "cases.count",
    solved: bool = False,
) -> xr.Dataset:
    """Draw cases of a family, no picture twice; difficulties take turns.

    Parameters
    ----------
    family : str
    purpose : str
        ``pilot`` or ``confirmatory``.
    first, count : int
        The first ``count`` cases that differ, from index ``first`` of the purpose's block of seeds on.
    level : str, optional
        Difficulties of this level only.
    field : str
        Setting that ``count`` comes from, for a refusal to name.
    solved : bool
        Cases in which all is done already (:func:`chainofsteps.worlds.solved`).

    Returns
    -------
    Dataset
        By the ``cases`` schema.

    Raises
    ------
    Refused
        The world is too small for so many different cases.
    """
    turns = worlds.difficulties(family) if level is None else worlds.family(family).LEVELS[level]
    cases: list[worlds.Case] = []
    pictures: set[bytes] = set()
    for index in itertools.count(first):
        case = worlds.draw_case(family, seeds.seed_of(purpose, index), turns[index % len(turns)])
        case = worlds.solved(case) if solved else case
        if case.first_frame.tobytes() not in pictures:
            pictures.add(case.first_frame.tobytes())
            cases.append(case)
        if len(cases) == count:
            break
        if index - first > _MAX_DRAWS_A_CASE * count:
            raise Refused(family, field, count, f"at most {len(cases)}, the world holds no more in this block")
    drawn = [family, purpose, first, count, *([] if level is None else [level]), *(["solved"] if solved else [])]
    return xr.Dataset(
        {
            "case_seed": ("case", np.array([case.seed for case in cases], np.int64)),
            "difficulty": ("case", np.array([case.difficulty for case in cases], np.int16)),
            "prompt": ("case", np.array([case.prompt for case in cases], object)),
            "world": ("case", np.array([case.to_json() for case in cases], object)),
            "plan": (("case", "frame"), np.stack([case.plan for case in cases])),
            "first_frame": (("case", "y", "x", "channel"), np.stack([case.first_frame for case in cases])),
            "ground_truth": (("case", "frame", "y", "x", "channel"), np.stack([case.video for case in cases])),
        },
        coords={
            "case": np.array([case.case_id for case in cases], object),
            "channel": np.array(["red", "green", "blue"], object),
        },
        attrs=datasets.attributes(drawn, family=family, purpose=purpose),
    )


def case_of(cases: xr.Dataset, case_id: str) -> worlds.Case:
    """One case of a dataset, its solution solved anew."""
    row = cases.sel(case=case_id)
    return worlds.case_from_json(
        cases.attrs["family"], int(row["case_seed"]), int(row["difficulty"]), str(row["world"].item())
    )
