"""Functions of the particles of each event: one number per event, or the particles in order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omniflow.expressions.errors import ExpressionError
from omniflow.expressions.kinds import boolean, real
from omniflow.expressions.values import Values, combine


def total(values: Values) -> Values:
    """Return the sum per event, (n,) float64, added up one particle after the other."""
    events = len(values.bounds) - 1
    return Values(np.bincount(values.event_index, real(values.array), events))


def mean(values: Values) -> Values:
    """Return the mean per event, (n,) float64; NaN without particles."""
    return Values(np.divide(total(values).array, np.diff(values.bounds)))


def extreme(ufunc: np.ufunc) -> Callable[[Values], Values]:
    """Return the function that gives the largest (np.maximum) or smallest number per event.

    Its result is (n,) float64; NaN without particles, or where one of them is NaN.
    """

    def function(values: Values) -> Values:
        filled = np.diff(values.bounds) > 0
        result = np.full(len(filled), np.nan)
        if filled.any():
            # Events without particles take no rows, so that those that follow are adjacent.
            result[filled] = ufunc.reduceat(real(values.array), values.bounds[:-1][filled])
        return Values(result)

    return function


def anywhere(values: Values) -> Values:
    """Return whether any particle of the event is true, (n,) bool."""
    return Values(_true(values, "any") > 0)


def everywhere(values: Values) -> Values:
    """Return whether all particles of the event are true, (n,) bool; true without particles."""
    return Values(_true(values, "all") == np.diff(values.bounds))


def count(values: Values) -> Values:
    """Return the number of particles per event, (n,) int64."""
    return Values(np.diff(values.bounds))


def nth(values: Values, place: Values) -> Values:
    """Return one particle per event, (n,) float64; NaN where there are too few.

    `place` is one integer for all events: 0 is the first particle, -1 the last.

    Args:
        values: (M,) per particle.
        place: one whole number k.

    Returns:
        (n,) per event.

    Examples:
        >>> import numpy as np
        >>> pt = Values(np.array([1.0, 2.0, 3.0]), offsets=np.array([0, 1, 3]))
        >>> nth(pt, Values(np.asarray(1))).array.tolist()
        [nan, 3.0]
    """
    k = int(place.array)
    counts = np.diff(values.bounds)
    enough = counts > k if k >= 0 else counts >= -k
    rows = (values.bounds[:-1] if k >= 0 else values.bounds[1:])[enough] + k
    result = np.full(len(counts), np.nan)
    result[enough] = values.array[rows]
    return Values(result)


def first(values: Values) -> Values:
    """Return the first particle per event, (n,) float64; NaN without particles."""
    return nth(values, Values(np.asarray(0)))


def sort(values: Values, key: Values | None = None) -> Values:
    """Return the particles of each event by falling `key` (default: by themselves).

    Equal keys keep their order, and NaN comes last. The collection stays the same.

    Args:
        values: (M,) per particle.
        key: (M,) per particle of the same collection.

    Returns:
        (M,) per particle, of the same collection.

    Raises:
        ExpressionError: the key is of another collection, or per event.

    Examples:
        >>> import numpy as np
        >>> pt = Values(np.array([1.0, 2.0, 3.0]), offsets=np.array([0, 1, 3]))
        >>> sort(pt).array.tolist()
        [1.0, 3.0, 2.0]
    """
    key = values if key is None else key
    if key.offsets is None:
        raise ExpressionError(
            "sort(x, by=key) orders particles, but the key is one number per event"
        )
    array = combine(lambda _, keys: keys, values, key).array
    # Reversing the bits reverses the order of integers of every type; -x would overflow.
    falling = -array if array.dtype.kind == "f" else ~array
    order = np.lexsort((falling, values.event_index))
    return Values(values.array[order], values.offsets, values.source)


def _true(values: Values, user: str) -> np.ndarray:
    """Return the number of true particles per event, (n,) int64."""
    seen = np.concatenate([[0], np.cumsum(boolean(values.array, user))])
    return np.diff(seen[values.bounds])
