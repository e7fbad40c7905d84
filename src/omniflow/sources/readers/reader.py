"""Reader: what a format of files does; arrays of columns, by chunks of records."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import awkward as ak
import numpy as np

from omniflow.errors import InputError
from omniflow.expressions import Values

CHUNK_BYTES = 32 * 2**20  # of columns that are in memory at a time


class Reader(ABC):
    """One table of one file, open; closed at the end of its context.

    Attributes:
        where: file and table, for messages.
        hint: why columns may be missing; mostly empty.
    """

    where: str
    hint: str = ""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of its columns."""

    @abstractmethod
    def count(self) -> int:
        """Return the number of records."""

    @abstractmethod
    def chunks(
        self, names: Collection[str], start: int, stop: int
    ) -> Iterator[tuple[int, dict[str, Values]]]:
        """Yield the columns `names` of records start to stop: the number of records, and arrays.

        Raises:
            InputError: there is no such column, or it cannot be read or holds no numbers.
        """


def begins_with(path: str, magic: bytes) -> bool:
    """Return whether a file begins with these bytes."""
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def refuse_missing(path: str) -> None:
    """Refuse a path that leads to no file.

    Raises:
        InputError: it leads nowhere, or to a folder.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; give its files, by a pattern such as {path}/*")
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; check the path")


def refuse_unknown(reader: Reader, wanted: Iterable[str]) -> None:
    """Refuse names that are no columns of a table.

    Raises:
        InputError: with the nearest names, and those that there are.
    """
    there = reader.names()
    known = set(there)
    for name in wanted:
        if name in known:
            continue
        near = difflib.get_close_matches(name, there, n=3)
        shown = ", ".join(there[:30]) + (f" and {len(there) - 30} more" if len(there) > 30 else "")
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        more = f" ({reader.hint})" if reader.hint else ""
        raise InputError(
            f"{reader.where}: has no column {name!r}; {hint}there are: {shown or 'none'}{more}"
        )


def of_awkward(array: ak.Array, where: str, name: str) -> Values:
    """Return an array of numbers (n,), or of lists of numbers, as values.

    Missing numbers (None) become NaN.

    Args:
        array: the column.
        where: file and table, for messages.
        name: of the column.

    Raises:
        InputError: it holds something else, such as text or lists of lists.
    """
    if array.ndim > 2 or ak.parameters(array).get("__array__") in ("string", "bytestring"):
        raise unusable(where, name, str(array.type.content))
    try:
        if array.ndim == 1:
            return Values(_numbers(array), None, name)
        # A missing list is an empty one.
        lists = ak.drop_none(ak.fill_none(array, [], axis=0), axis=0)
        flat = _numbers(ak.flatten(lists, axis=1))
        counts = ak.to_numpy(ak.num(lists, axis=1))
    except (TypeError, ValueError) as error:
        raise unusable(where, name, str(array.type.content)) from error
    return Values(flat, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), name)


def _numbers(array: ak.Array) -> np.ndarray:
    if isinstance(array.layout, ak.contents.IndexedOptionArray | ak.contents.ByteMaskedArray):
        array = ak.fill_none(ak.values_astype(array, np.float64), np.nan)
    elif array.layout.is_option:
        if not bool(ak.any(ak.is_none(array))):
            array = ak.drop_none(array)
        else:
            array = ak.fill_none(ak.values_astype(array, np.float64), np.nan)
    found = ak.to_numpy(array)
    if found.dtype.kind not in "biuf" or found.ndim != 1:
        raise TypeError(f"holds {found.dtype}")
    return found


def unusable(where: str, name: str, kind: str) -> InputError:
    """Return the error of a column that is of another type than numbers or lists of them."""
    return InputError(
        f"{where}: {name}: is of type {kind}; columns are numbers, or lists of numbers: take "
        "another one"
    )
