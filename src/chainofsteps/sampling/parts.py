"""What a long job has finished stands on the disk at once: a job that was killed goes on from there. No torch here."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import xarray as xr

from chainofsteps import datasets

_BASIS, _ORDER, _HASHES = "basis", "order_of_variables", "hashes_of_parts"
_RESERVED = "reserved.bytes"


def file_hashes(paths: Iterable[str | Path]) -> dict[str, str]:
    """sha256 (hexadecimal) of files, by name: what a part was made from."""
    hashes = {}
    for path in paths:
        with Path(path).open("rb") as file:
            hashes[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def share_out(count: int, shards: int) -> list[tuple[int, int]]:
    """First of so many things, and the one behind the last, of each shard; fewer shards where things are fewer."""
    shards = min(shards, count)
    return [(count * n // shards, count * (n + 1) // shards) for n in range(shards)]


def shard_bounds(cases: int, seeds: int, batch: int, shards: int) -> list[tuple[int, int]]:
    """Cut cases into shards where a batch of streams ends with a case: the same batches, however many shards.

    Parameters
    ----------
    cases, seeds : int
        Of one run; its streams are the seeds of each case, side by side.
    batch : int
        Streams denoised at once.
    shards : int
        Wanted; there are fewer where there are fewer such places.

    Returns
    -------
    list of tuple of int
        First case, and the one behind the last, of each shard.
    """
    unit = math.lcm(batch, seeds) // seeds
    return [(first * unit, min(end * unit, cases)) for first, end in share_out(-(-cases // unit), shards)]


def case_groups(cases: int, at_once: int) -> list[tuple[int, int]]:
    """First case, and the one behind the last, of each group of so many cases; 0: one group."""
    size = at_once or cases
    return [(first, min(first + size, cases)) for first in range(0, cases, size)]


def cases_a_batch(batch: int, seeds: int) -> int:
    """Cases whose streams, one a seed, fill a batch; one where it has more."""
    return max(1, batch // seeds)


def ordered(dataset: xr.Dataset, names: Iterable[str]) -> xr.Dataset:
    """A dataset with its variables in this order: it decides the bytes of what is made from them."""
    made = xr.Dataset(attrs=dataset.attrs)
    for name in names:
        variable = dataset.variables[name]
        made = made.assign_coords({name: variable}) if name in dataset.coords else made.assign({name: variable})
    return made


def write_part(dataset: xr.Dataset, path: str | Path, **attrs: str) -> None:
    """Keep a dataset that others are joined to, in the order of its variables and without a schema's attributes.

    Raises
    ------
    Refused
        See :func:`chainofsteps.datasets.write_file`.
    """
    dataset = dataset.assign_attrs(attrs, **{_ORDER: json.dumps([*dataset.variables])}).drop_encoding()
    datasets.write_file(dataset, Path(path), datasets.compression(dataset), sync=True)


@contextmanager
def open_part(path: str | Path) -> Iterator[xr.Dataset]:
    """A dataset that `write_part` has kept; its values are read when they are asked for."""
    with xr.open_dataset(path, engine="h5netcdf", cache=False) as dataset:
        dataset = dataset.drop_encoding()
        yield ordered(dataset, json.loads(dataset.attrs.pop(_ORDER)))


class DiskArray:
    """An array in a file: written block by block, read through a map, so that it takes no memory of its own.

    Blocks are written, not mapped: a full disk is then an error, where a mapped write would end the process.

    Parameters
    ----------
    path : path
        The bare numbers in C order; what stands in the file is kept.
    shape : tuple of int
    dtype : numpy dtype
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype | type):
        self._path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self._file = io.FileIO(path, "r+b" if path.exists() else "w+b")
        self._file.truncate(math.prod(shape) * self.dtype.itemsize)

    def put(self, index: tuple[int, ...], block: np.ndarray) -> None:
        """Write the block at an index of the leading dims.

        Parameters
        ----------
        index : tuple of int
        block : ndarray
            Of the remaining dims' shape.
        """
        lead, rest = self.shape[: len(index)], self.shape[len(index) :]
        if block.shape != rest:
            raise ValueError(f"{self._path.name}: a block of shape {block.shape} where one of {rest} belongs")
        self._file.seek(int(np.ravel_multi_index(index, lead)) * math.prod(rest) * self.dtype.itemsize)
        left = memoryview(np.ascontiguousarray(block, self.dtype).reshape(-1).view(np.uint8))
        while left:
            left = left[self._file.write(left) :]

    def sync(self) -> None:
        """Return once the disk has what was written."""
        os.fsync(self._file.fileno())

    def whole(self) -> np.ndarray:
        """All of it, read-only; it stays readable when the file is removed."""
        return np.memmap(self._path, self.dtype, "r", shape=self.shape)


