"""The datasets of this project: one schema each, checked when written and when read.

Single-file NetCDF through h5netcdf, written to a temporary name and renamed, without times or paths inside: the same
data give the same bytes, and a half-written file never has the final name.
"""

from __future__ import annotations

import hashlib
import io
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
_MODEL_ATTRS = ("model_id", "model_revision", "scheduler", "dtype", "experiment", "order")
_RUN_ATTRS = (*_CASE_ATTRS, *_MODEL_ATTRS)
# Of a dataset of several families.
_INTERVENTION_ATTRS = ("purpose", "kind", "boundary", *_MODEL_ATTRS)

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
    "arm": Variable(("arm",), "O", "1", "condition of the experiment; the first is the clean one"),
    "layer": Variable(("layer",), "i", "1", "transformer block"),
    "other_layer": Variable(("other_layer",), "i", "1", "transformer block"),
    "observed_step": Variable(("observed_step",), "i", "1", "network evaluation that was looked into"),
    "variable": Variable(("variable",), "O", "1", "what the probe asks for"),
    "world": Variable(("world",), "O", "1", "family, as of the cases"),
    "plan_kind": Variable(("plan_kind",), "O", "1", "the solution, or in which way a plan is wrong"),
    "sampled": Variable(("sampled",), "O", "1", "sampling experiment"),
    "metric": Variable(("metric",), "O", "1", "the task's rule alone, or blended with picture quality"),
    "control": Variable(("control",), "O", "1", "the ground truth, or in which way a video is wrong"),
    "disturbance": Variable(("disturbance",), "O", "1", "what was done to the pictures"),
}

