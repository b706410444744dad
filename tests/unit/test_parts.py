"""Parts of a long job: kept when they are finished, made again when anything else decides them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from chainofsteps.experiments.arms import join_groups
from chainofsteps.refusal import Refused
from chainofsteps.sampling.parts import (
    DiskArray,
    Parts,
    case_groups,
    file_hashes,
    join_shards,
    open_part,
    shard_bounds,
    unfinished,
    write_part,
    write_shard,
)


def values(number):
    """A dataset whose variables do not stand in the order in which a file gives them back."""
    return xr.Dataset(
        {"zeta": ("case", np.array([number], np.float32)), "alpha": ("case", np.array(["β"], object))},
        coords={"case": np.array([f"case {number}"], object), "beta": ("case", np.array([1], np.int16))},
        attrs={"made": "here"},
    )


class Maker:
    """Counts how often it is asked."""

    def __init__(self, number=0, then=lambda: None):
        self.calls, self.number, self.then = 0, number, then

    def __call__(self):
        self.calls += 1
        self.then()
        return values(self.number)


def test_a_part_is_made_once_and_is_the_same_whether_made_or_kept(tmp_path):
    maker = Maker()
    made = Parts(tmp_path / "parts", {"seed": 0}).part("one", maker)
    kept = Parts(tmp_path / "parts", {"seed": 0}).part("one", maker)
    assert maker.calls == 1
    for each in (made, kept):
        xr.testing.assert_identical(each, values(0))
        assert list(each.variables) == list(values(0).variables) and not each["zeta"].encoding
        assert each["alpha"].item() == "β"


def test_a_part_of_another_basis_or_name_is_made_again(tmp_path):
    maker = Maker()
    for basis, name in (({"seed": 0}, "one"), ({"seed": 1}, "one"), ({"seed": 1}, "two"), ({"seed": 0}, "one")):
        Parts(tmp_path, basis).part(name, maker)
    assert maker.calls == 4


def test_a_part_that_is_not_finished_leaves_nothing_to_be_taken_for_it(tmp_path):
    def fail():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        Parts(tmp_path, 0).part("one", Maker(then=fail))
    # What stood there was of another basis: its blocks may be gone.
    Parts(tmp_path, 0).part("one", Maker(1))
    with pytest.raises(RuntimeError):
        Parts(tmp_path, 1).part("one", Maker(then=fail))
    maker = Maker(2)
    assert Parts(tmp_path, 0).part("one", maker)["zeta"] == 2 and maker.calls == 1


def test_blocks_stand_where_they_were_put_and_outlive_the_job(tmp_path):
    whole = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    for first in (0, 1):
        array = Parts(tmp_path, 0).array("numbers", whole.shape, whole.dtype)
        for second in (2, 0, 1):
            array.put((first, second), whole[first, second])
    assert np.array_equal(array.whole(), whole)
    with pytest.raises(ValueError, match="shape"):
        array.put((0,), whole[0, 0])
    mapped = array.whole()
    Parts(tmp_path, 0).remove()
    assert np.array_equal(mapped, whole) and not tmp_path.exists()


@pytest.mark.parametrize("change", ["removed", "another size"])
def test_parts_do_not_count_without_their_array(tmp_path, change):
    maker = Maker()
    for shape in ((2, 2), (2, 3) if change == "another size" else (2, 2)):
        parts = Parts(tmp_path, 0)
        parts.array("numbers", shape, np.uint8)
        parts.part("one", maker)
        if change == "removed":
            (tmp_path / "numbers.array").unlink()
    assert maker.calls == 2


def test_a_full_disk_is_an_error_in_a_part(tmp_path):
    array = DiskArray(tmp_path / "numbers", (4,), np.uint8)
    array._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        array.put((0,), np.uint8(1).reshape(()))


def test_a_part_without_a_folder_is_refused(tmp_path):
    parts = Parts(tmp_path / "parts", 0)
    (tmp_path / "parts").rmdir()
    with pytest.raises(Refused, match="cannot be written"):
        parts.part("one", Maker())


@given(st.integers(1, 300), st.integers(1, 5), st.integers(1, 40), st.integers(1, 20))
def test_shards_hold_every_case_once_and_end_where_a_batch_ends(cases, seeds, batch, shards):
    bounds = shard_bounds(cases, seeds, batch, shards)
    assert [first for first, _ in bounds] == [0, *(end for _, end in bounds[:-1])] and bounds[-1][1] == cases
    assert all(first < end for first, end in bounds) and 1 <= len(bounds) <= shards
    assert all(end * seeds % batch == 0 for _, end in bounds[:-1])
    # As many as are wanted, where there are places.
    assert len(bounds) == min(shards, math.ceil(cases * seeds / math.lcm(batch, seeds)))


def test_groups_hold_every_case_once():
    assert case_groups(5, 2) == [(0, 2), (2, 4), (4, 5)] and case_groups(5, 0) == [(0, 5)]


def test_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    before = file_hashes([path])
    path.write_text("two")
    assert before.keys() == file_hashes([path]).keys() == {str(path)} and before != file_hashes([path])


def test_a_written_part_is_opened_as_it_was_and_read_on_demand(tmp_path):
    path = tmp_path / "part.nc"
    write_part(values(3), path, said="something")
    with open_part(path) as part:
        xr.testing.assert_identical(part, values(3).assign_attrs(said="something"))
        assert list(part.variables) == list(values(3).variables)
        assert not isinstance(part["zeta"].variable._data, np.ndarray)
    assert [each.name for each in tmp_path.iterdir()] == ["part.nc"]


@given(bounds=st.lists(st.integers(1, 6), max_size=3).map(lambda each: sorted({0, 7, *each})))
def test_groups_of_cases_are_joined_to_what_they_were(bounds):
    whole = xr.Dataset(
        {
            "zeta": (("case", "arm"), np.arange(14, dtype=np.float32).reshape(7, 2)),
            "erased": ("arm", np.array([0, 1], np.int8)),
        },
        coords={
            "case": np.array([f"case {number}" for number in range(7)], object),
            "difficulty": ("case", np.arange(7, dtype=np.int16)),
            "sigma": ("arm", np.array([1.0, 0.5])),
        },
        attrs={"order": "joint"},
    )
    groups = [whole.isel(case=slice(first, end)) for first, end in itertools.pairwise(bounds)]
    joined = join_groups(groups)
    xr.testing.assert_identical(joined, whole)
    assert list(joined.variables) == list(whole.variables)


def test_shards_are_joined_in_the_order_given(tmp_path):
    paths = [tmp_path / f"shard_{number}.nc" for number in range(3)]
    for number, path in enumerate(paths):
        write_shard(values(number), path)
    for given_order in (paths, paths[::-1]):
        joined = join_shards(given_order, tmp_path / "joining")
        assert joined["case"].values.tolist() == [f"case {path.stem[-1]}" for path in given_order]
        assert joined["zeta"].values.tolist() == [float(path.stem[-1]) for path in given_order]


def test_what_is_unfinished_is_that_of_all_shards(tmp_path):
    names, shards = ["a", "b", "c", "d", "e"], [(0, 2), (2, 4), (4, 5)]
    own = tmp_path / "shard_1.nc"
    assert unfinished(names, tmp_path / "whole.nc") == [0, 1, 2, 3, 4] == unfinished(names, own, shards)
    (tmp_path / "shard_0.nc").touch()
    for job, part in (("shard_1.nc", "d"), ("shard_2.nc", "d"), ("whole.nc", "b")):
        (tmp_path / f"{job}.parts").mkdir()
        (tmp_path / f"{job}.parts" / f"{part}.nc").touch()
    assert unfinished(names, own, shards) == [2, 4]
    assert unfinished(names, tmp_path / "whole.nc") == [0, 2, 3, 4]
