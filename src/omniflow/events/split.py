"""Split of events into training and held-out ones, and the order in which they are met."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from omniflow.events.batches import Source
from omniflow.events.hashing import uniform
from omniflow.events.slices import slices

# Events are stored in random order, so slices of this many may be shuffled as units;
# a buffer of BUFFER slices is permuted event by event.
SLICE = 512
BUFFER = 32


def held_out(event_id: np.ndarray, seed: int, fraction: float) -> np.ndarray:
    """Return which events ((n,) uint64 ids) the network with this split seed holds out, (n,) bool.

    A function of id and seed alone, so that both roles of an event in step 2 fall on the same side
    and the split is the same for any order or rank.

    Args:
        event_id: (n,) uint64.
        seed: of the split.
        fraction: of the events that are held out.

    Returns:
        (n,) bool.

    Examples:
        >>> import numpy as np
        >>> event_id = np.arange(10_000, dtype=np.uint64)
        >>> float(held_out(event_id, seed=1, fraction=0.2).mean().round(1))
        0.2
    """
    return uniform(event_id, seed) < fraction


@dataclass(frozen=True)
class Part:
    """The training or the held-out events of a source, for one network.

    Attributes:
        source: of n events.
        positions: (k,) int64, those of the part's events in the source, ascending. Ids are hashed
            once for all epochs.
    """

    source: Source
    positions: np.ndarray

    @classmethod
    def of(cls, source: Source, seed: int, fraction: float, validation: bool) -> Part:
        """Return the events that the split with this seed holds out, or those that it does not.

        Args:
            source: n events.
            seed: of the split.
            fraction: of the events that are held out.
            validation: whether the part is the held-out one.
        """
        found = np.array(source.select)
        for rows in slices(len(found)):
            held = held_out(source.event_id[rows], seed, fraction)
            found[rows] &= held == validation
        return cls(source, np.flatnonzero(found))

    def totals(self) -> tuple[int, float, float]:
        """Return the number of events and the sums of weights in class A and class B."""
        sums = np.zeros(2)
        for weights in self._weights():
            sums += [each.sum() for each in weights]
        return len(self.positions), float(sums[0]), float(sums[1])

    def magnitude(self) -> float:
        """Return the sum of the magnitudes of all weights."""
        found = 0.0
        for weights in self._weights():
            found += sum(float(np.abs(each).sum()) for each in weights)
        return found

    def _weights(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the weights of the events of each slice, several slices read at a time."""
        starts = self.starts()
        for first in range(0, len(starts) - 1, BUFFER):
            ends = starts[first : first + BUFFER + 1]
            weights = self.source.weights(self.positions[ends[0] : ends[-1]])
            yield from zip(*(np.split(each, ends[1:-1] - ends[0]) for each in weights), strict=True)

    def starts(self) -> np.ndarray:
        """Return where in `positions` each slice of the source begins, and where the last ends."""
        number = math.ceil(len(self.source.event_id) / SLICE)
        return np.searchsorted(self.positions, np.arange(number + 1) * SLICE)

    def ordered(self, size: int, shard: int = 0, shards: int = 1) -> Iterator[np.ndarray]:
        """Yield all positions of a shard once, in order, at most `size` at a time.

        Args:
            size: most positions at a time.
            shard: number of the shard, from 0, a contiguous part of the source.
            shards: how many there are.

        Yields:
            Positions (k,) int64, k at most `size`.
        """
        starts = self.starts()
        own = np.array_split(np.arange(len(starts) - 1), shards)[shard]
        if len(own):
            first, end = starts[own[0]], starts[own[-1] + 1]
            for start in range(first, end, size):
                yield self.positions[start : min(start + size, end)]


class Shuffled:
    """The positions of a part in random order for ever, every event once per round."""

    def __init__(self, part: Part, rng: np.random.Generator) -> None:
        """Start the first round.

        Args:
            part: of at least one event.
            rng: random numbers.
        """
        self._buffers = _buffers(part.positions, part.starts(), rng)
        self._pending = np.empty(0, np.int64)

    def take(self, count: int) -> np.ndarray:
        """Return the next positions, (count,) int64.

        Args:
            count: how many.

        Returns:
            (count,) int64.
        """
        found = [self._pending]
        missing = count - len(self._pending)
        while missing > 0:
            found.append(next(self._buffers))
            missing -= len(found[-1])
        pending = np.concatenate(found) if len(found) > 1 else self._pending
        self._pending = pending[count:]
        return pending[:count]


def _buffers(
    positions: np.ndarray, starts: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield the positions of random slices, BUFFER at a time, in random order."""
    ends = starts.tolist()
    while True:
        order = rng.permutation(len(ends) - 1).tolist()
        for first in range(0, len(order), BUFFER):
            chosen = [positions[ends[i] : ends[i + 1]] for i in order[first : first + BUFFER]]
            yield rng.permutation(np.concatenate(chosen))
