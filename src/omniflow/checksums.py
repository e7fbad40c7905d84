"""Checksums of given files: notes that change with the bytes of a file, not its time stamp.

Rules wait for the note of a file that no job makes, in place of the file. So a file that is copied
again, or only touched, makes nothing anew, however large it is; other bytes do, even where their
time stamp is old. A note has the size and the SHA-256 of the file; beside it stands by which signs
the file was known then (`.seen.json`), so that it is not read again while they are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from omniflow.errors import InputError
from omniflow.files import atomic_path, to_json, write_json

_LARGE = 1e9  # bytes that take some time to read


def notes(files: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """Return the paths of the notes of files, in a folder."""
    return {file: folder / f"{file.name}-{_hash(str(file))}.json" for file in files}


def update(notes: Mapping[Path, Path], say: Callable[[str], None]) -> None:
    """Bring the notes of files that no job makes up to date.

    Args:
        notes: paths of notes by file (`notes`).
        say: what tells the user that many bytes are read.

    Raises:
        InputError: a file is missing or cannot be read, and no note tells what it was.
        OutputError: a note cannot be written.
    """
    signs = {file: found for file in notes if (found := _signs(file))}
    new = [file for file, found in signs.items() if found != _seen(notes[file])]
    size = sum(signs[file][0] for file in new)
    if size > _LARGE:
        say(f"Reading {len(new)} new file(s) ({size / 1e9:.0f} GB) for their checksums, once.")
    for file in new:
        _write(file, notes[file], signs[file])
    for file, note in notes.items():
        if not note.exists():
            raise InputError(f"{file}: no such file; check the path")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _signs(file: Path) -> list[int] | None:
    """Return what changes when a file is written: size, times of content and inode, inode."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error}); check the path") from error
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _seen(note: Path) -> list[int] | None:
    """Return the signs of the file when its note was last compared with it."""
    try:
        return json.loads(_beside(note).read_text(encoding="utf-8")) if note.exists() else None
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _write(file: Path, note: Path, signs: list[int]) -> None:
    try:
        with open(file, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error}); check the path") from error
    text = to_json({"file": str(file), "bytes": signs[0], "sha256": digest}) + "\n"
    first = not note.exists()
    if first or note.read_text(encoding="utf-8") != text:
        with atomic_path(note) as temporary:
            temporary.write_text(text, encoding="utf-8")
            if first:  # as old as the file, so that what was made of it since then stays
                os.utime(temporary, ns=(signs[1], signs[1]))
    write_json(signs, _beside(note))


def _beside(note: Path) -> Path:
    return note.with_suffix(".seen.json")
