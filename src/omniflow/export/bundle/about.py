"""About: what the authors of a bundle say themselves, from a YAML file and options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from omniflow.errors import InputError
from omniflow.export.bundle import safe_yaml, sidecar
from omniflow.export.bundle.more import About


def read(path: Path | None, given: Mapping[str, str] | None = None) -> About:
    """Return licence, citation and the like.

    Args:
        path: of a YAML file; None: there is none.
        given: on top of it.

    Raises:
        InputError: the file is missing, no YAML, or has keys that there are not.
    """
    content: dict = {}
    if path is not None:
        try:
            content = safe_yaml.load(path.read_bytes(), str(path))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from error
    return sidecar.validated({**content, **(given or {})}, About, path or Path("--about"))
