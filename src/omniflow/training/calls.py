"""Calls of the native library: what goes in and what comes out."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from omniflow.training.compiler import CompilerError
from omniflow.training.losses import LOSSES


@dataclass(frozen=True)
class Result:
    """Outcome of one pass: outputs (n,) and, with weights, loss and gradient (d,)."""

    outputs: np.ndarray
    loss: float
    gradient: np.ndarray | None


def pointer(array: np.ndarray, kind: np.dtype, shape: tuple[int | None, ...]) -> ctypes.c_void_p:
    """Return where the numbers of an array lie; sizes None are not compared.

    Args:
        array: of any shape, that C++ reads or writes.
        kind: type that it must have.
        shape: that it must have, such as (n, None).

    Returns:
        Address of the first number; the array must outlive it.

    Raises:
        TypeError: another type, shape or order: C++ cannot tell a wrong array from a right one.
    """
    fits = array.shape == shape or (
        array.ndim == len(shape)
        and all(w is None or w == n for w, n in zip(shape, array.shape, strict=True))
    )
    if not fits or array.dtype != kind or not array.flags.c_contiguous:
        raise TypeError(f"expected {kind} {tuple(shape)}, got {array.dtype} {array.shape}")
    return ctypes.c_void_p(array.ctypes.data)


def loss_number(library: ctypes.CDLL, loss: str) -> int:
    """Return what native/loss.h calls a loss.

    Raises:
        CompilerError: it does not have the loss.
    """
    number = LOSSES[loss].number
    if number is None or not library.omniflow_knows_loss(ctypes.c_int(number)):
        raise CompilerError(f"native/loss.h has no loss {loss}.")
    return number
