"""Arrays of NumPy's .npz files; what is pickled in them is not read."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from omniflow.errors import InputError
from omniflow.sources.description import Description, Table
from omniflow.sources.readers.array_reader import ArrayReader
from omniflow.sources.readers.arrays import Array, Layout
from omniflow.sources.readers.reader import begins_with, refuse_missing

# NumPy reads headers as Python's literals, and tells what these are not in all these ways.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError, NotImplementedError),
    *(EOFError, OSError, ValueError, TypeError, KeyError, SyntaxError, RuntimeError, MemoryError),
    *(OverflowError, struct.error),
)
_WHOLE = 2**30  # bytes of an array that is stored column by column, and is held
_STEP = 2**20  # bytes decompressed at a time


def describe(path: str) -> Description | None:
    """Return the arrays of an .npz file; None for other files.

    Raises:
        InputError: the file is damaged.
    """
    if not begins_with(path, b"PK"):
        return None
    with NpzReader(path, None, Layout()) as reader:
        table = Table("", reader.count(), tuple(reader.types().items()))
    if not table.columns:  # a zip file of something else
        return None
    return Description(path, "NumPy arrays (npz)", Path(path).stat().st_size, tables=(table,))


class NpzReader(ArrayReader):
    """One file; as `ArrayReader`. Its members are read once, from their beginning to their end."""

    def __init__(self, path: str, table: str | None, layout: Layout) -> None:
        """Open a file.

        Raises:
            InputError: the file is missing, damaged or no .npz, or a table is named.
        """
        if table is not None:
            raise InputError(f"{path}: npz files hold arrays and no tables; leave `table` out")
        refuse_missing(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except _BROKEN as error:
            raise InputError(
                f"{path}: cannot be opened as .npz ({error}); it is of another kind, or was cut "
                "off: write it by numpy.savez, or copy it again"
            ) from error
        self._members: dict[str, _Member] = {}
        try:
            super().__init__(path, list(self._found(path)), layout)
        except BaseException:
            self.close()
            raise

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows start to stop of an array.

        Raises:
            InputError: they cannot be read.
        """
        try:
            return self._members[name].rows(start, stop)
        except _BROKEN as error:
            raise _damaged(self.where, name, error) from error

    def close(self) -> None:
        """Close the file."""
        for member in self._members.values():
            member.close()
        self._zip.close()

    def _found(self, path: str) -> Iterator[Array]:
        for info in self._zip.infolist():
            if not info.filename.endswith(".npy"):
                continue
            name = info.filename.removesuffix(".npy").replace("/", ".")
            try:
                member = _Member(self._zip, info)
            except _BROKEN as error:
                raise _damaged(path, name, error) from error
            self._members[name] = member
            yield Array(name, member.shape, member.dtype)


class _Member:
    """An array of a file: its header, and its rows as a stream."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive, self._info = archive, info
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise ValueError(f"header of version {version}")
            self.shape, self._by_column, self.dtype = read(file)
            self._begin = file.tell()
        if any(length < 0 for length in self.shape):
            raise ValueError(f"shape {self.shape}")
        size = math.prod(self.shape) * self.dtype.itemsize
        if not self.dtype.hasobject and self._begin + size != info.file_size:
            raise ValueError(
                f"has {info.file_size - self._begin:,} bytes where its header says {size:,}"
            )
        self._file: IO[bytes] | None = None
        self._whole: np.ndarray | None = None
        self._at = 0

    def rows(self, start: int, stop: int) -> np.ndarray:
        if self._by_column and len(self.shape) > 1:
            return self._read_whole()[start:stop]
        row = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        if self._file is None or start < self._at:
            self.close()
            self._file = self._archive.open(self._info)
            self._at = 0
            self._file.seek(self._begin)
        if start > self._at:
            self._file.seek(self._begin + start * row)
        buffer = np.empty((stop - start) * row, np.uint8)
        filled = 0
        while filled < len(buffer):
            part = self._file.read(min(_STEP, len(buffer) - filled))
            if not part:
                raise EOFError(f"ends after {start + filled // max(row, 1)} rows")
            buffer[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
        self._at = stop
        if stop == self.shape[0] and self._file.read(1):
            raise ValueError("holds more than its header says")
        return buffer.view(self.dtype).reshape(stop - start, *self.shape[1:])

    def _read_whole(self) -> np.ndarray:
        """Return an array that is stored column by column, which is kept."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > _WHOLE:
            raise ValueError(
                f"is stored column by column and takes {size / 1e9:.1f} GB as a whole; write it by "
                "numpy.ascontiguousarray"
            )
        if self._whole is None:
            with self._archive.open(self._info) as file:
                self._whole = np.lib.format.read_array(file, allow_pickle=False)
        return self._whole

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _damaged(path: str, name: str, error: Exception) -> InputError:
    return InputError(
        f"{path}: {name}: cannot be read ({error}); the file is damaged or incomplete: write or "
        "copy it again"
    )
