"""Bins that values lie in: where all histograms begin, and much of their time went."""

from __future__ import annotations

import numpy as np

# With more edges a search takes less time than comparisons with each of them.
_FEW = 100


def places(value: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each value; bins are [low, high).

    A value is at least as large as an edge exactly if it is as large as the next number of its own
    type at or above the edge. So values in single precision are compared with edges in single
    precision, which takes a tenth of the time of a search in double precision.

    Args:
        value: (k,) numbers, mostly float32.
        edges: (B + 1,) increasing.

    Returns:
        (k,) from 0 to B - 1; -1 below the first edge and for NaN, B from the last edge on.

    Examples:
        >>> import numpy as np
        >>> places(np.array([-1.0, 0.0, 1.5, 2.0, np.nan]), np.array([0.0, 1.0, 2.0])).tolist()
        [-1, 0, 1, 2, -1]
    """
    value = np.asarray(value) if np.asarray(value).dtype.kind == "f" else np.asarray(value, float)
    if len(edges) > _FEW:
        found = np.searchsorted(edges, value.astype(np.float64), side="right") - 1
        return np.where(np.isnan(value), -1, found)
    with np.errstate(all="ignore"):  # edges beyond the largest number
        near = np.asarray(edges, value.dtype)
        near = np.where(near < edges, np.nextafter(near, np.inf, dtype=value.dtype), near)
    found = np.full(len(value), -1, np.int8)
    for edge in near:
        found += value >= edge
    return found.astype(np.intp)
