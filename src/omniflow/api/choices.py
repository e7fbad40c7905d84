"""Choices: what a caller names has to be there."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from omniflow.errors import InputError

T = TypeVar("T")


def one_of(what: str, value: T, known: Collection[T]) -> T:
    """Return a value that is known.

    Raises:
        InputError: it is not; the message lists what there is.
    """
    if value not in known:
        shown = ", ".join(map(str, known))
        raise InputError(f"there is no {what} {value!r}: {shown}")
    return value
