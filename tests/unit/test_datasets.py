"""Datasets: what is written is read again, byte for byte the same; what breaks its schema is refused by name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from chainofsteps import datasets
from chainofsteps.readout.cases import case_dataset
from chainofsteps.refusal import Refused


@pytest.fixture(scope="module")
def cases() -> xr.Dataset:
    return case_dataset("maze", "pilot", 0, 6)


@pytest.fixture(scope="module")
def whole(cases) -> xr.Dataset:
    """The cases with their units, names and coordinates; not to be changed."""
    return datasets.finished(cases, "cases")


@pytest.fixture
def refused(tmp_path):
    """``refused(path or dataset)``: the line with which reading it is refused.

    A dataset is put on disk by xarray alone: the project's own writer would refuse it first.
    """

    def ask(given: Path | xr.Dataset) -> str:
        path = tmp_path / "cases.nc" if isinstance(given, xr.Dataset) else given
        if isinstance(given, xr.Dataset):
            path.write_bytes(given.to_netcdf(None, engine="h5netcdf"))
            with pytest.raises(Refused):
                datasets.check(given, "cases", path)
        with pytest.raises(Refused) as caught:
            datasets.read(path, "cases")
        line = str(caught.value)
        assert "\n" not in line
        assert line.startswith(f"{path}: ")
        return line.removeprefix(f"{path}: ")

    return ask


def changed(dataset: xr.Dataset, name: str, array: xr.DataArray) -> xr.Dataset:
    """The dataset with another array under a name, which keeps the old one's units and long_name."""
    return dataset.drop_vars(name).assign({name: array.assign_attrs(dataset[name].attrs)})


# Round trip


def test_what_is_written_is_read(cases, tmp_path):
    datasets.write(cases, tmp_path / "cases.nc", "cases")
    again = datasets.read(tmp_path / "cases.nc", "cases")
    assert set(again.variables) >= set(cases.variables)
    for name in cases.data_vars:
        assert np.array_equal(again[name], cases[name]), name
        assert again[name].attrs["units"] and again[name].attrs["long_name"], name
    assert again.attrs == cases.attrs
    assert set(again.coords) == {*again.dims, "difficulty"}
    assert again["frame"].values.tolist() == list(range(9))
    assert os.listdir(tmp_path) == ["cases.nc"]


def test_a_part_is_read_alone(cases, tmp_path):
    datasets.write(cases, tmp_path / "cases.nc", "cases")
    part = datasets.read(tmp_path / "cases.nc", "cases", case=slice(2, 4), frame=slice(1))
    xr.testing.assert_identical(part, datasets.read(tmp_path / "cases.nc", "cases").isel(case=slice(2, 4), frame=[0]))
    with pytest.raises(Refused, match=r"unreadable .*seed.*accepted: a cases dataset"):
        datasets.read(tmp_path / "cases.nc", "cases", seed=slice(1))


def test_dtypes_survive(cases, tmp_path):
    datasets.write(cases, tmp_path / "cases.nc", "cases")
    again = datasets.read(tmp_path / "cases.nc", "cases")
    for name in ("case_seed", "difficulty", "plan", "first_frame", "ground_truth"):
        assert again[name].dtype == cases[name].dtype, name


def test_a_dataset_that_was_read_can_be_written(cases, tmp_path):
    first, second = tmp_path / "first.nc", tmp_path / "second.nc"
    datasets.write(cases, first, "cases")
    datasets.write(datasets.read(first, "cases"), second, "cases")
    assert datasets.read(second, "cases").identical(datasets.read(first, "cases"))


def test_longer_names_than_in_the_file_that_was_read_stay_whole(cases, tmp_path):
    datasets.write(cases, tmp_path / "a.nc", "cases")
    read = datasets.read(tmp_path / "a.nc", "cases")
    longer = [f"{name}-and-longer" for name in read["case"].values]
    renamed = read.copy()
    # In place, as a concatenation of files does: the coordinate keeps the encoding of the first.
    renamed["case"] = ("case", np.array(longer, object), read["case"].attrs, read["case"].encoding)
    datasets.write(renamed, tmp_path / "b.nc", "cases")
    assert datasets.read(tmp_path / "b.nc", "cases")["case"].values.tolist() == longer


