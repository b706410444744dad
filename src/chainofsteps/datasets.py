"""The datasets of this project: one schema each, checked when written and when read.

Single-file NetCDF through h5netcdf, written to a temporary name and renamed, without times or paths inside: the same
data give the same bytes, and a half-written file never has the final name.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from chainofsteps.refusal import Refused

SCHEMA_VERSION = "1"


@dataclass(frozen=True)
class Variable:
    """What a variable must be: dims in order, dtype kind (numpy's letter), units, meaning, and accepted range."""

    dims: tuple[str, ...]
    kind: str
    units: str
    long_name: str
    minimum: float | None = None
    maximum: float | None = None


_CASE_ATTRS = ("family", "purpose")
_RUN_ATTRS = (*_CASE_ATTRS, "model_id", "model_revision", "scheduler", "dtype", "experiment", "order")

# Coordinates that every dataset may have, by dimension.
COORDINATES = {
    "case": Variable(("case",), "O", "1", "case id"),
    "seed": Variable(("seed",), "i", "1", "generation seed"),
    "step": Variable(("step",), "i", "1", "index of the network evaluation"),
    "frame": Variable(("frame",), "i", "1", "video frame; frame 0 is given"),
    "latent_frame": Variable(("latent_frame",), "i", "1", "latent frame; latent frame 0 is given"),
    "latent_channel": Variable(("latent_channel",), "i", "1", "channel of the latents"),
    "latent_row": Variable(("latent_row",), "i", "1", "row of the latents"),
    "latent_col": Variable(("latent_col",), "i", "1", "column of the latents"),
    "row": Variable(("row",), "i", "cell", "row of the world"),
    "col": Variable(("col",), "i", "cell", "column of the world"),
    "y": Variable(("y",), "i", "pixel", "row of the picture"),
    "x": Variable(("x",), "i", "pixel", "column of the picture"),
    "channel": Variable(("channel",), "O", "1", "colour channel"),
    "branch": Variable(("branch",), "i", "1", "rank of a state by its mass, the heaviest first"),
}

_DIFFICULTY = Variable(("case",), "i", "1", "difficulty, as the family counts it", 0)
# Variables that are coordinates of a dim beside its index.
_AUXILIARY = ("sigma", "timestep", "difficulty")
_SIGMA = Variable(("step", "latent_frame"), "f", "1", "noise level of the latent frame before the step", 0, 1)
_TIMESTEP = Variable(("step", "latent_frame"), "f", "1", "timestep given to the network", 0, 1000)
_ACTIVE = Variable(("step", "latent_frame"), "i", "1", "1 where the step moves the latent frame", 0, 1)
_STATE_FRAME = ("case", "seed", "step", "frame")
_STATE = ("case", "seed", "step")

SCHEMAS: dict[str, tuple[dict[str, Variable], tuple[str, ...]]] = {
    "cases": (
        {
            "case_seed": Variable(("case",), "i", "1", "seed that the case was drawn from", 0),
            "difficulty": _DIFFICULTY,
            "prompt": Variable(("case",), "O", "1", "prompt"),
            "world": Variable(("case",), "O", "1", "scene and facts, JSON"),
            "plan": Variable(("case", "frame"), "i", "1", "exact solution: kind * 65 + cell, 64 absent", 0),
            "first_frame": Variable(("case", "y", "x", "channel"), "u", "1", "given picture"),
            "ground_truth": Variable(("case", "frame", "y", "x", "channel"), "u", "1", "video of the solution"),
        },
        _CASE_ATTRS,
    ),
    "trajectories": (
        {
            "difficulty": _DIFFICULTY,
            "sigma": _SIGMA,
            "timestep": _TIMESTEP,
            "active": _ACTIVE,
            "clean_estimate": Variable(
                (*_STATE_FRAME, "y", "x", "channel"), "u", "1", "decoded clean estimate x_s - sigma v"
            ),
            "final_latents": Variable(
                ("case", "seed", "latent_channel", "latent_frame", "latent_row", "latent_col"),
                "f",
                "1",
                "normalised latents after the last step",
            ),
        },
        _RUN_ATTRS,
    ),
    "features": (
        {
            "difficulty": _DIFFICULTY,
            "sigma": _SIGMA,
            "timestep": _TIMESTEP,
            "active": _ACTIVE,
            "occupancy": Variable((*_STATE_FRAME, "row", "col"), "f", "1", "mass of the mover in the cell", 0, 1),
            "plan": Variable(_STATE_FRAME, "i", "1", "state read: kind * 65 + cell, 64 absent, -1 waiting", -1),
            "mover_count": Variable(_STATE_FRAME, "f", "1", "movers in the picture", 0),
            "scene_error": Variable(_STATE_FRAME, "f", "1", "mean absolute deviation from the scene", 0),
            "entropy": Variable(_STATE_FRAME, "f", "bit", "entropy of the mass over states", 0),
            "branch_mass": Variable((*_STATE_FRAME, "branch"), "f", "1", "mass of the heaviest states", 0, 1),
            "frame_correct": Variable(_STATE_FRAME, "i", "1", "1 where the state is the nearest solution's", 0, 1),
            "correct": Variable(_STATE, "f", "1", "score of the plan read from the clean estimate", 0, 1),
            "reaches_goal": Variable(_STATE, "f", "1", "1 where the plan ends in the goal", 0, 1),
            "legal_moves": Variable(_STATE, "f", "1", "1 where every move is legal", 0, 1),
            "start_kept": Variable(_STATE, "f", "1", "1 where the plan starts in the given state", 0, 1),
            "frames_consistent": Variable(_STATE, "f", "1", "share of frames that hold one mover of one kind", 0, 1),
            "commitment_step": Variable(
                ("case", "seed", "frame"), "i", "1", "first step from which the state read no longer changes", 0
            ),
        },
        _RUN_ATTRS,
    ),
}


def attributes(config_part: object, **attrs: str) -> dict[str, str]:
    """Root attributes: the given ones, the schema version, and the hash of the settings that made the dataset."""
    text = json.dumps(config_part, sort_keys=True, default=str)
    return {
        **attrs,
        "schema_version": SCHEMA_VERSION,
        "config_hash": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def finished(dataset: xr.Dataset, schema: str) -> xr.Dataset:
    """Give each variable and coordinate the units and long_name of its schema, and each bare dim its index."""
    variables, _ = SCHEMAS[schema]
    dataset = dataset.copy()
    for dim in dataset.dims:
        if dim not in dataset.coords:
            dataset = dataset.assign_coords({dim: np.arange(dataset.sizes[dim])})
    dataset = dataset.set_coords([name for name in _AUXILIARY if name in dataset.variables])
    for name in dataset.variables:
        spec = variables.get(str(name)) or COORDINATES.get(str(name))
        if spec:
            dataset[name].attrs |= {"units": spec.units, "long_name": spec.long_name}
    return dataset


def check(dataset: xr.Dataset, schema: str, where: object) -> xr.Dataset:
    """Hold a dataset against its schema.

    Raises
    ------
    Refused
        Names the dataset, the variable and the rule.
    """
    variables, attrs = SCHEMAS[schema]
    for name in (*attrs, "schema_version", "config_hash"):
        if name not in dataset.attrs:
            raise Refused(where, f"attribute {name}", "nothing", "a string")
    if dataset.attrs["schema_version"] != SCHEMA_VERSION:
        raise Refused(where, "attribute schema_version", dataset.attrs["schema_version"], SCHEMA_VERSION)
    for dim, size in dataset.sizes.items():
        if size == 0:
            raise Refused(where, f"dim {dim}", "size 0", "at least 1")
    extra = set(map(str, dataset.data_vars)) - set(variables)
    if extra:
        raise Refused(where, f"variable {min(extra)}", "not in the schema", ", ".join(variables))
    for name, spec in variables.items():
        if name not in dataset.variables:
            raise Refused(where, f"variable {name}", "nothing", f"dims {spec.dims}")
        if (name in dataset.coords) != (name in _AUXILIARY):
            raise Refused(where, f"variable {name}", "in the wrong place", f"coordinates: {', '.join(_AUXILIARY)}")
        _check_variable(dataset[name], spec, f"variable {name}", where)
    for dim in map(str, dataset.dims):
        if dim not in dataset.coords:
            raise Refused(where, f"coordinate {dim}", "nothing", "a coordinate for every dim")
        if dim not in COORDINATES:
            raise Refused(where, f"dim {dim}", "not in the schema", ", ".join(COORDINATES))
        _check_variable(dataset[dim], COORDINATES[dim], f"coordinate {dim}", where)
        if len(np.unique(dataset[dim])) != dataset.sizes[dim]:
            raise Refused(where, f"coordinate {dim}", "repeated values", "each value once")
    return dataset


def _check_variable(array: xr.DataArray, spec: Variable, field: str, where: object) -> None:
    if array.dims != spec.dims:
        raise Refused(where, f"{field} dims", tuple(map(str, array.dims)), spec.dims)
    kind = "O" if array.dtype.kind in "OUT" else array.dtype.kind
    if kind != spec.kind:
        raise Refused(where, f"{field} dtype", array.dtype, f"kind {spec.kind!r}")
    for attribute, wanted in (("units", spec.units), ("long_name", spec.long_name)):
        if array.attrs.get(attribute) != wanted:
            raise Refused(where, f"{field} {attribute}", array.attrs.get(attribute), wanted)
    if kind in "fiu":
        # Of the values: xarray's own min and max pass over NaN.
        low, high = array.values.min().item(), array.values.max().item()
        if not np.isfinite([low, high]).all():
            raise Refused(where, field, "NaN or infinity", "finite numbers")
        if (spec.minimum is not None and low < spec.minimum) or (spec.maximum is not None and high > spec.maximum):
            accepted = f"at least {spec.minimum}" if spec.maximum is None else f"{spec.minimum} to {spec.maximum}"
            raise Refused(where, field, f"values from {low} to {high}", accepted)


def write(dataset: xr.Dataset, path: str | Path, schema: str) -> None:
    """Check and write a dataset; the final name appears only when the file is whole.

    Raises
    ------
    Refused
        The dataset breaks its schema, or there is no space for it.
    """
    path = Path(path)
    dataset = check(finished(dataset, schema), schema, path)
    encoding = {
        name: {"zlib": True, "complevel": 1, "shuffle": True}
        for name, variable in dataset.data_vars.items()
        if variable.size > 1024 and variable.dtype.kind in "fiu"
    }
    partial = path.with_name(path.name + ".partial")
    try:
        # By way of memory: HDF5 that meets a full disk raises any of several errors and may then end the process.
        partial.write_bytes(dataset.to_netcdf(None, engine="h5netcdf", encoding=encoding))
        os.replace(partial, path)
    except OSError as error:
        raise Refused(path, "file", f"cannot be written ({error.strerror or error})", "a folder with space") from error
    finally:
        partial.unlink(missing_ok=True)


def read(path: str | Path, schema: str) -> xr.Dataset:
    """Read a dataset into memory and check it.

    Raises
    ------
    Refused
        No such file, not a NetCDF file, or it breaks its schema.
    """
    path = Path(path)
    if not path.is_file():
        raise Refused(path, "file", "nothing", f"a {schema} dataset")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            loaded = dataset.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise Refused(path, "file", f"unreadable ({error})", f"a {schema} dataset in NetCDF-4") from error
    return check(loaded, schema, path)
