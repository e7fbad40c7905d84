"""Content: what a file holds, as far as drafts need to know."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from omniflow.drafts import names
from omniflow.drafts.arrays import layout as of_arrays
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.expressions import Values
from omniflow.hdf5 import open_h5
from omniflow.sources.readers import hdf5, npz, parquet, root
from omniflow.sources.readers.array_reader import ArrayReader
from omniflow.sources.readers.arrays import Array, Layout
from omniflow.sources.readers.reader import Reader, begins_with, refuse_missing

# Records that are looked at; of columns of particles those that are read at once.
RECORDS = 100_000


@dataclass(frozen=True)
class Table:
    """A table of a file.

    Attributes:
        path: of the file.
        source: what reads it (`root`, `parquet`, `hdf5`, `npz`).
        name: of the tree or table; None: it has none.
        entries: number of records.
        names: of the columns.
        arrays: of HDF5 and npz files, by name.
        layout: what is to be said of them.
    """

    path: str
    source: str
    name: str | None
    entries: int
    names: tuple[str, ...]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)

    def has(self, *names: str) -> bool:
        """Return whether there are columns of these names."""
        return set(names) <= self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    def values(self, names: Iterable[str], layout: Layout | None = None) -> dict[str, Values]:
        """Return the first records of columns; those that hold no numbers are left out.

        Args:
            names: of the columns.
            layout: what is said of arrays (HDF5, npz).
        """
        found = {}
        with opened(self.path, self.source, self.name, layout) as reader:
            last = min(self.entries, RECORDS)
            for name in names:
                try:
                    found[name] = next(reader.chunks([name], 0, last), (0, {}))[1][name]
                except (InputError, KeyError):
                    continue  # text, or lists of lists
        return found

    def together(self, names: Collection[str]) -> dict[str, np.ndarray]:
        """Return whole columns of events, for what must be true of all of them.

        Args:
            names: of the columns.

        Returns:
            (n,) values by name.
        """
        with opened(self.path, self.source, self.name) as reader:
            parts = [columns for _, columns in reader.chunks(list(names), 0, self.entries)]
        return {name: np.concatenate([part[name].array for part in parts]) for name in names}


@dataclass(frozen=True)
class Content:
    """A file and its tables, the longest first.

    Attributes:
        path: of the file.
        source: what reads it, or `store` for an event store.
        tables: its tables.
    """

    path: str
    source: str
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table | None:
        """Return the table of a name, whatever cycle or folder it has."""
        for each in self.tables:
            if each.name is not None and each.name.rpartition("/")[2] == name:
                return each
        return None


def opened(path: str, source: str, table: str | None, layout: Layout | None = None) -> Reader:
    """Return a reader of a table."""
    if source == "root":
        return root.RootReader(path, table)
    if source == "parquet":
        return parquet.ParquetReader(path, None)
    reader = hdf5.Hdf5Reader if source == "hdf5" else npz.NpzReader
    return reader(path, table, layout or Layout())


def look(path: str) -> Content:
    """Return what is in a file.

    Raises:
        InputError: it is missing, damaged, of another format, or holds no columns or no records.
    """
    refuse_missing(path)
    if store.recognises(path):
        return _checked(Content(path, "store", (_table(path, "hdf5", None),)))
    if begins_with(path, b"root"):
        with root.opened(path) as file:
            # Tables of ALICE lie in one folder for each of the files that were merged.
            named = (re.sub(r"(^|/)DF_\d+/", r"\1DF_*/", name) for name in root.trees(file))
            names = list(dict.fromkeys(named))
        tables = [_table(path, "root", name) for name in names]
        tables = sorted(tables, key=lambda table: -table.entries)
        return _checked(Content(path, "root", tuple(tables)))
    if begins_with(path, b"PAR1"):
        return _checked(Content(path, "parquet", (_table(path, "parquet", None),)))
    if begins_with(path, b"PK"):
        return _checked(Content(path, "npz", (_table(path, "npz", None),)))
    if h5py.is_hdf5(path):
        return _checked(Content(path, "hdf5", tuple(_of_hdf5(path))))
    kind = Path(path).suffix.lower()
    more = {
        ".csv": "; write it as Parquet first: pandas.read_csv(...).to_parquet(...)",
        ".npy": "; put its arrays into one file with names: numpy.savez(...)",
        ".pkl": "; pickles are not read: write it as Parquet, to_parquet(...)",
        ".pickle": "; pickles are not read: write it as Parquet, to_parquet(...)",
        ".json": "; write it as Parquet or npz",
    }.get(kind, "; check the path")
    raise InputError(f"{path}: is none of ROOT, Parquet, HDF5 and npz, which are read{more}")


def _table(path: str, source: str, name: str | None) -> Table:
    with opened(path, source, name) as reader:
        found = reader.names()
        if reader.hint and all(n == "index" or hdf5.BLOCK in n for n in found):
            raise InputError(f"{path}: {reader.hint}")
        known = set(found)
        short = {n: {n.rpartition("/")[2], n.replace("/", ".")} - {n} for n in found if "/" in n}
        once = tuple(n for n in found if not short.get(n, set()) & known)
        if isinstance(reader, ArrayReader):
            layout, events = of_arrays(reader)
            return Table(path, source, name, events, once, reader.arrays, layout)
        return Table(path, source, name, reader.count(), once)


def _of_hdf5(path: str) -> list[Table]:
    """Return the tables of a file: groups whose arrays have other lengths are tables apart."""
    with open_h5(path) as file:
        groups = [key for key in file if isinstance(file.get(key), h5py.Group)]
        compound = [
            key for key in file if isinstance(file.get(key), h5py.Dataset) and file[key].dtype.names
        ]
        apart = groups + compound
        # Groups of one event store or one set of arrays share their lengths.
        whole = len(apart) < 2
    if not whole:
        tables = [_table(path, "hdf5", name) for name in apart]
        tables = [table for table in tables if table.names]
        called = {word for name in apart for _, _, word in names.words(name)}
        if len({table.entries for table in tables}) > 1 or "data" in called:
            return sorted(tables, key=lambda table: -table.entries)
    return [_table(path, "hdf5", None)]


def _checked(found: Content) -> Content:
    if not any(table.names for table in found.tables):
        raise InputError(f"{found.path}: there are no columns in it; give a file with events")
    if not any(table.entries for table in found.tables):
        named = ", ".join(table.name for table in found.tables if table.name) or "it"
        raise InputError(
            f"{found.path}: there are no records ({named} is empty); give files with events"
        )
    filled = tuple(table for table in found.tables if table.entries and table.names)
    return Content(found.path, found.source, filled)
