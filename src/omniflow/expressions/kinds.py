"""Kinds of numbers: float64 for arithmetic, integers as they are, true or false."""

from __future__ import annotations

import numpy as np

from omniflow.expressions.errors import ExpressionError


def real(array: np.ndarray) -> np.ndarray:
    """Return the array as float64; true is 1.

    Args:
        array: (k,) of any type of number.

    Returns:
        (k,) float64; the same array where it is that already.
    """
    return np.asarray(array, np.float64)


def boolean(array: np.ndarray, user: str) -> np.ndarray:
    """Return the array, which `user` (for the message) needs to be true or false.

    Args:
        array: (k,).
        user: what needs them, for the message.

    Returns:
        (k,) bool, the same array.

    Raises:
        ExpressionError: it holds numbers.
    """
    if array.dtype != bool:
        raise ExpressionError(
            f"{user} needs true or false, but got numbers ({array.dtype}): compare them with "
            "something, such as x != 0"
        )
    return array


def integers(*arrays: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Return integers or bools as one integer type that holds all of them, or None.

    NumPy would make float64 of uint64 and int64, and round large ids.
    """
    if any(array.dtype.kind not in "biu" for array in arrays):
        return None
    common = np.result_type(*arrays)
    if common.kind == "f":
        if all(array.dtype.kind in "bu" or (array >= 0).all() for array in arrays):
            common = np.dtype(np.uint64)
        elif all(array.dtype != np.uint64 or (array < 2**63).all() for array in arrays):
            common = np.dtype(np.int64)
        else:
            return None
    return tuple(array.astype(common, copy=False) for array in arrays)
