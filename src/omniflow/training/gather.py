"""Gather: rows of arrays by the native library, which asks memory for several at a time."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable

import numpy as np

from omniflow.training import compiler


def gather(array: np.ndarray, index: np.ndarray, out: np.ndarray) -> None:
    """Write rows of an array; as `events.batches.gathered`, which is slower, and to the same bits.

    Arrays of another type or order than the library reads are left to that.

    Args:
        array: (n, ...), aligned or not.
        index: (U, k) int64 positions, from 0 on.
        out: (U, k, ...), changed.

    Raises:
        IndexError: a position is not one of the n.
        CompilerError: there is no library.
    """
    row, itemsize = array.shape[1:], array.dtype.itemsize
    size = itemsize * math.prod(row)
    inner = (itemsize,) if row else ()
    fits = (
        len(row) < 2
        and array.dtype == out.dtype
        and out.shape == (*index.shape, *row)
        and array.strides[1:] == inner
        and out.strides[1:] == (size, *inner)
    )
    if not fits:
        out[...] = array[index]
        return
    if array.strides[0] == 0:  # one row for all, as of a constant weight
        out[...] = array[:1]
        return
    index = np.ascontiguousarray(index, np.int64)
    done = _call()(
        *(array.ctypes.data, len(array), array.strides[0], size),
        *(*index.shape, index.ctypes.data, out.ctypes.data, out.strides[0]),
    )
    if not done:
        raise IndexError(f"a position is not one of {len(array)}")


@functools.cache
def _call() -> Callable[..., bool]:
    call = compiler.library().omniflow_gather
    place, number = ctypes.c_void_p, ctypes.c_int64
    call.argtypes = [place, *[number] * 5, place, place, number]
    call.restype = ctypes.c_bool
    return call
