"""Ids: where the events of one sample stand in another."""

from __future__ import annotations

import numpy as np


def places(known: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Return where ids stand, (m,) positions in `known`; None if one of them is not there.

    Args:
        known: (n,) unique ids, in any order.
        wanted: (m,) ids.

    Returns:
        (m,) int64, or None.

    Examples:
        >>> import numpy as np
        >>> places(np.array([7, 3, 5]), np.array([3, 7])).tolist()
        [1, 0]
        >>> places(np.array([7, 3, 5]), np.array([4])) is None
        True
    """
    known, wanted = np.asarray(known), np.asarray(wanted)
    order = np.argsort(known)
    if not len(known):
        return None if len(wanted) else order
    found = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
    return found if np.array_equal(known[found], wanted) else None
