"""Pandas' tables in HDF5, read without pandas: what they hold as pickles is never unpickled."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from omniflow.errors import InputError
from omniflow.events.slices import slices
from omniflow.export.bundle.events import GROWTH, SMALL
from omniflow.hdf5 import find_dataset, open_h5, read_rows

# Opcodes of a pickled list of strings; any other is refused, and none is run.
_TEXT = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "STRING"}
_LIST = {"MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "PUT", "BINPUT", "MEMOIZE"}
_AROUND = {"PROTO", "FRAME", "STOP"}


class PandasFile:
    """The table of numbers that `DataFrame.to_hdf` wrote, in either of its formats."""

    def __init__(self, path: Path, key: str) -> None:
        """Find the columns; no number is read.

        Args:
            path: of the file.
            key: of the table.

        Raises:
            InputError: no such table, or one with columns of objects, or that claims more than it
                can hold.
        """
        self.path, self.key = path, key
        with self._opened() as file:
            group = file.get(key)
            if not isinstance(group, h5py.Group):
                there = ", ".join(list(file)[:10]) or "nothing"
                raise InputError(f"{path}: has no table {key!r}; it has {there}")
            kind = _text(group.attrs.get("pandas_type"))
            find = {"frame": self._of_blocks, "frame_table": self._of_table}.get(kind)
            if find is None:
                raise InputError(
                    f"{path}: {key} is no table of pandas ({kind or 'of no kind'}); give a file "
                    "that DataFrame.to_hdf wrote"
                )
            self._places = find(file)
            self.rows = self._checked(file)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(name for _, _, names in self._places for name in names)

    def parts(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield all columns, some rows at a time.

        Yields:
            (m,) of each column, by name.

        Raises:
            InputError: they cannot be read.
        """
        with self._opened() as file:
            for where in slices(self.rows):
                found: dict[str, np.ndarray] = {}
                for dataset, field, names in self._places:
                    values = read_rows(file[dataset], where)
                    values = values[field] if field else values
                    values = values.reshape(len(values), -1)
                    found |= {name: values[:, at] for at, name in enumerate(names)}
                yield found

    @contextmanager
    def _opened(self) -> Iterator[h5py.File]:
        try:
            with open_h5(self.path) as file:
                yield file
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.path}: cannot be read ({reason}); it is damaged: copy it again"
            ) from error

    # -- where columns are: dataset, field of it, names ------------------------------------------

    def _of_blocks(self, file: h5py.File) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return the blocks of the format `fixed`: arrays (n, k) and names of their columns."""
        count, found = file[self.key].attrs.get("nblocks"), []
        for block in range(int(count) if count is not None and 0 <= count < 10_000 else 0):
            items = find_dataset(file, f"{self.key}/block{block}_items")
            if items.dtype.kind != "S" or items.ndim != 1:
                raise InputError(f"{self.path}: {self.key}: names of columns are no plain text")
            names = tuple(name.decode("utf-8") for name in read_rows(items).tolist())
            values = f"{self.key}/block{block}_values"
            self._refuse_objects(file, values, names)
            find_dataset(file, values, (None, len(names)), "biuf")
            found.append((values, "", names))
        return found

    def _of_table(self, file: h5py.File) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return the blocks of the format `table`: fields of records."""
        where, found = f"{self.key}/table", []
        table = find_dataset(file, where, (None,), "V")
        for field in table.dtype.names or ():
            if field == "index":
                continue
            raw = table.attrs.get(f"{field}_kind")
            names = _listed(raw, f"{self.path}: {where}: {field}")
            kind = table.dtype[field].base.kind
            if kind not in "biuf":
                raise InputError(
                    f"{self.path}: {', '.join(names[:5])}: holds no numbers; leave it out"
                )
            if table.dtype[field].shape not in ((), (len(names),)):
                raise InputError(f"{self.path}: {where}: {field} has other columns than names")
            found.append((where, field, names))
        return found

    def _refuse_objects(self, file: h5py.File, name: str, columns: tuple[str, ...]) -> None:
        values = file.get(name)
        if isinstance(values, h5py.Dataset) and (
            "PSEUDOATOM" in values.attrs or values.dtype.kind == "O"
        ):
            raise InputError(
                f"{self.path}: {', '.join(columns[:5])}: holds Python objects as pickles, which "
                "can run code and are not read; leave these columns out: frame.drop(columns=...)"
            )

    def _checked(self, file: h5py.File) -> int:
        """Return the number of rows, the same for all columns and not more than the file holds."""
        if not self.names:
            raise InputError(f"{self.path}: {self.key} has no columns")
        twice = [name for name in set(self.names) if self.names.count(name) > 1]
        if twice:
            raise InputError(f"{self.path}: {self.key} has two columns {min(twice)!r}")
        datasets = {dataset: file[dataset] for dataset, _, _ in self._places}
        lengths = {each.shape[0] for each in datasets.values()}
        if len(lengths) != 1:
            raise InputError(f"{self.path}: {self.key}: its columns have different lengths")
        claimed = sum(each.size * each.dtype.itemsize for each in datasets.values())
        if claimed > max(SMALL, GROWTH * self.path.stat().st_size):
            raise InputError(
                f"{self.path}: claims {claimed:,} bytes in a file of "
                f"{self.path.stat().st_size:,}; such a file is not read"
            )
        return int(lengths.pop())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _listed(raw: Any, where: str) -> tuple[str, ...]:
    """Return the strings in a pickled list of strings, by its opcodes.

    Raises:
        InputError: it is anything else, which is not run.
    """
    found = []
    wrong = InputError(
        f"{where}: names of columns are no list of texts; write the table with "
        "to_hdf(format='fixed')"
    )
    if not isinstance(raw, bytes):
        raise wrong
    try:
        for opcode, value, _ in pickletools.genops(bytes(raw)):
            if opcode.name in _TEXT:
                found.append(str(value))
            elif opcode.name not in _LIST | _AROUND:
                raise wrong
    except (ValueError, IndexError, UnicodeDecodeError, EOFError) as error:
        raise wrong from error
    return tuple(found)
