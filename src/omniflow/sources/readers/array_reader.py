"""Reader of files of named arrays; what HDF5 and npz have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np

from omniflow.errors import InputError
from omniflow.expressions import Values
from omniflow.sources.readers import arrays, indices
from omniflow.sources.readers.arrays import Array, Column, Layout
from omniflow.sources.readers.reader import CHUNK_BYTES, Reader, refuse_unknown


class ArrayReader(Reader):
    """Arrays of one file as columns.

    A subclass opens the file, tells which arrays there are, and implements `rows` and `close`.
    """

    def __init__(self, where: str, found: Iterable[Array], layout: Layout) -> None:
        """Take the arrays.

        Args:
            where: file and table, for messages.
            found: the arrays that there are.
            layout: what the configuration says of them.

        Raises:
            InputError: an array has other axes than the configuration says.
        """
        self.where = where
        self._layout = layout
        self._arrays = {array.name: array for array in found}
        try:
            self._columns = arrays.columns(self._arrays, layout)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        # The names of paths as they are written in files.
        for name in [name for name in self._columns if "." in name]:
            self._columns.setdefault(name.replace(".", "/"), self._columns[name])

    def _column(self, name: str) -> Column | None:
        """Return a column, which may have indices; None: there is none."""
        column, given = indices.split(name, self._columns)
        found = self._columns.get(column)
        return found.at(column, given) if found is not None and given else found

    @abstractmethod
    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows start to stop of an array.

        Args:
            name: of the array.
            start: first row.
            stop: one behind the last row.

        Returns:
            (stop - start, ...) as the file has them.

        Raises:
            InputError: they cannot be read.
        """

    def aligned(self, names: Iterable[str], rows: int) -> int:
        """Return about `rows`, as many as are read at a time from arrays."""
        return rows

    @property
    def arrays(self) -> Mapping[str, Array]:
        """The arrays of the table by name."""
        return self._arrays

    def names(self) -> list[str]:
        """Return the names of the columns; a path `a/b` is `a.b`."""
        return list(self._columns)

    def types(self) -> dict[str, str]:
        """Return types and shapes of the arrays by name; those of tables by column."""
        found = {}
        for array in self._arrays.values():
            if array.labels is None:
                found[array.name] = f"{_typename(array.dtype)} {array.shape}"
            for label in array.labels or ():
                found[f"{array.prefix or ''}{label}"] = f"{array.dtype} {array.shape[:1]}"
        return found

    def count(self) -> int:
        """Return the number of records: that of the arrays that are used.

        Raises:
            InputError: they have different numbers of records.
        """
        return self._records

    @cached_property
    def _records(self) -> int:
        columns = map(self._column, self._layout.used)
        used = {column.array for column in columns if column is not None and not column.refusal}
        lengths = {name: self._length(name) for name in sorted(used)}
        if not lengths:
            every = Counter(
                array.shape[0]
                for array in self._arrays.values()
                if array.shape and array.name not in self._layout.counts
            )
            return max(every, key=lambda length: (every[length], length), default=0)
        (reference, first), *others = lengths.items()
        for name, length in others:
            if length != first:
                raise InputError(
                    f"{self.where}: {name} has {length} records and {reference} has {first}; all "
                    "columns need one per event: flat arrays of particles are named in `counts`, "
                    "separate tables by `detector.table` and `particle.table`"
                )
        return first

    def _length(self, name: str) -> int:
        array = self._arrays[name]
        if name in self._layout.counts:
            return len(self._offsets(name)) - 1
        return array.shape[0] if array.shape else 0

    def chunks(
        self, names: Collection[str], start: int, stop: int
    ) -> Iterator[tuple[int, dict[str, Values]]]:
        """Yield records start to stop of columns, by chunks of CHUNK_BYTES of their arrays.

        Raises:
            InputError: there is no such column, or it holds no numbers or cannot be read.
        """
        refuse_unknown(self, names)
        wanted = {name: column for name in names if (column := self._column(name)) is not None}
        for name, column in wanted.items():
            if column.refusal:
                raise InputError(f"{self.where}: {name}: {column.refusal}")
        if not names:
            yield stop - start, {}
            return
        needed = self._needed(wanted.values())
        size = self.aligned(needed, max(1, CHUNK_BYTES // max(self._row_bytes(needed), 1)))
        while start < stop:
            end = min((start // size + 1) * size, stop)
            held = {name: self._held(name, start, end) for name in needed}
            places: dict[str, tuple[np.ndarray, np.ndarray]] = {}
            yield (
                end - start,
                {
                    name: self._values(name, column, held, places, start, end)
                    for name, column in wanted.items()
                },
            )
            start = end

    def _needed(self, wanted: Iterable[Column]) -> list[str]:
        """Return the arrays that columns, and what tells their padding, lie in."""
        needed: dict[str, None] = {}
        for column in wanted:
            more = self._together[column.array] if column.kind == "padded" else (column.array,)
            needed |= dict.fromkeys(more)
        return list(needed)

    def _row_bytes(self, names: Iterable[str]) -> int:
        """Return the bytes of a record; particles of flat arrays by their mean."""
        size = 0.0
        for name in names:
            array = self._arrays[name]
            values = array.dtype.itemsize * np.prod(array.shape[1:], dtype=float)
            size += values * array.shape[0] / max(self._length(name), 1)
        return int(size)

    def _held(self, name: str, start: int, stop: int) -> np.ndarray:
        if name in self._layout.counts:
            offsets = self._offsets(name)
            return self.rows(name, int(offsets[start]), int(offsets[stop]))
        return self.rows(name, start, stop)

    def _values(
        self,
        name: str,
        column: Column,
        held: Mapping[str, np.ndarray],
        places: dict[str, tuple[np.ndarray, np.ndarray]],
        start: int,
        stop: int,
    ) -> Values:
        """Return a column of records start to stop, of the rows that are held of its array."""
        array = column.of(held[column.array])
        if column.kind == "event":
            return Values(np.ascontiguousarray(array), None, name)
        if column.kind == "flat":
            offsets = self._offsets(column.array)[start : stop + 1]
            return Values(np.ascontiguousarray(array), offsets - offsets[0], name)
        key = self._together[column.array][0]
        if key not in places:
            padding = self._layout.padding
            parts = [arrays.real(held[each], padding) for each in self._together[key]]
            filled = np.logical_or.reduce(parts)
            counts = filled.sum(axis=1)
            places[key] = filled, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        filled, offsets = places[key]
        return Values(array[filled], offsets, name)

    @cached_property
    def _together(self) -> dict[str, tuple[str, ...]]:
        """Padded arrays by name, each with all those (itself included) that it is padded with."""
        padded = [n for n, a in self._arrays.items() if arrays.is_particles(a, self._layout)]
        groups: list[set[str]] = [{name} for name in padded]
        for names in self._layout.together:
            columns = map(self._column, names)
            found = {c.array for c in columns if c is not None and c.kind == "padded"}
            for places in {self._arrays[name].shape[1] for name in found}:
                same = {name for name in found if self._arrays[name].shape[1] == places}
                joined = [group for group in groups if group & same]
                groups = [group for group in groups if not group & same]
                groups.append(set().union(*joined))
        return {name: tuple(sorted(group)) for group in groups for name in group}

    @cached_property
    def _known_offsets(self) -> dict[str, np.ndarray]:
        return {}

    def _offsets(self, name: str) -> np.ndarray:
        """Return where the particles of events lie in a flat array, (N + 1,) int64."""
        if name not in self._known_offsets:
            self._known_offsets[name] = self._read_offsets(name, self._layout.counts[name])
        return self._known_offsets[name]

    def _read_offsets(self, name: str, text: str) -> np.ndarray:
        where, size = f"{self.where}: counts of {name}", self._arrays[name].shape[0]
        refuse_unknown(self, [text])
        column = self._columns[text]
        if column.kind != "event" or column.refusal:
            raise InputError(f"{where}: {text!r} is no column of events; give one number per event")
        counts = column.of(self.rows(column.array, 0, self._arrays[column.array].shape[0]))
        if counts.dtype.kind not in "iu":
            whole = counts.astype(np.int64)
            if (whole != counts).any():
                raise InputError(f"{where}: {text!r} holds fractions; counts are whole numbers")
            counts = whole
        counts = counts.astype(np.int64)
        falls = np.flatnonzero(np.diff(counts) < 0)
        if (counts >= 0).all() and counts.sum() == size:
            return np.concatenate([[0], np.cumsum(counts)])
        if len(counts) and counts[0] == 0 and counts[-1] == size and not len(falls):
            return counts
        raise InputError(
            f"{where}: {text!r} adds up to {counts.sum()} where {name} has {size} rows; give the "
            "numbers of particles per event, or the offsets of events in it (from 0 to all)"
        )


def _typename(dtype: np.dtype) -> str:
    if dtype.names:
        return "{" + ", ".join(f"{name}: {dtype[name]}" for name in dtype.names) + "}"
    return str(dtype)
