"""HDF5: files written atomically, and read with errors that name file and dataset."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from omniflow import linked
from omniflow.errors import InputError, OmniflowError
from omniflow.files import atomic_path, understood

_CHUNK = 2**30  # bytes of the largest chunk of a dataset that is read

Shape = tuple[int | None, ...]


@contextmanager
def create_h5(path: str | Path) -> Iterator[h5py.File]:
    """Yield a new HDF5 file that appears as `path` on success, atomically.

    Datasets start at multiples of 64 bytes, so that memory maps of them are aligned.
    """
    aligned = {"alignment_threshold": 1, "alignment_interval": 64}
    with (
        atomic_path(path) as temporary,
        # Nobody else knows the temporary name, and some cluster filesystems refuse locks.
        h5py.File(temporary, "w", locking=False, **aligned) as h5file,
    ):
        yield h5file


@contextmanager
def open_h5(path: str | Path) -> Iterator[h5py.File]:
    """Yield the HDF5 file `path`, open for reading.

    Raises:
        InputError: the file is missing, not readable, truncated, or not HDF5.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise InputError(f"{path}: is not a file; give the path of an HDF5 file")
    try:
        # Files are never changed after the renaming, and some cluster filesystems refuse locks.
        h5file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(f"{path}: {_reason(path, error)}") from error
    with h5file, undamaged(path):
        yield h5file


@contextmanager
def undamaged(path: str | Path) -> Iterator[None]:
    """Turn what h5py raises while an HDF5 file is read into an InputError.

    h5py meets damage anywhere, in names, types, sizes and content, and raises errors of many kinds.

    Raises:
        InputError: the file is damaged.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OmniflowError) or not _raised_by_h5py(error):
            raise
        raise InputError(
            f"{path}: cannot be read ({_brief(error)}); the file is damaged, or not all of it is "
            "there: write or copy it again"
        ) from error


def _raised_by_h5py(error: Exception) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and "h5py" in Path(frames[-1].filename).parts


def _brief(error: Exception) -> str:
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError) or not os.access(path, os.R_OK):
        return "may not be read; check the permissions of the file"
    if path.stat().st_size == 0:
        return "is empty; write or copy the file again"
    if "truncated" in str(error):
        return "is truncated; write or copy the file again"
    if "signature not found" in str(error):
        return "is not an HDF5 file; check the path and the source setting"
    return f"cannot be opened as HDF5 ({error}); write or copy the file again"


def read_records(h5file: h5py.File, name: str, *keys: str) -> list[dict[str, Any]]:
    """Return the records that an earlier job wrote as JSON into an attribute of a file.

    Args:
        h5file: an open file.
        name: of the attribute.
        keys: that every record has.

    Raises:
        InputError: it is missing, or no list of such records.
    """
    with understood(h5file.filename, f"attribute {name}"):
        found = [dict(record) for record in json.loads(h5file.attrs.get(name))]
        if missing := {key for record in found for key in keys if key not in record}:
            raise KeyError(", ".join(sorted(missing)))
        return found


def attributes(h5file: h5py.File) -> dict[str, Any]:
    """Return the attributes of a file as JSON."""
    return {key: _json(value) for key, value in sorted(h5file.attrs.items())}


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def find_dataset(
    h5file: h5py.File, name: str, shape: Shape | None = None, dtype_kind: str | None = None
) -> h5py.Dataset:
    """Return dataset `name`, checked.

    Args:
        h5file: the open file.
        name: the dataset's path in the file.
        shape: required shape; None stands for any length of an axis.
        dtype_kind: permitted NumPy type kinds, for example "f" or "fiu".

    Raises:
        InputError: the dataset is missing, or its shape or type is another, or its chunks are too
            large; or it takes its content from other files or chunks that are not there
            (`linked.find`).
    """
    where = f"{h5file.filename}: {name}"
    found = h5file.get(name)
    if not isinstance(found, h5py.Dataset):
        linked.find(h5file, name)
        present: list[str] = []
        h5file.visititems(
            lambda key, item: present.append(key) if isinstance(item, h5py.Dataset) else None
        )
        raise InputError(
            f"{where}: no such dataset; the file has {', '.join(present[:20]) or 'none at all'}"
        )
    if shape is not None and (
        found.ndim != len(shape)
        or any(want not in (None, have) for want, have in zip(shape, found.shape, strict=True))
    ):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise InputError(
            f"{where}: has shape {found.shape} where ({wanted}) is needed; "
            "check how the file was written"
        )
    if dtype_kind is not None and found.dtype.kind not in dtype_kind:
        raise InputError(
            f"{where}: has type {found.dtype} where a type of kind {dtype_kind!r} is needed; "
            "check how the file was written"
        )
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > _CHUNK:
        raise InputError(
            f"{where}: lies in chunks of {found.chunks}, of which each would be in memory as a "
            "whole; write it in chunks of about 1 MB (h5repack)"
        )
    linked.check(found, h5file, name)
    return found


def read_dataset(
    h5file: h5py.File,
    name: str,
    shape: Shape | None = None,
    dtype_kind: str | None = None,
    rows: slice = slice(None),
) -> np.ndarray:
    """Return `rows` of dataset `name` as an array; arguments and errors as in `find_dataset`.

    Args:
        h5file: an open file.
        name: path of the dataset.
        shape: that it must have; None in it: any length.
        dtype_kind: kinds of type that it may have, such as `f` or `iu`.
        rows: which of them.

    Returns:
        (k, ...) in memory.

    Raises:
        InputError: also when the content cannot be read (damaged chunk, unknown filter).
    """
    return read_rows(find_dataset(h5file, name, shape, dtype_kind), rows)


def read_rows(dataset: h5py.Dataset, rows: slice = slice(None)) -> np.ndarray:
    """Return `rows` of a dataset that `find_dataset` has found.

    Args:
        dataset: with any shape.
        rows: which of them; all of a number without dimension.

    Returns:
        (k, ...) in memory.

    Raises:
        InputError: the content cannot be read (damaged chunk, unknown filter).
    """
    try:
        return np.asarray(dataset[rows] if dataset.ndim else dataset[()])
    except Exception as error:  # of h5py alone
        raise InputError(
            f"{dataset.file.filename}: {dataset.name.lstrip('/')}: cannot be read ({error}); the "
            "file is damaged or needs a compression filter that is not installed: write or copy it "
            "again"
        ) from error


def signs(path: str | Path) -> tuple[int, ...]:
    """Return what changes when a file is written again; nothing where there is none.

    So what was found out about a file can be kept by them (`functools.lru_cache`).
    """
    try:
        state = os.stat(path)
    except OSError:
        return ()  # which is told when it is opened
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


class Place(NamedTuple):
    """Where the numbers of a dataset lie in a file, as one block."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


