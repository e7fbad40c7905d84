"""Files: atomic writing, and reading of HDF5 with errors that name file and dataset."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from omniflow import linked
from omniflow.errors import InputError, OmniflowError, OutputError

if TYPE_CHECKING:
    import pandas as pd

# What is raised where a file of ours is not what was written: no JSON, no such keys, other types.
MISREAD = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(AssertionError, RecursionError, StopIteration),
)
_CHUNK = 2**30  # bytes of the largest chunk of a dataset that is read

Shape = tuple[int | None, ...]

# What only writing can run into, and what helps.
_UNWRITABLE = {
    errno.ENOSPC: "no space is left on the device; free some, or set study.output to a larger one",
    errno.EDQUOT: "the disk quota is used up; free some, or set study.output to another device",
    errno.EROFS: "the file system is read-only; make it writable, or set study.output to another",
    errno.EACCES: "permission denied; change the folder's permissions, or set study.output to "
    "another folder",
}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path` that becomes `path` on success.

    The folder is made if missing. The temporary name ends like `path`, so that writers which
    look at the suffix do the same as for `path`. After any exception (KeyboardInterrupt too)
    the temporary file is removed and an existing `path` is left as it was. One process at a time
    writes a path: temporary files of earlier ones are those of killed writers, and are removed.

    Raises:
        OutputError: the disk is full, read-only, or may not be written to.
    """
    path = Path(path)
    temporary = path.parent / f".tmp-{uuid.uuid4().hex[:12]}-{path.name}"
    with writable(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        discard_left_over(path)
        try:
            yield temporary
            # Else a power cut after the renaming could leave an empty file under the final name.
            _sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            _discard(temporary)
            raise


@contextmanager
def replace_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces the folder `path` on success.

    After any exception the temporary folder is removed and an existing `path` left as it was. One
    process at a time writes a path, as in `atomic_path`.

    Raises:
        OutputError: the disk is full, read-only, or may not be written to.
    """
    path = Path(path)
    temporary = path.parent / f".tmp-{uuid.uuid4().hex[:12]}-{path.name}"
    with writable(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        discard_left_over(path)
        try:
            temporary.mkdir()
            yield temporary
            for file in (*temporary.rglob("*"), temporary):
                _sync(file)
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
        except BaseException:
            for file in temporary.rglob("*"):
                _discard(file)
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def left_over(path: str | Path) -> list[Path]:
    """Return the temporary files and folders of writers of `path`."""
    path = Path(path)
    temporary = re.compile(r"\.tmp-[0-9a-f]{12}-" + re.escape(path.name))
    try:
        names = os.listdir(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [path.parent / name for name in names if temporary.fullmatch(name)]


def discard_left_over(path: str | Path) -> None:
    """Remove what killed writers of `path` have left; nobody must be writing it."""
    for found in left_over(path):
        with suppress(OSError):  # it does no harm
            shutil.rmtree(found) if found.is_dir() else found.unlink()


def _sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _discard(path: Path) -> None:
    """Remove a file and free its space at once, although HDF5 may hold it open; if it is there."""
    if path.is_file():
        os.truncate(path, 0)
        path.unlink()


@contextmanager
def writable(path: Path, temporary: Path) -> Iterator[None]:
    """Turn errors of writing `path` by way of `temporary` into an OutputError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 names the number in its text alone, and raises RuntimeError when it closes a file.
        text = re.search(r"errno = (\d+)", str(error))
        number = int(text[1]) if text else getattr(error, "errno", None)
        where = str(getattr(error, "filename", None) or "")
        elsewhere = number == errno.EACCES and not (
            where.startswith(str(temporary)) or where == str(path.parent)
        )
        if number not in _UNWRITABLE or elsewhere:
            raise
        # A file inside a folder that is replaced: the folder's final name says more.
        final = re.sub(r"\.tmp-[0-9a-f]{12}-", "", str(path))
        raise OutputError(
            f"{final}: cannot be written: {_UNWRITABLE[number]}. Then start again; what is "
            "finished is kept."
        ) from error


def write_text(text: str, path: str | Path) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(value: Any, path: str | Path) -> None:
    """Write `value` (NumPy scalars and arrays, and paths, included) to `path` as JSON, atomically.

    Raises:
        ValueError: `value` holds NaN or infinity, which JSON does not know.
    """
    write_text(to_json(value) + "\n", path)


def to_json(value: Any) -> str:
    """Return `value` as indented JSON; see `write_json`."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a pandas frame without its index to `path` as CSV, atomically; NaN becomes empty."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


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


@contextmanager
def understood(path: str | Path, part: str = "") -> Iterator[None]:
    """Turn what is raised because a file of ours holds something else into an InputError.

    Args:
        path: of a file that an earlier job wrote.
        part: of the file.

    Raises:
        InputError: the file cannot be read, or its content is not what was written.
    """
    where = f"{path}: {part}" if part else f"{path}"
    try:
        yield
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}); run the study") from error
    except MISREAD as error:
        raise InputError(
            f"{where}: is not what was written ({type(error).__name__}: {error}); the file is "
            "damaged, or of another version: delete it and run the study again"
        ) from error


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file that an earlier job wrote.

    Raises:
        InputError: it is missing, or not JSON.
    """
    with understood(path):
        return json.loads(Path(path).read_text(encoding="utf-8"))


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
    linked.find(h5file, name)
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


def memory_map(
    source: h5py.File | str | Path,
    name: str,
    shape: Shape | None = None,
    dtype_kind: str | None = None,
) -> np.ndarray:
    """Return dataset `name` as a read-only memory map; it stays valid after the file is closed.

    Empty datasets, which own no bytes of the file, give an empty array.

    Args:
        source: an open file, or a path.
        name: path of the dataset.
        shape: that it must have; None in it: any length.
        dtype_kind: kinds of type that it may have, such as `f` or `iu`.

    Returns:
        An array of the shape of the dataset, such as (n,); it cannot be written to.

    Raises:
        InputError: as `find_dataset`, or the dataset is chunked or compressed.
    """
    if not isinstance(source, h5py.File):
        with open_h5(source) as h5file:
            return memory_map(h5file, name, shape, dtype_kind)
    dataset = find_dataset(source, name, shape, dtype_kind)
    if dataset.size == 0:
        empty = np.empty(dataset.shape, dataset.dtype)
        empty.flags.writeable = False
        return empty
    offset = dataset.id.get_offset()
    if dataset.chunks is not None or offset is None:
        raise InputError(
            f"{source.filename}: {name}: is not stored as one contiguous uncompressed block "
            "and cannot be memory-mapped; write it without chunks and filters"
        )
    end = offset + dataset.size * dataset.dtype.itemsize
    if dataset.dtype.hasobject or end > os.path.getsize(source.filename):
        raise InputError(
            f"{source.filename}: {name}: reaches to byte {end:,} of a file of "
            f"{os.path.getsize(source.filename):,}, or is of a type without numbers; the file is "
            "damaged: write or copy it again"
        )
    mapped = np.memmap(source.filename, dataset.dtype, "r", offset, dataset.shape)
    # A plain array on the same pages: taking parts of np.memmap costs more than small parts do.
    return np.asarray(mapped)
