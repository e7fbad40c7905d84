"""Subsets of lanes: smaller ensembles that are there without training anything."""

from __future__ import annotations

import itertools
import math

import numpy as np

# Of each size at most so many; all of them up to six lanes.
MOST = 20
SEED = 20240


def subsets(lanes: int, how: str) -> list[tuple[int, ...]]:
    """Return subsets of 1 to `lanes` lanes, by size: all of a size, or `MOST` drawn at random.

    The draw is the same every time. A truncated mean of two lanes does not exist.

    Args:
        lanes: number of lanes.
        how: combination of lanes.
    """
    rng = np.random.default_rng(SEED)
    found: list[tuple[int, ...]] = []
    for size in range(1, lanes + 1):
        if size == 2 and how == "truncated_mean":
            continue
        if math.comb(lanes, size) <= MOST:
            found += itertools.combinations(range(lanes), size)
            continue
        drawn: set[tuple[int, ...]] = set()
        while len(drawn) < MOST:
            drawn.add(tuple(sorted(rng.choice(lanes, size, replace=False).tolist())))
        found += sorted(drawn)
    return found
