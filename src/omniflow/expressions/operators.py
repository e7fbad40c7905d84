"""Operators: symbol -> function of Values. Arithmetic is float64, comparisons are exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from omniflow.expressions.errors import ExpressionError
from omniflow.expressions.kinds import boolean, integers, real
from omniflow.expressions.values import Values, combine

Operator = Callable[..., Values]


def _arithmetic(ufunc: np.ufunc) -> Operator:
    return lambda *values: combine(lambda *arrays: ufunc(*map(real, arrays)), *values)


def _division(ufunc: np.ufunc) -> Operator:
    """Return floor division or remainder: as for floats, but integers are not rounded before."""

    def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        result = ufunc(real(a), real(b))
        whole = integers(a, b)
        if whole is None or whole[0].dtype.itemsize < 8:
            return result  # float64 holds shorter integers exactly
        a, b = whole
        # Nothing divided by zero, and not -2**63 // -1, which no int64 holds.
        exact = (b != 0) & (np.abs(result) < 2.0 ** (64 if b.dtype.kind == "u" else 63))
        return np.where(exact, real(ufunc(a, np.where(exact, b, b.dtype.type(1)))), result)

    return lambda *values: combine(divide, *values)


def _logic(ufunc: np.ufunc, symbol: str) -> Operator:
    def apply(*arrays: np.ndarray) -> np.ndarray:
        truths = [boolean(array, f"`{symbol}`") for array in arrays]
        return reduce(ufunc, truths) if len(truths) > 1 else ufunc(*truths)

    return lambda *values: combine(apply, *values)


def _bits(ufunc: np.ufunc, symbol: str) -> Operator:
    def apply(*arrays: np.ndarray) -> np.ndarray:
        whole = integers(*arrays)
        if whole is None:
            raise ExpressionError(
                f"`{symbol}` needs true or false, or integers on both sides. It binds closer than "
                f"a comparison: write (x > 1) {symbol} (y > 2), or `and`, `or`, `not`"
            )
        return ufunc(*whole)

    return lambda *values: combine(apply, *values)


def _comparison(ufunc: np.ufunc) -> Operator:
    return lambda *values: combine(ufunc, *values)


# One and two operands; "u-" and "u+" are the signs in front of one.
OPERATORS: dict[str, Operator] = {
    "u+": _arithmetic(np.positive),
    "u-": _arithmetic(np.negative),
    "+": _arithmetic(np.add),
    "-": _arithmetic(np.subtract),
    "*": _arithmetic(np.multiply),
    "/": _arithmetic(np.divide),
    "//": _division(np.floor_divide),
    "%": _division(np.remainder),
    "**": _arithmetic(np.power),
    "and": _logic(np.logical_and, "and"),
    "or": _logic(np.logical_or, "or"),
    "not": _logic(np.logical_not, "not"),
    "&": _bits(np.bitwise_and, "&"),
    "|": _bits(np.bitwise_or, "|"),
    "~": _bits(np.invert, "~"),
    "<": _comparison(np.less),
    "<=": _comparison(np.less_equal),
    ">": _comparison(np.greater),
    ">=": _comparison(np.greater_equal),
    "==": _comparison(np.equal),
    "!=": _comparison(np.not_equal),
}
