"""Sidecar: numbers of a bundle beside its events, as npy files of a known shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from omniflow.errors import InputError
from omniflow.export.bundle import folder

LARGEST = 64 * 2**20  # bytes of a description
Model = TypeVar("Model", bound=BaseModel)


def read(where: Path, name: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Return an array that stays in its file.

    Args:
        where: folder of the bundle.
        name: of the file.
        shape: that it must have.
        kind: that it must have, such as `<f4`.

    Returns:
        Of this shape, (...), as a memory map.

    Raises:
        InputError: missing, or of another shape or type.
    """
    path = folder.inside(where, name)
    try:
        found = np.lib.format.open_memmap(path, mode="r")  # refuses pickles
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: cannot be read as npy ({reason}); copy the bundle again"
        ) from error
    if (found.shape, found.dtype.str) != (shape, kind):
        raise InputError(
            f"{path}: has shape {found.shape} of {found.dtype.str} where {shape} of {kind} is "
            "needed; copy the bundle again"
        )
    return np.asarray(found)


def describe(where: Path, name: str, model: type[Model]) -> Model:
    """Return the description in a JSON file.

    Args:
        where: folder of the bundle.
        name: of the file.
        model: what it must be.

    Raises:
        InputError: missing, no JSON, or something else.
    """
    with folder.opened(where, name) as file:
        raw = file.read(LARGEST + 1)
    try:
        if len(raw) > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
        content: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where / name}: is not valid JSON ({error}); copy the bundle again"
        ) from error
    return validated(content, model, where / name)


def validated(content: Any, model: type[Model], path: Path) -> Model:
    """Return content as a model.

    Args:
        content: mappings, lists and numbers.
        model: what it must be.
        path: for messages.

    Raises:
        InputError: names the first things that are wrong.
    """
    try:
        return model.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise InputError(f"{path}: {problems(error)}") from error


def problems(error: Exception) -> str:
    """Return what is wrong in a line."""
    if not isinstance(error, ValidationError):
        return "is nested too deep; it is none of a bundle"
    lines = [
        f"{'.'.join(map(str, item['loc']))[:100] or '(top level)'}: {item['msg'][:200]}"
        for item in error.errors(include_url=False, include_input=False)[:5]
    ]
    more = f"; and {error.error_count() - len(lines)} more" if error.error_count() > 5 else ""
    return "; ".join(lines) + more
