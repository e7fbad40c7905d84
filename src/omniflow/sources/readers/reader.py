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
from awkward.types import ListType, NumpyType, OptionType, RegularType, Type, UnknownType

from omniflow.errors import InputError
from omniflow.expressions import Values
from omniflow.expressions.errors import written
from omniflow.sources.readers import indices

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

    def lacking(self, wanted: Iterable[str]) -> list[str]:
        """Return those of `wanted` that are no columns, whatever their indices."""
        known = set(self.names())
        return [name for name in wanted if indices.split(name, known)[0] not in known]

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
    for name in reader.lacking(wanted):
        there = reader.names()
        name, _ = indices.split(name, there)
        inside = [each for each in there if each.endswith((f".{name}", f"/{name}"))]
        near = inside[:3] or difflib.get_close_matches(name, there, n=3)
        shown = ", ".join(there[:30]) + (f" and {len(there) - 30} more" if len(there) > 30 else "")
        hint = f"did you mean {' or '.join(map(written, near))}? " if near else ""
        more = f" ({reader.hint})" if reader.hint else ""
        raise InputError(
            f"{reader.where}: has no column {name!r}; {hint}there are: {shown or 'none'}{more}"
        )


def of_awkward(array: ak.Array, where: str, name: str, given: tuple[int, ...] = ()) -> Values:
    """Return an array of numbers (n,), or of lists of numbers, as values.

    Missing numbers (None) become NaN.

    Args:
        array: the column; it may have axes of fixed length behind.
        where: file and table, for messages.
        name: of the column.
        given: indices of the last axes.

    Raises:
        InputError: it holds something else, such as text or lists of lists, or there are no such
            indices.
    """
    axes, kind = _axes(array.type.content)
    if not isinstance(kind, NumpyType | UnknownType):
        raise unusable(where, name, str(array.type.content), _members(name, kind))
    indices.check(where, name, given, axes)
    array = array[(..., *given)] if given else array
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


def _axes(kind: Type) -> tuple[tuple[int | None, ...], Type]:
    """Return the lengths of the axes of a type, None where they vary, and what lies in them."""
    axes: tuple[int | None, ...] = ()
    while isinstance(kind, OptionType | ListType | RegularType):
        if kind.parameters.get("__array__") in ("string", "bytestring"):
            break
        if not isinstance(kind, OptionType):
            axes += (kind.size if isinstance(kind, RegularType) else None,)
        kind = kind.content
    return axes, kind


def _members(name: str, kind: Type) -> str:
    """Return what to take of records in place of them."""
    fields = getattr(kind, "fields", None) or ()
    shown = ", ".join(written(f"{name}.{field}") for field in fields[:4])
    return f"take one of its members: {shown}" if shown else ""


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


def unusable(where: str, name: str, kind: str, mend: str = "") -> InputError:
    """Return the error of a column that is of another type than numbers or lists of them."""
    return InputError(
        f"{where}: {name}: is of type {kind}; columns are numbers, or lists of numbers: "
        f"{mend or 'take another one'}"
    )