class Parts:
    """Finished parts of one job, in a folder beside its output; Snakemake deletes the output of a failed job only.

    Parameters
    ----------
    folder : path
        Files that belong to a part may stand there, too, under names of their own.
    basis : object
        Everything that decides the parts, as JSON: one made from anything else is made again.
    """

    def __init__(self, folder: str | Path, basis: object):
        self.folder, self._basis = Path(folder), json.dumps(basis, sort_keys=True, default=str)
        self._arrays: list[DiskArray] = []
        self.folder.mkdir(parents=True, exist_ok=True)

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype | type) -> DiskArray:
        """An array that parts write their blocks to; a block counts once its part is finished."""
        path = self.folder / f"{name}.array"
        if not path.exists() or path.stat().st_size != math.prod(shape) * np.dtype(dtype).itemsize:
            # The parts that are there had their blocks elsewhere.
            for part in self.folder.glob("*.nc"):
                part.unlink()
        array = DiskArray(path, shape, dtype)
        self._arrays.append(array)
        return array

    def part(self, name: str, make: Callable[[], xr.Dataset]) -> xr.Dataset:
        """A part as it was kept, or else made and kept.

        Parameters
        ----------
        name : str
            Unique in the job.
        make : callable
            Writes the part's blocks of the arrays and returns what else belongs to it.

        Returns
        -------
        Dataset
            The same whether it was made or kept.
        """
        path = self.folder / f"{name}.nc"
        basis = hashlib.sha256(f"{name} {self._basis}".encode()).hexdigest()
        if not path.exists() or (kept := _load(path)).attrs.pop(_BASIS, None) != basis:
            # What stands there is of other settings, and its blocks are about to be written over.
            path.unlink(missing_ok=True)
            made = make()
            for array in self._arrays:
                array.sync()
            write_part(made, path, **{_BASIS: basis})
            kept = _load(path)
            del kept.attrs[_BASIS]
        return kept

    def reserve(self, size: int) -> None:
        """Say to other jobs how many bytes the arrays will take."""
        (self.folder / _RESERVED).write_text(str(size))

    def remove(self) -> None:
        """Take the folder away, once the output stands under its name."""
        shutil.rmtree(self.folder)


def reserved_bytes(root: Path) -> int:
    """What jobs below a folder have reserved and not yet written."""
    left = 0
    # Others come and go meanwhile; `walk`, unlike `rglob`, passes over folders that are no longer there.
    for folder, _, files in os.walk(root):
        if _RESERVED not in files:
            continue
        with suppress(FileNotFoundError):
            # An array has its full length from the start, and takes room on the disk block by block.
            held = sum(array.stat().st_blocks * 512 for array in Path(folder).glob("*.array"))
            left += max(0, int(Path(folder, _RESERVED).read_text() or 0) - held)
    return left


def unfinished(names: Sequence[str], output: str | Path, shards: Sequence[tuple[int, int]] | None = None) -> list[int]:
    """Which parts are still to be made, by this job and, where it is a shard, by all the others.

    Parameters
    ----------
    names : sequence of str
        Of the parts of the run.
    output : path
        Of this job.
    shards : sequence of tuple of int, optional
        First part, and the one behind the last, of each shard; their outputs stand beside one another.

    Returns
    -------
    list of int
        Positions of parts that neither are kept nor stand in the output of their shard.
    """
    output = Path(output)
    jobs = {output: (0, len(names))}
    if shards:
        jobs = {output.with_name(f"shard_{number}.nc"): bounds for number, bounds in enumerate(shards)}
    return [
        position
        for job, (first, end) in jobs.items()
        if not job.exists()
        for position in range(first, end)
        if not Path(f"{job}.parts", f"{names[position]}.nc").exists()
    ]


def gather(folders: Iterable[str | Path], target: Path) -> Path:
    """Copy what folders hold into one, and nothing of an earlier attempt; it is returned."""
    shutil.rmtree(target, ignore_errors=True)
    for folder in folders:
        shutil.copytree(folder, target, dirs_exist_ok=True)
    return target


def _load(path: Path) -> xr.Dataset:
    with open_part(path) as dataset:
        return dataset.load()


def write_shard(dataset: xr.Dataset, path: str | Path, hashes: dict[str, object] | None = None) -> None:
    """Keep what a shard of the cases gave.

    Parameters
    ----------
    dataset : Dataset
        What the run would give, had it no other cases.
    path : path
    hashes : dict, optional
        What the configuration's hash of the whole is made of, by name, where that of a shard does not say it: the hash
        of each world, or group of cases.

    Raises
    ------
    Refused
        See :func:`chainofsteps.datasets.write_file`.
    """
    write_part(dataset, path, **({} if hashes is None else {_HASHES: json.dumps(hashes)}))


def join_shards(paths: Sequence[str | Path], folder: str | Path) -> xr.Dataset:
    """What the run would have given in one piece.

    Parameters
    ----------
    paths : sequence of path
        As `write_shard` has made them, in the order of their cases.
    folder : path
        Where large variables lie until the dataset is written; to be removed then.

    Returns
    -------
    Dataset
        Cases (and worlds) behind one another; its large variables are maps of files, filled case by case.
    """
    parts = Parts(folder, None)
    with ExitStack() as stack:
        shards = [stack.enter_context(open_part(path)) for path in paths]
        first, *_ = shards
        joined = xr.Dataset(attrs=first.attrs)
        hashes: dict[str, object] = {}
        for shard in shards:
            given = json.loads(shard.attrs.get(_HASHES, "{}"))
            # What all shards name comes behind what each one adds, as in a run of one piece.
            hashes = {name: value for name, value in hashes.items() if name not in given} | given
        for name, variable in first.variables.items():
            if variable.dims[:1] in (("case",), ("world",)):
                variable = _stacked([shard.variables[name] for shard in shards], parts, str(name))
            variable = variable.load()
            joined = joined.assign_coords({name: variable}) if name in first.coords else joined.assign({name: variable})
    if joined.attrs.pop(_HASHES, None) is not None:
        joined.attrs |= datasets.attributes(list(hashes.values()))
    return joined


def _stacked(pieces: Sequence[xr.Variable], parts: Parts, name: str) -> xr.Variable:
    """Pieces behind one another along their first dim; in a file where they are large."""
    first, *_ = pieces
    if first.ndim == 1 or first.dims[0] == "world":
        values = np.concatenate([piece.values for piece in pieces])
    else:
        count = sum(len(piece) for piece in pieces)
        array = parts.array(name, (count, *first.shape[1:]), first.dtype)
        rows = (piece[number].values for piece in pieces for number in range(len(piece)))
        for number, row in enumerate(rows):
            array.put((number,), row)
        values = array.whole()
    return xr.Variable(first.dims, values, first.attrs)
