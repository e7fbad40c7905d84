"""Folders that exports make, and make again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omniflow.errors import OutputError
from omniflow.files import replace_folder


@contextmanager
def replace_export(folder: str | Path, mark: str) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `folder`; only an earlier export is replaced.

    Args:
        folder: new, empty, or of an earlier export.
        mark: a file that every such export has.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; give a new folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / mark).is_file():
        raise OutputError(f"{folder}: holds other files than an earlier export; give a new folder")
    with replace_folder(folder) as temporary:
        yield temporary
