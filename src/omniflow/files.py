"""Files: atomic writing, and reading of what earlier jobs wrote as JSON."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.errors import InputError, OutputError

if TYPE_CHECKING:
    import pandas as pd

# What is raised where a file of ours is not what was written: no JSON, no such keys, other types.
MISREAD = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(AssertionError, RecursionError, StopIteration),
)

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
