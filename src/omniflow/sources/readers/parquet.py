"""Parquet files, by pyarrow."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from omniflow.errors import InputError
from omniflow.expressions import Values
from omniflow.sources.description import Description, Table
from omniflow.sources.readers import indices
from omniflow.sources.readers.reader import (
    CHUNK_BYTES,
    Reader,
    begins_with,
    refuse_missing,
    refuse_unknown,
    unusable,
)


def describe(path: str) -> Description | None:
    """Return the table of a Parquet file; None for other files.

    Raises:
        InputError: the file is damaged.
    """
    if not begins_with(path, b"PAR1"):
        return None
    with ParquetReader(path, None) as reader:
        table = Table("", reader.count(), tuple(reader.types().items()))
    return Description(path, "Parquet", Path(path).stat().st_size, tables=(table,))


@dataclass(frozen=True)
class _Column:
    """A column of the file.

    Attributes:
        top: name of the table's column that it lies in.
        fields: of records, from there on.
        kind: its type.
        leaves: numbers of the physical columns of the file.
    """

    top: str
    fields: tuple[str, ...]
    kind: pa.DataType
    leaves: range


class ParquetReader(Reader):
    """One file.

    Fields of records have dotted names: `Jet.pt` of a column of records, or of lists of records.
    """

    def __init__(self, path: str, table: str | None) -> None:
        """Open a file.

        Raises:
            InputError: the file is missing, no Parquet file or without its footer, or a table is
                named.
        """
        if table is not None:
            raise InputError(f"{path}: Parquet files hold one table; leave `table` out")
        refuse_missing(path)
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path}: cannot be opened as Parquet ({str(error).splitlines()[0]}); it is of "
                "another kind, or was cut off before its footer: copy or write it again"
            ) from error
        self.where = path
        self._columns = {".".join((c.top, *c.fields)): c for c in _columns(self._file.schema_arrow)}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def names(self) -> list[str]:
        """Return the names of the columns."""
        return list(self._columns)

    def types(self) -> dict[str, str]:
        """Return the types of the columns by name."""
        return {name: str(column.kind) for name, column in self._columns.items()}

    def count(self) -> int:
        """Return the number of rows."""
        return int(self._file.metadata.num_rows)

    def chunks(
        self, names: Collection[str], start: int, stop: int
    ) -> Iterator[tuple[int, dict[str, Values]]]:
        """Yield rows start to stop of columns, by batches of at most CHUNK_BYTES or so.

        Raises:
            InputError: there is no such column, or it holds no numbers or cannot be read.
        """
        refuse_unknown(self, names)
        if not names:
            yield stop - start, {}
            return
        borders = self._borders
        groups = [
            group
            for group, (low, high) in enumerate(pairwise(borders))
            if low < stop and start < high
        ]
        first = int(borders[groups[0]]) if groups else 0
        places = {name: self._place(name) for name in names}
        leaves = sorted({leaf for column, _ in places.values() for leaf in column.leaves})
        paths = [self._file.schema.column(leaf).path for leaf in leaves]
        try:
            for batch in self._file.iter_batches(self._rows(leaves), groups, paths):
                low, high = max(start - first, 0), min(stop - first, len(batch))
                first += len(batch)
                if low < high:
                    part = batch.slice(low, high - low)
                    yield len(part), {n: self._values(part, n, *at) for n, at in places.items()}
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.where}: rows from {first} on of {', '.join(sorted(names))} cannot be read "
                f"({str(error).splitlines()[0]}); the file is damaged: copy or write it again"
            ) from error

    @cached_property
    def _borders(self) -> np.ndarray:
        """Rows at which groups of rows begin, and their number."""
        meta = self._file.metadata
        rows = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        return np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])

    def _rows(self, leaves: list[int]) -> int:
        """Return how many rows of physical columns hold CHUNK_BYTES."""
        meta = self._file.metadata
        columns = [
            meta.row_group(group).column(leaf)
            for group in range(meta.num_row_groups)
            for leaf in leaves
        ]
        # Of values that are all the same there may be hardly any bytes in the file.
        size = sum(max(each.total_uncompressed_size, 8 * each.num_values) for each in columns)
        return max(1, int(CHUNK_BYTES * meta.num_rows / max(size, 1)))

    def _place(self, name: str) -> tuple[_Column, tuple[int, ...]]:
        """Return the column of a name, and the indices of the name."""
        column, given = indices.split(name, self._columns)
        found = self._columns[column]
        axes, kind = _axes(found.kind)
        if not pa.types.is_nested(kind):
            indices.check(self.where, column, given, axes)
        return found, given

    def _values(
        self, batch: pa.RecordBatch, name: str, column: _Column, given: tuple[int, ...]
    ) -> Values:
        array = batch.column(batch.schema.get_field_index(column.top))
        try:
            return _values(array, column.fields, name, given)
        except (pa.ArrowException, TypeError) as error:
            raise unusable(self.where, name, str(column.kind)) from error


def _columns(schema: pa.Schema) -> Iterator[_Column]:
    """Yield the columns of a table, records taken apart."""
    first = 0
    for field in schema:
        for fields, kind, size in _leaves(field.type, field.type):
            yield _Column(field.name, fields, kind, range(first, first + size))
            first += size


def _leaves(
    kind: pa.DataType, whole: pa.DataType
) -> Iterator[tuple[tuple[str, ...], pa.DataType, int]]:
    """Yield fields, types and numbers of physical columns of a type, records taken apart."""
    inner = kind.value_type if _is_list(kind) else kind
    if not pa.types.is_struct(inner):
        yield (), whole, _size(kind)
        return
    for field in inner:
        lists = pa.list_(field.type) if _is_list(kind) else field.type
        for fields, found, size in _leaves(field.type, lists):
            yield (field.name, *fields), found, size


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _axes(kind: pa.DataType) -> tuple[tuple[int | None, ...], pa.DataType]:
    """Return the lengths of the axes of lists, None where they vary, and what lies in them."""
    axes: tuple[int | None, ...] = ()
    while _is_list(kind):
        axes += (kind.list_size if pa.types.is_fixed_size_list(kind) else None,)
        kind = kind.value_type
    return axes, kind


def _size(kind: pa.DataType) -> int:
    """Return the number of physical columns of a type."""
    if pa.types.is_map(kind):
        return _size(kind.key_type) + _size(kind.item_type)
    if _is_list(kind):
        return _size(kind.value_type)
    return sum(_size(field.type) for field in kind) if pa.types.is_struct(kind) else 1


def _values(array: pa.Array, fields: tuple[str, ...], name: str, given: tuple[int, ...]) -> Values:
    """Return a field of records, or lists of them, as values; what is null is NaN, or no list.

    Indices `given` are those of the last axes.

    Raises:
        TypeError: it holds no numbers, or lists of lists.
    """
    offsets = None
    while True:
        if _is_list(array.type) and offsets is None and not _is_element(array.type, given):
            counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
            offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
            array = array.flatten()
        elif pa.types.is_struct(array.type) and fields:
            # Unlike `field`, it takes over what is null of the record.
            array = array.flatten()[array.type.get_field_index(fields[0])]
            fields = fields[1:]
        else:
            for index in given:
                array = pc.list_element(array, index)
            return Values(_numbers(array), offsets, name)


def _is_element(kind: pa.DataType, given: tuple[int, ...]) -> bool:
    """Return whether the axes of a list are those of the indices, and no particles."""
    axes, inner = _axes(kind)
    return len(axes) == len(given) and not pa.types.is_struct(inner)


def _numbers(array: pa.Array) -> np.ndarray:
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return _numbers(array.dictionary_decode())
    if types.is_null(kind) or types.is_decimal(kind):
        return _numbers(array.cast(pa.float64()))
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise TypeError(f"holds {kind}")
    if array.null_count:
        if not types.is_floating(kind):
            array = array.cast(pa.uint8() if types.is_boolean(kind) else pa.float64(), safe=False)
        return array.to_numpy(zero_copy_only=False).astype(np.float64)
    return array.to_numpy(zero_copy_only=False)
