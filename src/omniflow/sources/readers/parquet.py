"""Parquet files, by pyarrow."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from omniflow.errors import InputError
from omniflow.expressions import Values
from omniflow.sources.readers.reader import CHUNK_BYTES, of_awkward, refuse_unknown


class ParquetReader:
    """One file; the interface is `reader.Reader`.

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
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; check the path")
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path}: cannot be opened as Parquet ({str(error).splitlines()[0]}); it is of "
                "another kind, or was cut off before its footer: copy or write it again"
            ) from error
        self.where = path
        self._columns = dict(_leaves(self._file.schema_arrow))

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
        self._file.close()

    def names(self) -> list[str]:
        """Return the names of the columns."""
        return list(self._columns)

    def types(self) -> dict[str, str]:
        """Return the types of the columns by name."""
        return {name: str(kind) for name, (_, kind) in self._columns.items()}

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
        first = 0
        try:
            for batch in self._file.iter_batches(self._rows(names), columns=self._physical(names)):
                low, high = max(start - first, 0), min(stop - first, len(batch))
                first += len(batch)
                if low < high:
                    part = batch.slice(low, high - low)
                    yield len(part), {name: self._values(part, name) for name in names}
                if first >= stop:
                    return
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.where}: rows from {first} on of {', '.join(sorted(names))} cannot be read "
                f"({str(error).splitlines()[0]}); the file is damaged: copy or write it again"
            ) from error

    def _physical(self, names: Collection[str]) -> list[str]:
        """Return the columns as Parquet calls them: a prefix takes all that is below."""
        return sorted({self._columns[name][0] for name in names})

    def _rows(self, names: Collection[str]) -> int:
        """Return how many rows hold CHUNK_BYTES."""
        meta = self._file.metadata
        wanted = tuple(self._physical(names))
        size = 0
        for group in range(meta.num_row_groups):
            for at in range(meta.num_columns):
                column = meta.row_group(group).column(at)
                if column.path_in_schema.startswith(wanted):
                    size += column.total_uncompressed_size
        return max(1000, int(CHUNK_BYTES * meta.num_rows / max(size, 1)))

    def _values(self, batch: pa.RecordBatch, name: str) -> Values:
        top, *fields = self._columns[name][0].split(".")
        array = ak.from_arrow(batch.column(batch.schema.names.index(top)))
        for field in fields:
            array = array[field]
        layout = array.layout
        if isinstance(layout, ak.contents.NumpyArray):
            return Values(np.asarray(layout.data), None, name)
        return of_awkward(array, self.where, name)


def _leaves(
    schema: pa.Schema | pa.StructType, prefix: str = ""
) -> Iterator[tuple[str, tuple[str, pa.DataType]]]:
    """Yield names of columns with their paths and types, records taken apart."""
    for field in schema:
        name = f"{prefix}{field.name}"
        kind = field.type
        inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
        if pa.types.is_struct(inner):
            yield from _leaves(inner, f"{name}.")
        else:
            yield name, (name, kind)
