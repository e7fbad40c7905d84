"""Events: columns of `events.parquet`, read one by one and never larger than they claim."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from omniflow.errors import InputError
from omniflow.export.bundle import folder
from omniflow.expressions import Values

# Weights do not compress: a file that claims to hold much more than it has bytes is none of ours.
GROWTH, SMALL = 100, 64 * 2**20
_ROWS = 100_000
T = TypeVar("T")


class EventTable:
    """The events of a bundle."""

    def __init__(self, where: Path, name: str) -> None:
        """Open the file; nothing but its footer is read.

        Args:
            where: folder of the bundle.
            name: of the file.

        Raises:
            InputError: missing, no Parquet, or it claims more numbers than it can have.
        """
        self.path, self._where, self._name = where / name, where, name
        with self._opened() as file:
            size = self._try(lambda: self.path.stat().st_size)
            meta = self._try(lambda: file.metadata)
            self.rows: int = meta.num_rows
            self._types = self._try(lambda: {field.name: field.type for field in file.schema_arrow})
            groups = self._try(lambda: sum(_bytes(meta, i) for i in range(meta.num_row_groups)))
        claimed = max(self.rows * meta.num_columns * 8, groups)
        if self.rows < 0 or claimed > max(SMALL, GROWTH * size):
            raise InputError(
                f"{self.path}: claims {self.rows:,} rows of {meta.num_columns} columns in "
                f"{size:,} bytes; such a file is not read"
            )

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with (
            folder.opened(self._where, self._name) as raw,
            self._try(lambda: pq.ParquetFile(raw)) as file,
        ):
            yield file

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._types)

    def is_jagged(self, name: str) -> bool:
        """Return whether a column is one of lists."""
        return bool(
            pa.types.is_list(self._types[name]) or pa.types.is_large_list(self._types[name])
        )

    def require(self, names: Collection[str]) -> None:
        """Refuse a table without these columns.

        Raises:
            InputError: names those that are missing.
        """
        missing = [name for name in names if name not in self._types]
        if missing:
            raise InputError(
                f"{self.path}: has no column {', '.join(missing[:10])}, which the metadata name; "
                "copy or write the bundle again"
            )

    def require_numbers(self, names: Collection[str], jagged: bool = False) -> None:
        """Refuse a table where these columns are missing, or hold no numbers.

        Args:
            names: of columns.
            jagged: whether they hold lists of numbers.

        Raises:
            InputError: names a column.
        """
        self.require(names)
        for name in names:
            kind = self._types[name]
            inner = kind.value_type if jagged and self.is_jagged(name) else kind
            number = (
                pa.types.is_integer(inner) or pa.types.is_floating(inner) or inner == pa.bool_()
            )
            if not number or self.is_jagged(name) is not jagged:
                wanted = "lists of numbers" if jagged else "numbers"
                raise InputError(f"{self.path}: {name}: holds {kind}, where {wanted} are needed")

    def numbers(self, name: str) -> np.ndarray:
        """Return a column with one number per event.

        Args:
            name: of the column.

        Returns:
            (n,) of the type that is stored.

        Raises:
            InputError: it holds no numbers, or cannot be read.
        """
        parts = list(self.parts([name]))
        found = np.concatenate([part[0] for part in parts]) if parts else np.empty(0)
        if len(found) != self.rows:
            raise InputError(f"{self.path}: {name}: has {len(found)} of {self.rows} numbers")
        return found

    def parts(self, names: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield columns of one number per event, part by part.

        Args:
            names: of k columns.

        Yields:
            (k, m) each, float64 unless all are of another type.

        Raises:
            InputError: as `numbers`.
        """
        self.require_numbers(names)
        for batch in self._batches(names):
            yield np.stack([self._array(batch, name) for name in names])

    def _array(self, batch: pa.RecordBatch, name: str) -> np.ndarray:
        # What pandas writes for NaN is read as NaN.
        return self._try(lambda: batch.column(name).to_numpy(zero_copy_only=False))

    def _batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self._opened() as file:
            rows = self._try(lambda: file.iter_batches(_ROWS, columns=list(names)))
            while (batch := self._try(lambda: next(rows, None))) is not None:
                yield batch

    def repeated(self, name: str) -> str | None:
        """Return an id that several events have, in words; None where all differ.

        Args:
            name: of the column, of numbers or text.

        Raises:
            InputError: an event has none, or the column cannot be read.
        """
        self.require([name])
        seen = self._try(lambda: pa.chunked_array(b.column(name) for b in self._batches([name])))
        if seen.null_count:
            raise InputError(f"{self.path}: {name}: {seen.null_count} events have no id")
        counts = self._try(seen.value_counts)
        if len(counts) == len(seen):
            return None
        at = np.asarray(counts.field("counts")).argmax()
        return str(counts.field("values")[int(at)])

    def values(self, name: str) -> Values:
        """Return a column as expressions use it: one number per event, or lists of them.

        Args:
            name: of the column.

        Returns:
            (n,) numbers, or (M,) with offsets (n + 1,).

        Raises:
            InputError: as `numbers`.
        """
        self.require([name])
        self.require_numbers([name], self.is_jagged(name))
        if not self.is_jagged(name):
            return Values(self.numbers(name), None, name)
        numbers, counts = [np.empty(0)], [np.zeros(1, np.int64)]
        for batch in self._batches([name]):
            flat, lengths = self._try(partial(_lists, batch, name))
            numbers.append(flat)
            counts.append(lengths)
        offsets = np.cumsum(np.concatenate(counts))
        if len(offsets) != self.rows + 1:
            raise InputError(f"{self.path}: {name}: has {len(offsets) - 1} of {self.rows} lists")
        return Values(np.concatenate(numbers), offsets, name)

    def _try(self, read: Callable[[], T]) -> T:
        """Return what is read; what is wrong with a damaged file is one kind of error."""
        try:
            return read()
        except (
            pa.ArrowException,
            OSError,
            ValueError,
            LookupError,
            MemoryError,
            OverflowError,
        ) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.path}: cannot be read as Parquet ({reason}); it is damaged, or another "
                "kind of file: copy or write the bundle again"
            ) from error


def _lists(batch: pa.RecordBatch, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers (M,) in lists, and how many each of n has, (n,) int64."""
    column = batch.column(name)
    if column.null_count:
        raise ValueError("there are events without a list")
    flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    return flat, np.asarray(column.value_lengths()).astype(np.int64)


def _bytes(meta: Any, group: int) -> int:
    return max(int(meta.row_group(group).total_byte_size), 0)
