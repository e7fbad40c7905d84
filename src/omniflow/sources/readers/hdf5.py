"""HDF5 files of any layout, by h5py: datasets, and tables that pandas wrote."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from omniflow.errors import InputError
from omniflow.hdf5 import attributes, open_h5, read_dataset, undamaged
from omniflow.sources.description import Description, Table
from omniflow.sources.readers.array_reader import ArrayReader
from omniflow.sources.readers.arrays import Array, Layout

# Kinds of tables of pandas: to_hdf with format="fixed", and with format="table".
_FIXED, _TABLE = "frame", "frame_table"
BLOCK = "values_block_"
_MOST, _DEEPEST = 10_000, 50  # groups; a group can be linked into itself
_PICKLED = (
    "the names of columns in a table of pandas are pickled, which is not read; write it with "
    'to_hdf(..., format="table", data_columns=True), with format="fixed", or as Parquet'
)
_LEVELS = (
    "columns of a table of pandas have names of several levels; give them one name each, "
    "frame.columns = [...], and write it again"
)


def describe(path: str) -> Description | None:
    """Return the datasets of an HDF5 file; None for other files.

    Raises:
        InputError: the file is damaged.
    """
    if not h5py.is_hdf5(path):
        return None
    with open_h5(path) as h5file:
        found = attributes(h5file)
    with Hdf5Reader(path, None, Layout()) as reader:
        table = Table("", reader.count(), tuple(reader.types().items()))
    size = Path(path).stat().st_size
    return Description(path, "HDF5", size, tables=(table,), provenance=found)


class Hdf5Reader(ArrayReader):
    """One file, or a group, structured dataset or table of pandas in it; as `ArrayReader`."""

    def __init__(self, path: str, table: str | None, layout: Layout) -> None:
        """Open a file.

        Raises:
            InputError: the file is missing, truncated or no HDF5, or has no such table, or one
                whose columns cannot be told.
        """
        with ExitStack() as stack:
            self._file = stack.enter_context(open_h5(path))
            if table is None:
                item, where = _only_table(self._file), path
            else:
                item, where = _named(path, self._file, table), f"{path}:{table}"
            self._groups = 0
            self._paths: dict[str, str] = {}  # of datasets, by the name of their array
            super().__init__(where, list(self._found(item)), layout)
            self._stack = stack.pop_all()

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows start to stop of an array.

        Raises:
            InputError: they cannot be read, or lie in another file that is missing.
        """
        with undamaged(self.where):
            return read_dataset(self._file, self._paths[name], rows=slice(start, stop))

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def aligned(self, names: Iterable[str], rows: int) -> int:
        """Return about `rows`, whole chunks of the file, each of which is decompressed at once."""
        chunks = (self._file[self._paths[name]].chunks for name in names)
        chunk = max((shape[0] for shape in chunks if shape), default=1)
        return max(rows // chunk, 1) * chunk

    def _found(self, item: h5py.Group | h5py.Dataset) -> Iterator[Array]:
        """Yield the arrays of a table; their names begin within it."""
        if isinstance(item, h5py.Group):
            yield from self._of_group(item, "")
        else:
            array = self._array(item, item.name.rpartition("/")[2])
            yield replace(array, prefix="") if item.dtype.names else array

    def _of_group(self, group: h5py.Group, prefix: str, depth: int = 0) -> Iterator[Array]:
        self._groups += 1
        if self._groups > _MOST or depth > _DEEPEST:
            raise InputError(
                f"{self._file.filename}: {group.name}: there are more than {_MOST:,} groups, or "
                f"more than {_DEEPEST} within each other, or groups that hold themselves by links; "
                "name one by `table`, or write a file without"
            )
        kind = _text(group.attrs.get("pandas_type"))
        if kind == _FIXED:
            yield from self._of_fixed(group, prefix)
        elif kind == _TABLE and isinstance(group.get("table"), h5py.Dataset):
            array = self._array(group["table"], f"{prefix}table")
            if any(name.startswith(BLOCK) for name in array.dtype.names or ()):
                self.hint = _PICKLED
            yield replace(array, prefix=prefix)
        else:
            for key in group:
                item = group.get(key)  # None: a link to what is not there
                if isinstance(item, h5py.Group):
                    yield from self._of_group(item, f"{prefix}{key}.", depth + 1)
                elif isinstance(item, h5py.Dataset):
                    yield self._array(item, f"{prefix}{key}")

    def _of_fixed(self, group: h5py.Group, prefix: str) -> Iterator[Array]:
        """Yield the blocks of columns of a table of pandas, and its index."""
        if _text(group.attrs.get("axis0_variety")) != "regular":
            self.hint = _LEVELS
            return
        for at in range(min(int(group.attrs.get("nblocks", 0)), len(group))):
            items, values = (group.get(f"block{at}_{part}") for part in ("items", "values"))
            if isinstance(items, h5py.Dataset) and isinstance(values, h5py.Dataset):
                labels = tuple(map(_label, read_dataset(self._file, items.name)))
                array = self._array(values, f"{prefix}block{at}_values")
                if array.dtype.hasobject:  # text, pickled as a whole
                    array = replace(array, shape=(0, len(labels)))
                yield replace(array, labels=labels, prefix=prefix)
        if isinstance(group.get("axis1"), h5py.Dataset):
            yield self._array(group["axis1"], f"{prefix}index")

    def _array(self, dataset: h5py.Dataset, name: str) -> Array:
        self._paths[name] = dataset.name
        shape = dataset.shape or ()
        if "shape" in dataset.attrs:  # pandas puts one number in place of an empty block
            shape = (0, *shape[1:])
        return Array(name, shape, dataset.dtype)


def _only_table(h5file: h5py.File) -> h5py.Group | h5py.Dataset:
    """Return the file's table of pandas or structured dataset, if it holds nothing else."""
    item: h5py.Group | h5py.Dataset = h5file
    while isinstance(item, h5py.Group) and len(item) == 1 and "pandas_type" not in item.attrs:
        inner = item.get(next(iter(item)))
        if inner is None:
            return h5file
        item = inner
    table = item.dtype.names if isinstance(item, h5py.Dataset) else "pandas_type" in item.attrs
    return item if table else h5file


def _named(path: str, h5file: h5py.File, table: str) -> h5py.Group | h5py.Dataset:
    """Return the group or dataset with a name, in which dots may stand for slashes."""
    for name in (table, table.replace(".", "/")):
        item = h5file.get(name)
        if isinstance(item, h5py.Group | h5py.Dataset):
            return item
    there: list[str] = []
    h5file.visititems(lambda name, item: there.append(name) if _is_table(item) else None)
    near = difflib.get_close_matches(table, there, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(
        f"{path}: has no table {table!r}; {hint}it has {', '.join(there[:20]) or 'no group'}"
    )


def _is_table(item: object) -> bool:
    return isinstance(item, h5py.Group) or bool(getattr(item, "dtype", np.dtype("f4")).names)


def _text(value: object) -> str | None:
    """Return an attribute as text."""
    return None if value is None else _label(value)


def _label(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
