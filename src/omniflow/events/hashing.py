"""Hashes, and random numbers of events that are functions of an event's id and a seed alone."""

from __future__ import annotations

from functools import cache
from math import exp, factorial

import numpy as np


def uniform(event_id: np.ndarray, seed: int) -> np.ndarray:
    """Return uniform numbers in [0, 1), (n,), of events with ids (n,) uint64 (53 bits each).

    SplitMix64 (Steele et al. 2014) of id and seed: the same for any order of events or rank.

    Args:
        event_id: (n,) whole numbers, none below 0.
        seed: of the numbers, below 2**64.

    Returns:
        (n,) float64 in [0, 1).
    """
    with np.errstate(over="ignore"):
        x = event_id.astype(np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    x = mixed(mixed(x))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mixed(x: np.ndarray) -> np.ndarray:
    """Return hashes of numbers (n,) uint64, one to one: a step of SplitMix64.

    Args:
        x: (n,) uint64.

    Returns:
        (n,) uint64.
    """
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def poisson(event_id: np.ndarray, seed: int) -> np.ndarray:
    """Return numbers (n,) uint8 that follow a Poisson distribution of mean 1, of events (n,).

    Args:
        event_id: (n,) uint64.
        seed: of the numbers.

    Returns:
        (n,) uint8.

    Examples:
        >>> import numpy as np
        >>> drawn = poisson(np.arange(100_000, dtype=np.uint64), seed=1)
        >>> float(drawn.mean().round(2)), float(drawn.var().round(2))
        (1.0, 1.0)
    """
    return np.searchsorted(_cumulative(), uniform(event_id, seed), side="right").astype(np.uint8)


@cache
def _cumulative() -> np.ndarray:
    """P(k or less) for k = 0 ... 20; more has a probability below 1e-19."""
    return np.cumsum([exp(-1) / factorial(k) for k in range(21)])