def test_writing_leaves_the_dataset_as_it_was(tmp_path):
    dataset = case_dataset("maze", "pilot", 0, 3)
    before = dataset.copy(deep=True)
    datasets.write(dataset, tmp_path / "cases.nc", "cases")
    assert dataset.identical(before)


def test_writing_replaces_what_was_there(cases, tmp_path):
    path = tmp_path / "cases.nc"
    path.write_text("an older file")
    datasets.write(cases, path, "cases")
    datasets.read(path, "cases")


def test_same_data_give_the_same_bytes_in_any_folder_and_process(cases, tmp_path):
    elsewhere = tmp_path / "a folder with another name"
    elsewhere.mkdir()
    paths = [tmp_path / "one.nc", tmp_path / "two.nc", elsewhere / "three.nc"]
    for path in paths:
        datasets.write(cases, path, "cases")
    code = (
        "from chainofsteps import datasets; from chainofsteps.readout.cases import case_dataset;"
        "datasets.write(case_dataset('maze', 'pilot', 0, 6), 'four.nc', 'cases')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=elsewhere, env=environment(), check=True)
    paths.append(elsewhere / "four.nc")
    assert len({path.read_bytes() for path in paths}) == 1


def environment() -> dict[str, str]:
    """Environment of a subprocess that imports what this process can import, and hashes in another way."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "7"}


def test_nothing_of_the_machine_is_inside(cases, tmp_path):
    datasets.write(cases, tmp_path / "cases.nc", "cases")
    content = (tmp_path / "cases.nc").read_bytes()
    assert str(tmp_path).encode() not in content
    assert str(Path.home()).encode() not in content


def test_hash_of_the_settings_is_that_of_their_content():
    one = datasets.attributes({"steps": 20, "order": "joint"}, family="maze")
    same = datasets.attributes({"order": "joint", "steps": 20}, family="maze")
    other = datasets.attributes({"order": "joint", "steps": 21}, family="maze")
    assert one == same
    assert one["config_hash"] != other["config_hash"]
    assert one["schema_version"] == datasets.SCHEMA_VERSION


# Each schema


@pytest.mark.parametrize("schema", datasets.SCHEMAS)
def test_schema_knows_every_dim_it_names(schema):
    variables, _ = datasets.SCHEMAS[schema]
    for name, variable in variables.items():
        assert set(variable.dims) <= set(datasets.COORDINATES), name
        assert variable.units and variable.long_name, name
    for dim, variable in datasets.COORDINATES.items():
        assert variable.dims == (dim,)


@pytest.mark.parametrize("schema", datasets.SCHEMAS)
def test_schema_accepts_what_it_describes(schema, tmp_path):
    variables, attrs = datasets.SCHEMAS[schema]
    dtypes = {"f": np.float32, "i": np.int16, "u": np.uint8, "O": object}

    def filled(variable: datasets.Variable) -> np.ndarray:
        shape = (2,) * len(variable.dims)
        least = max(variable.minimum or 0, 0)
        return np.full(shape, "a" if variable.kind == "O" else least, dtypes[variable.kind])

    texts = {dim: np.array(["a", "b"], object) for dim, each in datasets.COORDINATES.items() if each.kind == "O"}
    dims = {dim for variable in variables.values() for dim in variable.dims}
    dataset = xr.Dataset(
        {name: (variable.dims, filled(variable)) for name, variable in variables.items()},
        coords={dim: text for dim, text in texts.items() if dim in dims},
        attrs=datasets.attributes({}, **dict.fromkeys(attrs, "a")),
    )
    datasets.write(dataset, tmp_path / "any.nc", schema)
    datasets.read(tmp_path / "any.nc", schema)


# Refused: the schema


@pytest.mark.parametrize("name", ["plan", "ground_truth", "world"])
def test_missing_variable(whole, refused, name):
    line = refused(whole.drop_vars(name))
    assert line.startswith(f"variable {name}: given nothing; accepted: dims ('case',")


def test_extra_variable(whole, refused):
    line = refused(whole.assign(score=("case", np.ones(6))))
    assert line.startswith("variable score: given not in the schema; accepted: case_seed, difficulty")


def test_wrong_dim(whole, refused):
    frames = whole["plan"].rename(frame="step")
    line = refused(changed(whole, "plan", frames))
    assert line == "variable plan dims: given ('case', 'step'); accepted: ('case', 'frame')"


def test_dims_in_another_order(whole, refused):
    line = refused(changed(whole, "plan", whole["plan"].T))
    assert line == "variable plan dims: given ('frame', 'case'); accepted: ('case', 'frame')"


def test_missing_dim(whole, refused):
    line = refused(changed(whole, "plan", whole["plan"].isel(frame=0, drop=True)))
    assert line == "variable plan dims: given ('case',); accepted: ('case', 'frame')"


def test_unknown_dim(whole, refused):
    line = refused(whole.assign_coords(depth_of=("depth_of", [0, 1])))
    assert line.startswith("dim depth_of: given not in the schema; accepted: case, seed, step")


def test_wrong_dtype(whole, refused):
    line = refused(changed(whole, "plan", whole["plan"].astype(np.float32)))
    assert line == "variable plan dtype: given float32; accepted: kind 'i'"


def test_missing_coordinate(whole, refused):
    assert refused(whole.drop_vars("frame")).startswith("coordinate frame: given nothing; accepted: a coordinate")


def test_repeated_coordinate(whole, refused):
    twice = whole["case"].copy(data=np.array(["maze-3-1"] * 6, object))
    line = refused(whole.assign_coords(case=twice))
    assert line == "coordinate case: given repeated values; accepted: each value once"


def test_empty_dim(whole, refused):
    assert refused(whole.isel(case=slice(0))).startswith("dim case: given size 0; accepted: at least 1")


@pytest.mark.parametrize(("attribute", "accepted"), [("units", "1"), ("long_name", "difficulty")])
def test_wrong_units_or_name(whole, refused, attribute, accepted):
    wrong = whole.copy()
    wrong["difficulty"].attrs[attribute] = "furlong"
    assert refused(wrong).startswith(f"variable difficulty {attribute}: given furlong; accepted: {accepted}")


def test_units_of_a_coordinate(whole, refused):
    wrong = whole.copy()
    wrong["x"].attrs["units"] = "m"
    assert refused(wrong) == "coordinate x units: given m; accepted: pixel"


def test_out_of_range(whole, refused):
    below = whole["plan"].where(whole["frame"] > 0, -1)
    assert refused(changed(whole, "plan", below)) == (
        f"variable plan: given values from -1 to {below.max().item()}; accepted: at least 0"
    )


@pytest.mark.parametrize("attribute", ["schema_version", "config_hash", "family", "purpose"])
def test_missing_attribute(whole, refused, attribute):
    wrong = whole.copy()
    del wrong.attrs[attribute]
    assert refused(wrong) == f"attribute {attribute}: given nothing; accepted: a string"


def test_wrong_schema_version(whole, refused):
    line = refused(whole.assign_attrs(schema_version="0"))
    assert line == f"attribute schema_version: given 0; accepted: {datasets.SCHEMA_VERSION}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite(value):
    variable = datasets.SCHEMAS["features"][0]["sigma"]
    sigma = np.full((3, 9), 0.5, np.float32)
    sigma[1, 4] = value
    attrs = {"units": variable.units, "long_name": variable.long_name}
    dataset = xr.Dataset({"sigma": (variable.dims, sigma, attrs)}).assign_attrs(
        datasets.attributes({}, **dict.fromkeys(datasets.SCHEMAS["features"][1], "a"))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.SCHEMAS, "noise", ({"sigma": variable}, ()))
        with pytest.raises(Refused, match=r"noise\.nc: variable sigma: given NaN or infinity; accepted: finite"):
            datasets.check(datasets.finished(dataset, "noise"), "noise", "noise.nc")


def test_writer_refuses_before_it_writes(cases, tmp_path):
    with pytest.raises(Refused, match="variable plan"):
        datasets.write(cases.drop_vars("plan"), tmp_path / "cases.nc", "cases")
    assert not os.listdir(tmp_path)


# Refused: the file


def test_missing_file(refused, tmp_path):
    assert refused(tmp_path / "nowhere.nc") == "file: given nothing; accepted: a cases dataset"


@pytest.mark.parametrize(
    "content", [b"", b"no dataset at all", b"CDF\x01" + bytes(64), b"\x89HDF\r\n\x1a\n" + bytes(9)]
)
def test_not_a_netcdf_file(refused, tmp_path, content):
    path = tmp_path / "cases.nc"
    path.write_bytes(content)
    line = refused(path)
    assert line.startswith("file: given unreadable (")
    assert line.endswith("; accepted: a cases dataset in NetCDF-4")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_file(cases, refused, tmp_path, share):
    path = tmp_path / "cases.nc"
    datasets.write(cases, path, "cases")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert refused(path).startswith("file: given unreadable (")


# h5netcdf complains of a file it never opened when it lets go of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_damaged_file_is_read_or_refused_and_nothing_else(cases, tmp_path):
    path = tmp_path / "cases.nc"
    datasets.write(cases, path, "cases")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refusals = 0
    for start in rng.integers(len(content) - 64, size=16):
        path.write_bytes(content[:start] + rng.bytes(64) + content[start + 64 :])
        try:
            datasets.read(path, "cases")
        except Refused:
            refusals += 1
    assert refusals > 4


# Refused: no space


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("target", ["os.replace", "xarray.Dataset.to_netcdf"])
def test_full_disk_leaves_nothing(cases, tmp_path, monkeypatch, target):
    monkeypatch.setattr(target, no_space)
    path = tmp_path / "cases.nc"
    with pytest.raises(Refused) as caught:
        datasets.write(cases, path, "cases")
    assert str(caught.value) == (
        f"{path}: file: given cannot be written (No space left on device); accepted: a folder with space"
    )
    assert not os.listdir(tmp_path)


def test_full_disk_keeps_the_older_file(cases, tmp_path, monkeypatch):
    path = tmp_path / "cases.nc"
    datasets.write(cases, path, "cases")
    content = path.read_bytes()
    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(Refused):
        datasets.write(cases, path, "cases")
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["cases.nc"]


@pytest.mark.parametrize("limit", [0, 1000, 20000])
def test_real_limit_is_refused_in_one_line_and_the_process_ends_well(tmp_path, limit):
    code = f"""
import resource
from chainofsteps import datasets
from chainofsteps.readout.cases import case_dataset
from chainofsteps.refusal import Refused

cases = case_dataset("maze", "pilot", 0, 6)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    datasets.write(cases, "cases.nc", "cases")
except Refused as error:
    raise SystemExit(f"refused: {{error}}")
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr == (
        "refused: cases.nc: file: given cannot be written (File too large); accepted: a folder with space\n"
    )
    assert not os.listdir(tmp_path)


def test_missing_folder(cases, tmp_path):
    with pytest.raises(Refused, match="cannot be written"):
        datasets.write(cases, tmp_path / "nowhere" / "cases.nc", "cases")


def test_a_map_of_a_file_is_written_without_a_copy_in_memory_and_with_the_same_bytes(tmp_path):
    shape = (64, 1, 4, 9, 32, 32, 3)
    values = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    values.tofile(tmp_path / "array")
    mapped = np.memmap(tmp_path / "array", np.uint8, "r", shape=shape)
    dims = ("case", "seed", "step", "frame", "y", "x", "channel")
    tracemalloc.start()
    datasets.write_file(xr.Dataset({"estimate": (dims, mapped)}), tmp_path / "mapped.nc")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes / 2
    datasets.write_file(xr.Dataset({"estimate": (dims, values)}), tmp_path / "held.nc")
    assert (tmp_path / "mapped.nc").read_bytes() == (tmp_path / "held.nc").read_bytes()
