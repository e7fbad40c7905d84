"""Batches of events for training and inference, read by slices from memory-mapped features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from omniflow.events.features import Features
from omniflow.events.slices import slices


@dataclass(frozen=True)
class Batch:
    """B events padded to N particles.

    Attributes:
        particles: (B, N, F) float32, 0 where padded.
        mask: (B, N) float32, 1 for particles, 0 for padding.
        neighbours: (B, N, K) int32 index within the event; -1: none.
        event: (B, E) float32.
        numerator: (B,) float32 weights of the events as members of class A.
        denominator: (B,) float32 weights of the events as members of class B.
        index: (B,) int64 position in the source.
    """

    particles: np.ndarray
    mask: np.ndarray
    neighbours: np.ndarray
    event: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray
    index: np.ndarray

    def take(self, rows: np.ndarray) -> Batch:
        """Return the events `rows` (k,) of this batch.

        Args:
            rows: (k,) positions in the batch.

        Returns:
            A batch of k events.
        """
        return Batch(*(array[rows] for array in _fields(self)))

    def padded(self, events: int, length: int) -> Batch:
        """Return the batch with `events` events and `length` particles; those added count 0."""
        more, longer = (0, events - len(self.mask)), (0, length - self.mask.shape[1])
        rows = {"particles": [more, longer, (0, 0)], "mask": [more, longer]}
        rows["neighbours"] = rows["particles"]
        padded = {}
        for field in fields(self):
            array = getattr(self, field.name)
            widths = rows.get(field.name, [more, (0, 0)][: array.ndim])
            nothing = -1 if field.name in ("neighbours", "index") else 0
            padded[field.name] = np.pad(array, widths, constant_values=nothing)
        return Batch(**padded)


@dataclass(frozen=True)
class Flat:
    """B events with M particles in all, one after the other, without padding.

    Attributes:
        offsets: (B + 1,) int64, particles of event i are rows offsets[i]:offsets[i + 1].
        particles: (M, F) float32.
        neighbours: (M, K) int32 index within the event; -1: none.
        event: (B, E) float32.
        numerator: (B,) float32 weights of the events as members of class A.
        denominator: (B,) float32 weights of the events as members of class B.
    """

    offsets: np.ndarray
    particles: np.ndarray
    neighbours: np.ndarray
    event: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray


@dataclass(frozen=True)
class Flats:
    """U batches of B events each, which lie one after the other; as a sequence, of `Flat`.

    Attributes:
        rows: (U + 1,) int64, particles of batch u are rows[u]:rows[u + 1].
        offsets: (U, B + 1) int64, those of each batch from 0 on.
        particles: (M, F) float32.
        neighbours: (M, K) int32, or no rows.
        event: (U, B, E) float32.
        numerator: (U, B) float32.
        denominator: (U, B) float32.
    """

    rows: np.ndarray
    offsets: np.ndarray
    particles: np.ndarray
    neighbours: np.ndarray
    event: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.event)

    def __getitem__(self, i: int) -> Flat:
        """Return batch number i."""
        rows = slice(self.rows[i], self.rows[i + 1])
        return Flat(
            self.offsets[i],
            self.particles[rows],
            self.neighbours[rows],
            self.event[i],
            self.numerator[i],
            self.denominator[i],
        )


@dataclass(frozen=True)
class Source:
    """Events that take part in a training, with their weights in either class.

    Attributes:
        features: inputs of n events.
        event_id: (n,) uint64.
        select: (n,) bool, events that take part.
        numerator: arrays (n,) whose product is the weight in class A; empty: not in class A.
        denominator: arrays (n,) whose product is the weight in class B; empty: not in class B.
    """

    features: Features
    event_id: np.ndarray
    select: np.ndarray
    numerator: tuple[np.ndarray, ...]
    denominator: tuple[np.ndarray, ...]

    def weights(self, index: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights (k,) float64 in class A and in class B of events `index`.

        Args:
            index: (k,) positions, or a slice.

        Returns:
            Weights in class A and in class B, (k,) float64 each; 0 in a class without factors.
        """
        return self._product(self.numerator, index), self._product(self.denominator, index)

    def _product(self, factors: tuple[np.ndarray, ...], index: np.ndarray | slice) -> np.ndarray:
        size = len(self.event_id[index])
        result = np.ones(size) if factors else np.zeros(size)
        for factor in factors:
            # One number for all events is not looked up for each.
            result *= factor[0] if factor.strides == (0,) and size else factor[index]
        return result

    @cached_property
    def singles(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights of all events in class A and in class B, (n,) float32 each.

        Batches look them up in every epoch: the product of their factors is taken once.
        """
        return self._single(self.numerator), self._single(self.denominator)

    def _single(self, factors: tuple[np.ndarray, ...]) -> np.ndarray:
        size = len(self.event_id)
        if all(factor.strides == (0,) for factor in factors):  # none, or one number for all events
            return np.broadcast_to(self._product(factors, slice(0, 1)).astype(np.float32), size)
        found = np.empty(size, np.float32)
        with np.errstate(over="ignore"):  # an infinite weight is found by the training it is in
            for rows in slices(size):
                found[rows] = self._product(factors, rows)
        return found

    @property
    def bare(self) -> Source:
        """The same events without weights, where outputs alone are asked for."""
        return replace(self, numerator=(), denominator=())

    def batch(self, index: np.ndarray, length: int = 1) -> Batch:
        """Return the events `index` (B,) padded to `length` or their largest multiplicity.

        Args:
            index: (B,) positions.
            length: least number of particles N to pad to.

        Returns:
            Particles (B, N, F), mask (B, N), neighbours (B, N, K), event features (B, E), weights
            (B,).
        """
        features = self.features
        start = features.offsets[index]
        counts = features.offsets[index + 1] - start
        longest = max(int(counts.max(initial=0)), length)
        position = np.arange(longest)
        mask = position < counts[:, None]
        if len(features.particles):
            rows = np.where(mask, start[:, None] + position, 0)
            particles = np.where(mask[..., None], features.particles[rows], np.float32(0))
            neighbours = np.where(mask[..., None], features.neighbours[rows], -1)
        else:
            shape = (len(index), longest)
            particles = np.zeros((*shape, features.particles.shape[1]), np.float32)
            neighbours = np.full((*shape, features.neighbours.shape[1]), -1)
        numerator, denominator = self.singles
        return Batch(
            particles,
            mask.astype(np.float32),
            neighbours.astype(np.int32),
            features.event[index],
            numerator[index],
            denominator[index],
            index,
        )


# Of a network: its sources, and positions in each of them: (k,), or (U, k) of U updates.
Selection = tuple[Sequence[Source], Sequence[np.ndarray]]
# Writes rows of an array to where they are wanted; see `gathered`.
Gather = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def gathered(array: np.ndarray, index: np.ndarray, out: np.ndarray) -> None:
    """Write rows of an array.

    Args:
        array: (n, ...).
        index: (U, k) positions.
        out: (U, k, ...), changed.
    """
    # `take` would copy whole arrays first that are not contiguous or, in a file, not aligned.
    out[...] = array[index]


def flat(
    sources: Sequence[Source],
    indices: Sequence[np.ndarray],
    reads: Sequence[str] = ("particles", "neighbours"),
    gather: Gather = gathered,
) -> Flat:
    """Return the events of several sources, one source after the other.

    Args:
        sources: where the events are; their features have the same columns.
        indices: for each source, positions (k,).
        reads: what a network reads beside features of events: particles, neighbours. What it does
            not read has no rows, and without particles all counts are 0.
        gather: as of `flats`.

    Returns:
        Particles (M, F), neighbours (M, K), event features (B, E), weights (B,).
    """
    positions = [index[np.newaxis] for index in indices]
    return flats(sources, positions, reads, gather)[0]


def flats(
    sources: Sequence[Source],
    positions: Sequence[np.ndarray],
    reads: Sequence[str] = ("particles", "neighbours"),
    gather: Gather = gathered,
) -> Flats:
    """Return `flat` of the same sources for several updates, read together, which is quicker.

    Args:
        sources: as of `flat`.
        positions: for each source, positions (U, k) in U updates.
        reads: as of `flat`.
        gather: looks up features and weights of events.

    Returns:
        U batches of B events.
    """
    sizes = [each.shape[1] for each in positions]
    shape = (len(positions[0]), sum(sizes))
    event = np.empty((*shape, sources[0].features.event.shape[1]), np.float32)
    numerator, denominator = np.empty((2, *shape), np.float32)
    offsets = np.zeros((shape[0], shape[1] + 1), np.int64)
    rows = np.zeros(shape[0] + 1, np.int64)
    indices = [each.ravel() for each in positions]
    # Of each update the events of the first source, then those of the second, and so on.
    columns = [slice(end - size, end) for end, size in zip(np.cumsum(sizes), sizes, strict=True)]
    for source, each, where in zip(sources, positions, columns, strict=True):
        gather(source.features.event, each, event[:, where])
        for out, weights in zip((numerator, denominator), source.singles, strict=True):
            gather(weights, each, out[:, where])
    like = sources[0].features
    particles, neighbours = like.particles[:0], like.neighbours[:0]
    if "particles" in reads:
        count = np.empty(shape, np.int64)
        for source, index, where in zip(sources, indices, columns, strict=True):
            bounds = source.features.offsets
            count[:, where] = (bounds[index + 1] - bounds[index]).reshape(count[:, where].shape)
        np.cumsum(count, axis=1, out=offsets[:, 1:])
        np.cumsum(offsets[:, -1], out=rows[1:])
        wanted = [
            _particles(source, each, count[:, where])
            for source, each, where in zip(sources, positions, columns, strict=True)
        ]
        particles = _rows([source.features.particles for source in sources], wanted)
        if "neighbours" in reads:
            neighbours = _rows([source.features.neighbours for source in sources], wanted)
    neighbours = neighbours.astype(np.int32)
    return Flats(rows, offsets, particles, neighbours, event, numerator, denominator)


def _particles(source: Source, positions: np.ndarray, count: np.ndarray) -> list[np.ndarray]:
    """Return the rows of the particles of events, for each of U updates.

    Args:
        source: where the events are.
        positions: (U, k) of the events.
        count: (U, k) particles of each.

    Returns:
        U times rows (m,).
    """
    starts = source.features.offsets[positions]
    return [_ranges(first, size) for first, size in zip(starts, count, strict=True)]


def _rows(arrays: Sequence[np.ndarray], wanted: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return rows of several arrays: those of the first update of each array, and so on.

    Args:
        arrays: (rows, columns) each, with the same columns.
        wanted: for each array and update, rows (m,).
    """
    size = sum(len(rows) for found in wanted for rows in found)
    result, end = np.empty((size, arrays[0].shape[1]), arrays[0].dtype), 0
    for found in zip(*wanted, strict=True):
        for array, rows in zip(arrays, found, strict=True):
            first, end = end, end + len(rows)
            # `clip` writes into the result at once; all rows exist.
            array.take(rows, axis=0, out=result[first:end], mode="clip")
    return result


def _ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the whole numbers from each of `first` on, `count` of them, one after the other."""
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(count.sum())


def by_length(source: Source, index: np.ndarray, parts: int) -> list[Batch]:
    """Return the events `index` of one source as `micro_batches`.

    Args:
        source: where the events are.
        index: (k,) positions.
        parts: most batches.

    Returns:
        Batches, each padded to its own maximum.
    """
    return micro_batches([source], [index], parts)


def micro_batches(
    sources: Sequence[Source], indices: Sequence[np.ndarray], parts: int
) -> list[Batch]:
    """Return events sorted by multiplicity and cut into at most `parts` batches.

    Each is padded to its own maximum only. Sums over the batches equal sums over the events, so
    the accumulated gradient is that of the one fully padded batch.

    Args:
        sources: where the events are; their features have the same columns.
        indices: per source, the events (k,) wanted.
        parts: number of batches.

    Returns:
        Batches, each padded to its own maximum; none is empty.
    """
    counts = [
        source.features.offsets[index + 1] - source.features.offsets[index]
        for source, index in zip(sources, indices, strict=True)
    ]
    origin = np.repeat(np.arange(len(sources)), [len(index) for index in indices])
    index, length = np.concatenate(indices), np.concatenate(counts)
    order = np.argsort(length, kind="stable")
    return [
        _joined(sources, origin[part], index[part], max(int(length[part[-1]]), 1))
        for part in np.array_split(order, parts)
        if len(part)
    ]


def _joined(sources: Sequence[Source], origin: np.ndarray, index: np.ndarray, length: int) -> Batch:
    """Return the events `index` of the sources `origin`, all padded to `length`."""
    batches = [
        source.batch(index[origin == i], length)
        for i, source in enumerate(sources)
        if np.any(origin == i)
    ]
    if len(batches) == 1:
        return batches[0]
    return Batch(*(np.concatenate(arrays) for arrays in zip(*map(_fields, batches), strict=True)))


def stacked(batches: Sequence[Batch]) -> Batch:
    """Return batches of the same shape with a leading axis, one entry per batch."""
    return Batch(*(np.stack(arrays) for arrays in zip(*map(_fields, batches), strict=True)))


def _fields(batch: Batch) -> list[np.ndarray]:
    return [getattr(batch, field.name) for field in fields(batch)]