def place(
    h5file: h5py.File, name: str, shape: Shape | None = None, dtype_kind: str | None = None
) -> Place:
    """Return where dataset `name` lies; arguments as in `find_dataset`.

    Args:
        h5file: an open file.
        name: path of the dataset.
        shape: that it must have; None in it: any length.
        dtype_kind: kinds of type that it may have, such as `f` or `iu`.

    Raises:
        InputError: as `find_dataset`, or the dataset lies in another file, is chunked or
            compressed, or reaches beyond the file.
    """
    dataset = find_dataset(h5file, name, shape, dtype_kind)
    if dataset.file.filename != h5file.filename:
        raise InputError(
            f"{h5file.filename}: {name}: is a link to {dataset.file.filename}, and cannot be "
            "memory-mapped here; copy the dataset into this file"
        )
    found = Place(dataset.id.get_offset() or 0, dataset.shape, dataset.dtype)
    if not dataset.size:
        return found
    if dataset.chunks is not None or not found.offset:
        raise InputError(
            f"{h5file.filename}: {name}: is not stored as one contiguous uncompressed block "
            "and cannot be memory-mapped; write it without chunks and filters"
        )
    end, size = _end(found), os.path.getsize(h5file.filename)
    if found.dtype.hasobject or end > size:
        raise InputError(
            f"{h5file.filename}: {name}: reaches to byte {end:,} of a file of {size:,}, or is of a "
            "type without numbers; the file is damaged: write or copy it again"
        )
    return found


def memory_maps(path: str | Path, places: Iterable[Place]) -> list[np.ndarray]:
    """Return what lies at places of a file, as read-only arrays on one memory map of it.

    An empty dataset owns no bytes of the file, and gives an empty array.

    Args:
        path: of the file.
        places: (`place`).

    Returns:
        An array of the shape of each place, such as (n,); none can be written to.
    """
    # Plain arrays on its pages: taking parts of np.memmap costs more than small parts do.
    content = np.asarray(np.memmap(path, np.uint8, "r"))
    return [
        content[at.offset : _end(at)].view(at.dtype).reshape(at.shape)
        if math.prod(at.shape)
        else _empty(at)
        for at in places
    ]


def _empty(at: Place) -> np.ndarray:
    found = np.empty(at.shape, at.dtype)
    found.flags.writeable = False
    return found


def _end(at: Place) -> int:
    return at.offset + math.prod(at.shape) * at.dtype.itemsize


def memory_map(
    source: h5py.File | str | Path,
    name: str,
    shape: Shape | None = None,
    dtype_kind: str | None = None,
) -> np.ndarray:
    """Return dataset `name` as a read-only memory map; it stays valid after the file is closed.

    Args:
        source: an open file, or a path.
        name: path of the dataset.
        shape: that it must have; None in it: any length.
        dtype_kind: kinds of type that it may have, such as `f` or `iu`.

    Returns:
        An array of the shape of the dataset, such as (n,); it cannot be written to.

    Raises:
        InputError: as `place`.
    """
    if not isinstance(source, h5py.File):
        with open_h5(source) as h5file:
            return memory_map(h5file, name, shape, dtype_kind)
    (found,) = memory_maps(source.filename, [place(source, name, shape, dtype_kind)])
    return found
