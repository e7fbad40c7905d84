"""Matching of the jets of an event between its two levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omniflow.observables.entries import Objects

NOWHERE = -1  # the partner of an object without one, the cell of an object that does not count
CHUNK = 200_000  # events per step: bounds the memory of pairs


def match(particle: Objects, detector: Objects, both: np.ndarray, radius: float) -> np.ndarray:
    """Match jets one to one within their events.

    The closest pair of an event is matched first, then the closest of the remaining jets, and so
    on, up to a distance sqrt(deta^2 + dphi^2) of `radius`; of equal distances the pair that comes
    first.

    Args:
        particle: jets at particle level.
        detector: jets at detector level of the same n events.
        both: (n,) bool, events in which jets are matched.
        radius: largest distance of a pair.

    Returns:
        Partner (k,) of every particle-level jet among those at detector level, or NOWHERE.

    Raises:
        ValueError: objects without directions.

    Examples:
        >>> import numpy as np
        >>> event, pt = np.array([0, 0]), np.array([20.0, 10.0])
        >>> truth = Objects(event, pt, eta=np.array([0.0, 2.0]), phi=np.zeros(2))
        >>> seen = Objects(event, pt, eta=np.array([1.9, 5.0]), phi=np.zeros(2))
        >>> match(truth, seen, np.array([True]), radius=0.4).tolist()
        [-1, 0]
    """
    if particle.eta is None or particle.phi is None or detector.eta is None or detector.phi is None:
        raise ValueError("only what has directions is matched")
    partner = np.full(len(particle), NOWHERE)
    for true, seen in _pairs(particle.event, detector.event, both):
        deta = particle.eta[true].astype(float) - detector.eta[seen]
        dphi = particle.phi[true].astype(float) - detector.phi[seen]
        distance = np.hypot(deta, (dphi + np.pi) % (2 * np.pi) - np.pi)
        order = np.argsort(distance, kind="stable")
        order = order[distance[order] < radius]
        true, seen = true[order], seen[order]
        # What is closest for both of its jets is closest among all that share a jet with it:
        # taking these together is the same as taking one pair after the other.
        while len(true):
            closest = _first(true) & _first(seen)
            partner[true[closest]] = seen[closest]
            rest = ~(np.isin(true, true[closest]) | np.isin(seen, seen[closest]))
            true, seen = true[rest], seen[rest]
    return partner


def _pairs(
    particle: np.ndarray, detector: np.ndarray, both: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs of jets of the same event, some events at a time."""
    for start in range(0, len(both), CHUNK):
        events = np.arange(start, min(start + CHUNK, len(both)) + 1)
        first = np.searchsorted(detector, events)
        true = np.arange(*np.searchsorted(particle, events[[0, -1]]))
        true = true[both[particle[true]]]
        local = particle[true] - start
        counts = np.diff(first)[local]
        ends = np.cumsum(counts)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        yield np.repeat(true, counts), np.repeat(first[local], counts) + within


def _first(index: np.ndarray) -> np.ndarray:
    """Return which elements (k,) are the first of their value."""
    result = np.zeros(len(index), bool)
    result[np.unique(index, return_index=True)[1]] = True
    return result
