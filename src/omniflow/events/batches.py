"""Batches of events for training and inference, read by slices from memory-mapped features."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from omniflow.events.features import Features
from omniflow.events.hashing import uniform
from omniflow.events.slices import slices

# Events are stored in random order, so slices of this many may be shuffled as units;
# a buffer of BUFFER slices is permuted event by event.
SLICE = 512
BUFFER = 32


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
        numerator, denominator = self.weights(index)
        return Batch(
            particles,
            mask.astype(np.float32),
            neighbours.astype(np.int32),
            features.event[index],
            numerator.astype(np.float32),
            denominator.astype(np.float32),
            index,
        )

    def slices(self, shard: int = 0, shards: int = 1) -> Iterator[slice]:
        """Yield consecutive slices that cover all n events, or one of `shards` contiguous parts."""
        size = len(self.event_id)
        starts = np.array_split(np.arange(0, size, SLICE), shards)[shard]
        for start in starts.tolist():
            yield slice(start, min(start + SLICE, size))


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
    """The training or the held-out events of a source, for one network."""

    source: Source
    seed: int
    fraction: float
    validation: bool

    @cached_property
    def _mask(self) -> np.ndarray:
        """Which events (n,) bool belong to this part: hashed once, and looked up in every epoch."""
        source = self.source
        found = np.array(source.select)
        for rows in slices(len(found)):
            held = held_out(source.event_id[rows], self.seed, self.fraction)
            found[rows] &= held == self.validation
        return found

    def chosen(self, *slices: slice) -> np.ndarray:
        """Return the positions (k,) int64 of this part's events in slices, one after the other.

        Several slices at a time, because a call costs as much as some hundred events.
        """
        size = len(self.source.event_id)
        index = np.concatenate([np.arange(*where.indices(size)) for where in slices])
        return index[self._mask[index]]

    def _groups(self, shard: int = 0, shards: int = 1) -> Iterator[list[slice]]:
        slices = self.source.slices(shard, shards)
        while group := list(itertools.islice(slices, BUFFER)):
            yield group

    def totals(self) -> tuple[int, float, float]:
        """Return the number of events and the sums of weights in class A and class B."""
        count, sums = 0, np.zeros(2)
        for weights in self._weights():
            count += len(weights[0])
            sums += [each.sum() for each in weights]
        return count, float(sums[0]), float(sums[1])

    def magnitude(self) -> float:
        """Return the sum of the magnitudes of all weights."""
        found = 0.0
        for weights in self._weights():
            found += sum(float(np.abs(each).sum()) for each in weights)
        return found

    def _weights(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the weights of the events of each slice."""
        for group in self._groups():
            index = self.chosen(*group)
            ends = np.searchsorted(index, [where.stop for where in group[:-1]])
            yield from zip(
                *(np.split(each, ends) for each in self.source.weights(index)), strict=True
            )

    def shuffled(self, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """Yield positions (size,) for ever: random order, every event once per round.

        Args:
            rng: random numbers.
            size: number of positions.

        Yields:
            Positions (size,) int64.
        """
        slices = list(self.source.slices())
        pending = np.empty(0, np.int64)
        while True:
            order = rng.permutation(len(slices))
            for start in range(0, len(order), BUFFER):
                buffer = self.chosen(*(slices[i] for i in order[start : start + BUFFER]))
                pending = np.concatenate([pending, rng.permutation(buffer)])
                while len(pending) >= size:
                    yield pending[:size]
                    pending = pending[size:]

    def ordered(self, size: int, shard: int = 0, shards: int = 1) -> Iterator[np.ndarray]:
        """Yield all positions of a shard once, in order, at most `size` at a time.

        Args:
            size: most positions at a time.
            shard: number of the shard, from 0.
            shards: how many there are.

        Yields:
            Positions (k,) int64, k at most `size`.
        """
        pending = np.empty(0, np.int64)
        for group in self._groups(shard, shards):
            pending = np.concatenate([pending, self.chosen(*group)])
            while len(pending) >= size:
                yield pending[:size]
                pending = pending[size:]
        if len(pending):
            yield pending


def flat(
    sources: Sequence[Source],
    indices: Sequence[np.ndarray],
    reads: Sequence[str] = ("particles", "neighbours"),
) -> Flat:
    """Return the events of several sources, one source after the other.

    Args:
        sources: where the events are; their features have the same columns.
        indices: for each source, positions (k,).
        reads: what a network reads beside features of events: particles, neighbours. What it does
            not read has no rows, and without particles all counts are 0.

    Returns:
        Particles (M, F), neighbours (M, K), event features (B, E), weights (B,).
    """
    return flats(sources, [indices], reads)[0]


def flats(
    sources: Sequence[Source],
    updates: Sequence[Sequence[np.ndarray]],
    reads: Sequence[str] = ("particles", "neighbours"),
) -> Flats:
    """Return `flat` of the same sources for several updates, read together, which is quicker.

    All updates have the same number of events of each source.

    Args:
        sources: as of `flat`.
        updates: U times what `flat` takes as `indices`, (k,) each, with the same numbers of events.
        reads: as of `flat`.

    Returns:
        U batches of B events.
    """
    sizes = [len(index) for index in updates[0]]
    shape = (len(updates), sum(sizes))
    event = np.empty((*shape, sources[0].features.event.shape[1]), np.float32)
    numerator, denominator = np.empty((2, *shape), np.float32)
    count = np.zeros(shape, np.int64)
    indices = [np.concatenate(found) for found in zip(*updates, strict=True)]
    # Of each update the events of the first source, then those of the second, and so on.
    columns = [slice(end - size, end) for end, size in zip(np.cumsum(sizes), sizes, strict=True)]
    for source, index, where in zip(sources, indices, columns, strict=True):
        features, own = source.features, event[:, where].shape[:2]
        event[:, where] = features.event.take(index, axis=0).reshape(*own, event.shape[2])
        for out, found in zip((numerator, denominator), source.weights(index), strict=True):
            out[:, where] = found.reshape(own)
        if "particles" in reads:
            found = features.offsets[index + 1] - features.offsets[index]
            count[:, where] = found.reshape(own)
    offsets = np.zeros((shape[0], shape[1] + 1), np.int64)
    np.cumsum(count, axis=1, out=offsets[:, 1:])
    rows = np.concatenate([[0], np.cumsum(offsets[:, -1])])
    first = offsets[:, :-1] + rows[:-1, np.newaxis]
    places = [(first[:, where].ravel(), count[:, where].ravel()) for where in columns]
    particles, neighbours = (
        _rows(name, sources, indices, places)
        if name in reads
        else getattr(sources[0].features, name)[:0]
        for name in ("particles", "neighbours")
    )
    neighbours = neighbours.astype(np.int32)
    return Flats(rows, offsets, particles, neighbours, event, numerator, denominator)


def _rows(
    name: str,
    sources: Sequence[Source],
    indices: Sequence[np.ndarray],
    places: Sequence[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Return rows of particles of events of all sources.

    Args:
        name: of the array.
        sources: where it is read.
        indices: events (k,) of each source.
        places: first row of each event in what is returned, and number of rows, (k,) each.
    """
    found = []
    for source, index, (_, count) in zip(sources, indices, places, strict=True):
        starts = source.features.offsets[index].astype(np.int64)
        found.append(getattr(source.features, name)[_ranges(starts, count)])
    if len(found) == 1:
        return found[0]
    result = np.empty((sum(map(len, found)), found[0].shape[1]), found[0].dtype)
    for rows, (first, count) in zip(found, places, strict=True):
        result[_ranges(first, count)] = rows
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
