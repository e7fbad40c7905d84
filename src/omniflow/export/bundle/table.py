"""Table: columns of events, written to Parquet part by part."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from omniflow.events.slices import slices
from omniflow.files import atomic_path, writable
from omniflow.observables.entries import Entries


class Spool:
    """Columns of float32 that wait in a temporary file until they are written row by row."""

    def __init__(self, folder: Path, events: int) -> None:
        """Open the file.

        Args:
            folder: where there is room.
            events: number of each column.
        """
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by `close`
        self._folder, self._events, self._names = folder, events, dict[str, int]()

    def add(self, name: str, values: np.ndarray) -> None:
        """Add a column.

        Args:
            name: of the column.
            values: (n,).
        """
        with writable(self._folder / name, self._folder):
            self._file.write(np.ascontiguousarray(values, np.float32).data)
            self._file.flush()
        self._names[name] = len(self._names)

    def rows(self, where: slice) -> Iterator[tuple[str, np.ndarray]]:
        """Yield names and numbers of some rows.

        Args:
            where: which rows, m of them.

        Yields:
            Names, and (m,) float32.
        """
        if not self._names:
            return
        shape = (len(self._names), self._events)
        every = np.memmap(self._file, np.float32, "r", shape=shape)
        for name, at in self._names.items():
            yield name, np.array(every[at, where])

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def rows(
    plain: Mapping[str, np.ndarray],
    jagged: Mapping[str, Entries],
    spool: Spool,
    events: int,
) -> Iterator[dict[str, pa.Array]]:
    """Yield columns of consecutive rows.

    Args:
        plain: (n,) of each column.
        jagged: entries of n events.
        spool: further columns.
        events: n.

    Yields:
        Arrays of m rows, by name.
    """
    offsets = {
        name: np.concatenate([[0], np.cumsum(np.bincount(found.event_index, minlength=events))])
        for name, found in jagged.items()
    }
    for where in slices(events):
        part = {name: pa.array(values[where]) for name, values in plain.items()}
        for name, found in jagged.items():
            bounds = offsets[name][where.start : where.stop + 1]
            flat = pa.array(found.value[bounds[0] : bounds[-1]])
            part[name] = pa.ListArray.from_arrays(pa.array((bounds - bounds[0]).astype("i4")), flat)
        yield part | {name: pa.array(values) for name, values in spool.rows(where)}


def write(path: Path, parts: Iterable[Mapping[str, pa.Array]]) -> None:
    """Write parts of a table to a Parquet file.

    Args:
        path: of the file.
        parts: columns of consecutive rows, one part at least.
    """
    with atomic_path(path) as temporary, ExitStack() as stack:
        writer = None
        for part in parts:
            table = pa.table(dict(part))
            if writer is None:
                opened = pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer = stack.enter_context(opened)
            writer.write_table(table)
