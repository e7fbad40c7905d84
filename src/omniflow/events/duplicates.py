"""Duplicates: events that hold the same content, in one sample or in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omniflow.events.hashing import mixed
from omniflow.events.sample import Events, Level

_BLOCK = 50_000  # events hashed at a time
_SHOWN = 3  # pairs that are compared number by number
# What an event must hold to be told from others: numbers with a fraction count 2, those of few bits
# 1. Of two numbers of 22 bits many are equal by chance in a large sample, whole numbers always are.
_TELLING = 5
_LOW_BITS = np.uint32(0x7FF)  # of float32, all 0 in numbers that were stored with 12 bits or fewer


@dataclass(frozen=True)
class Duplicates:
    """Events that are there more than once.

    Attributes:
        number: events that hold the same as an earlier one.
        pairs: (k, 2) positions of the first few, with that of the earlier one in front.
    """

    number: int
    pairs: np.ndarray


def find(events: Events) -> Duplicates:
    """Return the events that hold the same as an earlier one at all levels.

    Weights and flags do not count: a repeated event with another weight is the same event. Nor do
    events that hold nothing, such as those of real data that do not pass, or so little that
    different ones are alike (`_TELLING`). It takes 16 bytes per event beside the sample.
    """
    levels = [level for level in (events.detector, events.particle) if level is not None]
    found = hashes(levels)
    order = np.argsort(found, kind="stable")
    same = np.flatnonzero((np.diff(found[order]) == 0) & (found[order[1:]] != 0))
    pairs = np.stack([order[same], order[same + 1]], axis=1)
    pairs = pairs[np.argsort(pairs[:, 1])]
    return Duplicates(len(pairs), np.array([p for p in pairs[:_SHOWN] if _equal(levels, *p)]))


def hashes(levels: Sequence[Level]) -> np.ndarray:
    """Return a hash (n,) uint64 of what each event holds at all levels, 0 where that is too little.

    Of 20 million different events two have the same hash with a probability of 1e-5.

    Args:
        levels: of the same n events.

    Returns:
        (n,) uint64.
    """
    found = np.zeros(len(levels[0]), np.uint64)
    for start in range(0, len(found), _BLOCK):
        rows = slice(start, start + _BLOCK)
        parts = [_part(level, rows) for level in levels]
        held = np.sum([telling for telling, _ in parts], axis=0) >= _TELLING
        total = np.zeros(len(held), np.uint64)
        for _, part in parts:
            total = mixed(total + part)
        found[rows] = np.where(held, np.maximum(total, 1), 0)
    return found


def common(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which hashes (n,) of one sample are among those of another (m,), none of them 0.

    Args:
        one: (n,) hashes.
        other: (m,) hashes.

    Returns:
        (n,) bool.
    """
    other = np.sort(other)
    at = np.minimum(np.searchsorted(other, one), len(other) - 1)
    return (one != 0) & (other[at] == one) if len(other) else np.zeros(len(one), bool)


def _part(level: Level, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return how well events can be told apart at a level, and hashes of them, (k,) each."""
    event = np.asarray(level.event[rows])
    offsets = np.asarray(level.offsets[rows.start : rows.start + len(event) + 1])
    particles = np.asarray(level.particles[offsets[0] : offsets[-1]])
    offsets, counts = offsets - offsets[0], np.diff(offsets)
    place = np.arange(len(particles)) - np.repeat(offsets[:-1], counts)
    each = mixed(_words(particles) + place.astype(np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(each, dtype=np.uint64)])
    of_particles = sums[offsets[1:]] - sums[offsets[:-1]]
    telling = np.concatenate([[0], np.cumsum(_telling(particles), dtype=np.int64)])
    held = _telling(event) + telling[offsets[1:]] - telling[offsets[:-1]]
    return held, mixed(_words(event) + of_particles)


def _telling(rows: np.ndarray) -> np.ndarray:
    """Return how well rows (k, C) of float32 can be told apart, (k,)."""
    total = np.zeros(len(rows), np.uint32)
    for column in np.asarray(rows, np.float32).T:
        values = np.ascontiguousarray(column)
        fraction = values != np.trunc(values)
        total += fraction
        total += fraction & ((values.view(np.uint32) & _LOW_BITS) != 0)
    return total


def _words(rows: np.ndarray) -> np.ndarray:
    """Return a hash (k,) of rows (k, C) of float32; the order of columns matters."""
    # Adding 0 turns -0 into 0, which is the same number.
    words = (np.ascontiguousarray(rows, np.float32) + np.float32(0)).view(np.uint32)
    total = np.zeros(len(rows), np.uint64)
    for column in words.T:
        total = mixed(total + column.astype(np.uint64))
    return total


def _equal(levels: Sequence[Level], one: int, other: int) -> bool:
    first, second = ([level.take(np.array([at])) for level in levels] for at in (one, other))
    return all(
        np.array_equal(a.event, b.event) and np.array_equal(a.particles, b.particles)
        for a, b in zip(first, second, strict=True)
    )
