"""Numbers per event or per particle, and how they meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omniflow.expressions.errors import ExpressionError


@dataclass(frozen=True, eq=False)
class Values:
    """One number per event, or one per particle of a collection (jets, muons, ...).

    Values with equal `offsets` are of the same collection.

    Attributes:
        array: (n,) one number per event, or (M,) one per particle, events one after the other;
            bool, integer or float.
        offsets: None (per event), or (n + 1,) int64: particles of event i are
            array[offsets[i]:offsets[i + 1]].
        source: column that stands for the collection in messages.
    """

    array: np.ndarray
    offsets: np.ndarray | None = None
    source: str = ""

    @property
    def bounds(self) -> np.ndarray:
        """`offsets` of values of particles, (n + 1,) int64; those of events have none."""
        if self.offsets is None:
            raise TypeError("numbers per event have no offsets")
        return self.offsets

    @property
    def event_index(self) -> np.ndarray:
        """Event of each number, (len(array),) int64."""
        if self.offsets is None:
            return np.arange(len(self.array))
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def load(name: str, values: Values, events: int) -> Values:
    """Return a column as expressions use it, checked: floats as float64, integers and bools as is.

    Args:
        name: of the column.
        values: (n,) per event, or (M,) per particle with offsets.
        events: number n.

    Returns:
        The column with its name, offsets as int64.

    Raises:
        ExpressionError: the column holds no numbers, or does not fit `events` events.
    """
    array = np.asarray(values.array)
    if array.ndim != 1:
        raise ExpressionError(
            f"column {name!r} has shape {array.shape}, but a column is one number per event or "
            "one per particle"
        )
    if array.dtype.kind not in "biuf":
        raise ExpressionError(f"column {name!r} holds no numbers, but {array.dtype}")
    wanted = np.float64 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    array = array.astype(wanted, copy=False)
    if values.offsets is None:
        if len(array) != events:
            raise ExpressionError(f"column {name!r} has {len(array)} numbers for {events} events")
        return Values(array, None, name)
    offsets = np.asarray(values.offsets)
    if offsets.shape != (events + 1,) or offsets.dtype.kind not in "iu":
        raise ExpressionError(
            f"column {name!r}: offsets of shape {offsets.shape} and type {offsets.dtype} for "
            f"{events} events; they must be {events + 1} integers"
        )
    offsets = offsets.astype(np.int64, copy=False)
    if offsets[0] != 0 or offsets[-1] != len(array) or (offsets[1:] < offsets[:-1]).any():
        raise ExpressionError(
            f"column {name!r}: offsets must rise from 0 to the number of particles, {len(array)}"
        )
    return Values(array, offsets, name)


def combine(function: Callable[..., np.ndarray], *values: Values) -> Values:
    """Return function(*arrays), number by number; numbers per event are repeated for particles.

    Args:
        function: takes as many arrays (k,) as there are values, and returns one of the same length.
        values: (n,) per event, or (M,) per particle of one collection.

    Returns:
        (M,) per particle if any of the values is, else (n,) per event.

    Raises:
        ExpressionError: particles of different collections.

    Examples:
        >>> import numpy as np
        >>> weight = Values(np.array([2.0, 10.0]))  # of two events
        >>> pt = Values(np.array([1.0, 2.0, 3.0]), offsets=np.array([0, 1, 3]))
        >>> combine(np.multiply, weight, pt).array.tolist()
        [2.0, 20.0, 30.0]
    """
    jagged = [one for one in values if one.offsets is not None]
    if not jagged:
        return Values(np.asarray(function(*(one.array for one in values))))
    first = jagged[0]
    for other in jagged[1:]:
        _same_collection(first, other)
    counts = np.diff(first.bounds)
    arrays = [
        # Constants have no dimension: NumPy repeats them.
        np.repeat(one.array, counts) if one.offsets is None and one.array.ndim else one.array
        for one in values
    ]
    return Values(np.asarray(function(*arrays)), first.offsets, first.source)


def select(values: Values, mask: Values) -> Values:
    """Return the particles of `values` for which `mask` is true: a collection of its own.

    Args:
        values: (M,) per particle.
        mask: (M,) bool of the same collection, or (n,) bool per event.

    Returns:
        (m,) per particle of a new collection.

    Raises:
        ExpressionError: `values` are per event, `mask` is of another collection or not boolean.
    """
    if mask.array.dtype != bool:
        raise ExpressionError(
            f"a mask is true or false, but this one holds numbers ({mask.array.dtype}): compare "
            "it with something, such as x[x > 0]"
        )
    if values.offsets is None:
        raise ExpressionError(
            "a mask selects particles, but what stands before [ is one number per event; "
            "where(mask, x, nan) blanks it in some events"
        )
    keep = combine(lambda _, chosen: np.broadcast_to(chosen, values.array.shape), values, mask)
    kept = np.concatenate([[0], np.cumsum(keep.array)])
    source = values.source if values.source.endswith("[...]") else f"{values.source}[...]"
    return Values(values.array[keep.array], kept[values.offsets], source)


def _same_collection(first: Values, other: Values) -> None:
    if first.bounds is other.bounds or np.array_equal(first.bounds, other.bounds):
        return
    raise ExpressionError(
        f"{first.source} and {other.source} are particles of different collections "
        f"({len(first.array)} and {len(other.array)} in {len(first.bounds) - 1} events). Make one "
        f"number per event of one of them, such as max({other.source.removesuffix('[...]')}), or "
        "give both the same mask"
    )
