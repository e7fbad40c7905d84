"""Subsets of lanes or members: smaller ensembles that are there without training anything."""

from __future__ import annotations

import itertools
import math

import numpy as np

# Of each size at most so many; all of them up to six lanes or members.
MOST = 20
SEED = 20240


def subsets(size: int, how: str) -> list[tuple[int, ...]]:
    """Return subsets of lanes or members, by size: all of a size, or `MOST` drawn at random.

    The draw is the same every time. A truncated mean of two does not exist.

    Args:
        size: number of lanes or members.
        how: their combination.

    Returns:
        Positions, at most `MOST` subsets of each size.

    Examples:
        >>> subsets(3, "mean")
        [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
        >>> subsets(3, "truncated_mean")
        [(0,), (1,), (2,), (0, 1, 2)]
    """
    rng = np.random.default_rng(SEED)
    found: list[tuple[int, ...]] = []
    for chosen in range(1, size + 1):
        if chosen == 2 and how == "truncated_mean":
            continue
        if math.comb(size, chosen) <= MOST:
            found += itertools.combinations(range(size), chosen)
            continue
        drawn: set[tuple[int, ...]] = set()
        while len(drawn) < MOST:
            drawn.add(tuple(sorted(rng.choice(size, chosen, replace=False).tolist())))
        found += sorted(drawn)
    return found