_DIFFICULTY = Variable(("case",), "i", "1", "difficulty, as the family counts it", 0)
# Variables that are coordinates of a dim beside its index.
_AUXILIARY = (
    "sigma",
    "timestep",
    "difficulty",
    "family",
    "kind",
    "scope",
    "planted",
    "planted_step",
    "written",
    "planted_after",
    "swapped_layer",
    "first_step",
    "last_step",
    "donor",
    "evaluations",
    "sampling_order",
    "steps",
    "frames_made",
    "depth",
)
_SIGMA = Variable(("step", "latent_frame"), "f", "1", "noise level of the latent frame before the step", 0, 1)
_TIMESTEP = Variable(("step", "latent_frame"), "f", "1", "timestep given to the network", 0, 1000)
_ACTIVE = Variable(("step", "latent_frame"), "i", "1", "1 where the step moves the latent frame", 0, 1)
_STATE_FRAME = ("case", "seed", "step", "frame")
_STATE = ("case", "seed", "step")
_ARM = ("case", "seed", "arm")
_ARM_FRAME = (*_ARM, "frame")
_OBSERVED = ("observed_step", "layer")
_EVALUATIONS = Variable(("arm",), "i", "1", "network evaluations of a video, one guidance pass", 1)
_SECONDS = Variable(("case",), "f", "1/s", "frames a second", 0)
_AGREES = "cosine of its motion to the ground truth's"
_BENCH_OUTCOME = {
    "difficulty": _DIFFICULTY,
    "family": Variable(("case",), "O", "1", "family of the case"),
    "agreement": Variable(_ARM, "f", "1", f"{_AGREES}, of as many frames", 0, 1),
}
# What every experiment keeps of its videos.
_OUTCOME = {
    "difficulty": _DIFFICULTY,
    "family": Variable(("case",), "O", "1", "family of the case; solved: all is done in the first frame"),
    "plan": Variable(_ARM_FRAME, "i", "1", "state read: kind * 65 + cell, 64 absent, -1 no such frame", -1),
    "frame_correct": Variable(_ARM_FRAME, "i", "1", "1 where the state is the nearest solution's", 0, 1),
    "correct": Variable(_ARM, "f", "1", "score of the finished video's plan", 0, 1),
    "same_as_clean": Variable(_ARM, "i", "1", "1 where the plan is that of the clean arm", 0, 1),
}

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
    "bench": (
        {
            "split": Variable(("case",), "O", "1", "part of the bench"),
            "task": Variable(("case",), "O", "1", "task, by the name of its generator"),
            "prompt": Variable(("case",), "O", "1", "prompt"),
            "digest": Variable(("case",), "O", "1", "sha256 over the files of the case"),
            "frames": Variable(("case",), "i", "1", "frames of the ground-truth video", 2),
            "height": Variable(("case",), "i", "pixel", "height of pictures and video", 1),
            "width": Variable(("case",), "i", "pixel", "width of pictures and video", 1),
            "fps": _SECONDS,
        },
        _CASE_ATTRS,
    ),
    "bench_cases": (
        {
            "case_seed": Variable(("case",), "i", "1", "seed of the case: of its name", 0),
            "difficulty": Variable(("case",), "i", "1", "0: a bench grades nothing", 0, 0),
            "task": Variable(("case",), "O", "1", "task, by the name of its generator"),
            "prompt": Variable(("case",), "O", "1", "prompt"),
            "digest": Variable(("case",), "O", "1", "sha256 over the files of the case"),
            "frames": Variable(("case",), "i", "1", "frames of the ground-truth video", 2),
            "fps": _SECONDS,
            "first_frame": Variable(("case", "y", "x", "channel"), "u", "1", "given picture, of the model's size"),
        },
        _CASE_ATTRS,
    ),
    "bench_features": (
        {
            "difficulty": _DIFFICULTY,
            "sigma": _SIGMA,
            "timestep": _TIMESTEP,
            "active": _ACTIVE,
            "commitment": Variable(_STATE_FRAME, "f", "1", "cosine of the frame's change map to the last step's", 0, 1),
            "candidates": Variable(_STATE_FRAME, "i", "1", "regions that stand out from what rests", 0),
            "commitment_step": Variable(
                ("case", "seed", "frame"), "i", "1", "first step from which the commitment stays high", 0
            ),
            "motion_commitment": Variable(_STATE, "f", "1", "cosine of the motion to the last step's", 0, 1),
            "agreement": Variable(_STATE, "f", "1", _AGREES, 0, 1),
        },
        _RUN_ATTRS,
    ),
    "bench_interventions": (
        {
            **_BENCH_OUTCOME,
            "kind": Variable(("arm",), "O", "1", "kind of intervention"),
            "scope": Variable(("arm",), "O", "1", "what is written: a step, a frame, a cell, several, a planted cell"),
            "erased": Variable(("arm", "step", "latent_frame"), "i", "1", "1 where the arm writes", 0, 1),
            "side": Variable(("arm", "frame"), "i", "1", "-1 before a planted frame, 1 after it, 0 elsewhere", -1, 1),
            "sigma": _SIGMA,
            "frame_agreement": Variable(
                _ARM_FRAME, "f", "1", "cosine of the frame's change map to the ground truth's", 0, 1
            ),
            "others_lost": Variable(
                _ARM, "f", "1", "frame agreement lost, mean over the free frames asked (not erased ones)", -1, 1
            ),
            "dissimilarity": Variable((*_ARM, "step"), "f", "1", "1 - CKA of the clean estimate to the clean arm's"),
            "dissimilarity_debiased": Variable((*_ARM, "step"), "f", "1", "the same, CKA debiased"),
            "frame_change": Variable(
                (*_ARM, "latent_frame"), "f", "1", "relative change of the finished latents from the clean arm's", 0
            ),
        },
        (*_CASE_ATTRS, "kind", "boundary", *_MODEL_ATTRS),
    ),
    "bench_orders": (
        {
            **_BENCH_OUTCOME,
            "sampling_order": Variable(("arm",), "O", "1", "order of the latent frames"),
            "steps": Variable(("arm",), "i", "1", "denoising steps; of each frame where frames take turns", 1),
            "frames_made": Variable(("arm",), "i", "1", "video frames made", 2),
            "evaluations": _EVALUATIONS,
            "clean_begins": Variable(_ARM, "f", "1", "agreement of as many first frames of the clean arm", 0, 1),
        },
        (*_CASE_ATTRS, "kind", "boundary", *_MODEL_ATTRS),
    ),
    "bench_scores": (
        {
            "score": Variable(("case", "sampled", "seed", "metric"), "f", "1", "score of the finished video", 0, 1),
            "scored": Variable(
                ("case", "sampled", "seed", "metric"), "i", "1", "1 where the scorer gave one; score 0 else", 0, 1
            ),
            "control_score": Variable(("case", "control", "metric"), "f", "1", "score of a video that is known", 0, 1),
            "control_scored": Variable(
                ("case", "control", "metric"), "i", "1", "1 where the scorer gave one; score 0 else", 0, 1
            ),
            "evidence": Variable(
                ("case", "metric"), "i", "1", "1 where the ground truth scores above every wrong video", 0, 1
            ),
        },
        (*_CASE_ATTRS, "model_id", "model_revision", "scorer", "scorer_version"),
    ),
    "score_controls": (
        {
            "score": Variable(("case", "plan_kind"), "f", "1", "score of a plan whose score is known", 0, 1),
            "read_right": Variable(("case", "disturbance"), "i", "1", "1 where every state drawn is read", 0, 1),
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
    "erasure": (
        {
            **_OUTCOME,
            "kind": Variable(("arm",), "O", "1", "kind of erasure"),
            "scope": Variable(("arm",), "O", "1", "what is erased: a step, a frame, a cell, several steps or frames"),
            "erased": Variable(("arm", "step", "latent_frame"), "i", "1", "1 where the arm erases", 0, 1),
            "sigma": _SIGMA,
            "others_lost": Variable(
                _ARM, "f", "1", "right frames lost, as a share of the free ones asked: those not erased", -1, 1
            ),
            "dissimilarity": Variable((*_ARM, "step"), "f", "1", "1 - CKA of the clean estimate to the clean arm's"),
            "dissimilarity_debiased": Variable((*_ARM, "step"), "f", "1", "the same, CKA debiased"),
            "frame_change": Variable(
                (*_ARM, "latent_frame"), "f", "1", "relative change of the finished latents from the clean arm's", 0
            ),
        },
        _INTERVENTION_ATTRS,
    ),
    "plant": (
        {
            **_OUTCOME,
            "planted": Variable(("arm",), "i", "1", "which plan is planted; -1 none", -1, 1),
            "written": Variable(
                ("arm",), "O", "1", "what is written: the plan, or as base rate what the run holds there"
            ),
            "answers": Variable(("case",), "i", "1", "right answers of the case; of one, the other plan is wrong", 1),
            "sigma": _SIGMA,
            "planted_step": Variable(("arm",), "i", "1", "own step of the frame before which it is; -1 none", -1),
            "planted_after": Variable(
                ("arm",), "i", "1", "frames between the first in which the two plans differ and it; -1 none", -1
            ),
            "side": Variable(
                ("case", "arm", "frame"), "i", "1", "-1 before the planted frame, 0 in it, 1 after it", -1, 1
            ),
            "follows": Variable(_ARM_FRAME, "i", "1", "1 where the state is the planted plan's", 0, 1),
            "differs": Variable(_ARM_FRAME, "i", "1", "1 where the planted plan is not the clean arm's", 0, 1),
        },
        _INTERVENTION_ATTRS,
    ),
    "swap": (
        {
            **_OUTCOME,
            "swapped_layer": Variable(("arm",), "i", "1", "block whose tokens are the donor's; -1 none", -1),
            "first_step": Variable(("arm",), "i", "1", "network evaluation from which on they are; -1 none", -1),
            "last_step": Variable(("arm",), "i", "1", "network evaluation to which they are; -1 none", -1),
            "donor": Variable(("arm",), "O", "1", "how the donor's answer ends: otherwise, or alike"),
            "flips": Variable(_ARM, "i", "1", "1 where the video ends otherwise than in the clean arm", 0, 1),
            "takes_donors_end": Variable(_ARM, "i", "1", "1 where the video ends as the donor's does", 0, 1),
            "clean_takes_donors_end": Variable(_ARM, "i", "1", "the same of the clean arm's video", 0, 1),
        },
        _INTERVENTION_ATTRS,
    ),
    "ensemble": ({**_OUTCOME, "evaluations": _EVALUATIONS}, _INTERVENTION_ATTRS),
    "orders": (
        {
            **_OUTCOME,
            "sampling_order": Variable(("arm",), "O", "1", "order of the latent frames"),
            "steps": Variable(("arm",), "i", "1", "denoising steps; of each frame where frames take turns", 1),
            "frames_made": Variable(("arm",), "i", "1", "video frames made", 2),
            "evaluations": _EVALUATIONS,
            "beginning_correct": Variable(
                _ARM, "i", "1", "1 where the frames there are begin as a right answer does", 0, 1
            ),
            "clean_begins": Variable(_ARM, "i", "1", "the same of as many first frames of the clean arm", 0, 1),
        },
        _INTERVENTION_ATTRS,
    ),
    "layers": (
        {
            **_OUTCOME,
            "depth": Variable(("layer",), "f", "1", "place of the block: 0 the first, 1 the last", 0, 1),
            "energy": Variable(
                ("case", "seed", *_OBSERVED, "latent_frame"), "f", "1", "L2 norm of a token, mean over the frame", 0
            ),
            "object_ratio": Variable(
                ("case", "seed", *_OBSERVED),
                "f",
                "1",
                "energy of the mover's tokens over that of the others, of free frames; 0 no mover",
                0,
            ),
            "similarity": Variable(
                ("world", *_OBSERVED, "other_layer"), "f", "1", "debiased CKA of two blocks' tokens of free frames"
            ),
            "probe_score": Variable(
                ("world", "variable", *_OBSERVED),
                "f",
                "1",
                "balanced accuracy on held-out cases; -1 nothing to ask",
                -1,
                1,
            ),
            "probe_control": Variable(
                ("world", "variable", *_OBSERVED), "f", "1", "the same with shuffled labels; -1 nothing to ask", -1, 1
            ),
        },
        _INTERVENTION_ATTRS,
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
    # Without what a source file was encoded by: it would cut strings to that file's longest.
    dataset = check(finished(dataset, schema), schema, path).drop_encoding()
    write_file(dataset, path, compression(dataset))


def compression(dataset: xr.Dataset) -> dict[str, dict]:
    """Encoding of what is large enough to be compressed, as xarray takes it."""
    return {
        str(name): {"zlib": True, "complevel": 1, "shuffle": True}
        for name, variable in dataset.data_vars.items()
        if variable.size > 1024 and variable.dtype.kind in "fiu"
    }


class _Sink(io.FileIO):
    """A file that takes all that is written and keeps the first error for later.

    HDF5 that meets a full disk raises any of several errors and may then end the process, so it is not told.
    """

    error: OSError | None = None

    def write(self, data: bytes) -> int:
        left = memoryview(data).cast("B")
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return 0


def write_file(dataset: xr.Dataset, path: Path, encoding: dict | None = None, sync: bool = False) -> None:
    """Write a dataset as it is, without a copy in memory; the name appears only when the file is whole.

    Parameters
    ----------
    dataset : Dataset
    path : path
    encoding : dict, optional
        By variable, as xarray takes it.
    sync : bool
        Whether the disk has the file before it has its name.

    Raises
    ------
    Refused
        There is no space for it, or no such folder.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with _Sink(partial, "w+") as file:
            try:
                dataset.to_netcdf(file, engine="h5netcdf", encoding=encoding)
            except Exception:
                # Of a file that lacks what was written to it.
                if file.error is None:
                    raise
            if file.error is not None:
                raise file.error
            if sync:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise Refused(path, "file", f"cannot be written ({error.strerror or error})", "a folder with space") from error
    finally:
        partial.unlink(missing_ok=True)


def read(path: str | Path, schema: str, **part: slice) -> xr.Dataset:
    """Read a dataset into memory and check it.

    Parameters
    ----------
    path : path
    schema : str
    **part : slice
        Positions by dim, where not all is wanted: the rest is neither read nor checked.

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
            loaded = dataset.isel(part).load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise Refused(path, "file", f"unreadable ({error})", f"a {schema} dataset in NetCDF-4") from error
    return check(loaded, schema, path)
