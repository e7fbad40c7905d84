"""Folder: the files of a bundle, opened by plain names only, and their checksums."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from io import BufferedReader
from pathlib import Path

from omniflow.errors import InputError

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file, or a folder, that lies in a folder and is no link.

    Args:
        folder: of the bundle.
        name: as its metadata have it.

    Raises:
        InputError: the name leads elsewhere, or nothing is there.
    """
    if not _PLAIN.fullmatch(name):
        raise InputError(
            f"{folder}: its metadata name {name[:100]!r}, which is no plain name of a file in the "
            "folder; such a bundle is not opened"
        )
    path = folder / name
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise InputError(f"{path}: is missing; copy the whole folder of the bundle") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: is a link or a device; put the file itself into the folder")
    return path


def opened(folder: Path, name: str) -> BufferedReader:
    """Return a file of the folder, open for reading.

    Raises:
        InputError: as `inside`, or it is no file or may not be read.
    """
    path = inside(folder, name)
    try:
        # Without O_NONBLOCK a pipe that took the place of a file would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path}: is no file; copy the whole folder of the bundle")
    return os.fdopen(handle, "rb")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, name: str, sha256: str) -> None:
    """Refuse a file of the folder with other bytes than those that were written.

    Raises:
        InputError: as `opened`, or the checksum is another.
    """
    with opened(folder, name) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise InputError(
            f"{folder / name}: its SHA-256 is {found[:12]}..., and {sha256[:12]}... in the "
            "metadata: the file was changed or cut off; copy the bundle again"
        )
