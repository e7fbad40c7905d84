"""Given files: what the provenance records of them; a copy of a file is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omniflow import linked
from omniflow.errors import InputError


def described(files: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, bytes and SHA-256 of each file, and of the files that HDF5 links to.

    Raises:
        InputError: a file holds the same bytes as an earlier one.
    """
    found = [
        _file(name) | {"sources": [_file(source) for source in linked.of_file(name)]}
        for name in files
    ]
    first: dict[str, str] = {}
    for file in found:
        name = first.setdefault(file["sha256"], file["name"])
        if name != file["name"]:
            raise InputError(
                f"{file['name']}: is a copy of {name}, so that the sample would hold its events "
                "twice; leave one of the two out"
            )
    return found


def _file(path: str | Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": str(path), "bytes": Path(path).stat().st_size, "sha256": digest}
