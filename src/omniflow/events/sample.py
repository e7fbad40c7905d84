"""In-memory form of a sample of events; the arrays may be memory maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Level:
    """One level (particle or detector) of n events with M particles in all, jagged.

    Attributes:
        event: (n, E) float32, one column per name in `event_columns`.
        particles: (M, F) float32 flat array, one column per name in `particle_columns`;
            (0, 0) for samples without particles.
        offsets: (n + 1,) int64; particles of event i are rows offsets[i]:offsets[i + 1].
        event_columns: names of the columns of `event`.
        particle_columns: names of the columns of `particles`.
    """

    event: np.ndarray
    particles: np.ndarray
    offsets: np.ndarray
    event_columns: tuple[str, ...]
    particle_columns: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event)

    @property
    def counts(self) -> np.ndarray:
        """Particles per event, (n,) int64."""
        return np.diff(self.offsets)

    def take(self, index: np.ndarray) -> Level:
        """Return the events `index` ((k,) integers or (n,) bool) as a new level, copied."""
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        counts = self.counts[index]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], counts)
        return Level(
            np.asarray(self.event[index]),
            np.asarray(self.particles[rows]),
            offsets,
            self.event_columns,
            self.particle_columns,
        )

    @classmethod
    def joined(cls, parts: Sequence[Level]) -> Level:
        """Return levels of the same columns, of which there is one at least, as one level."""
        counts = np.concatenate([part.counts for part in parts])
        return cls(
            np.concatenate([part.event for part in parts]),
            np.concatenate([part.particles for part in parts]),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            parts[0].event_columns,
            parts[0].particle_columns,
        )


@dataclass(frozen=True)
class Events:
    """A sample: n events with weights, selection flags and one or both levels.

    Attributes:
        event_id: (n,) uint64, unique in the sample.
        weight: (n,) float64 base weights.
        pass_detector: (n,) bool, event passes the detector-level selection.
        pass_particle: (n,) bool, event lies in the fiducial region at particle level;
            None where there is no particle level (real data).
        detector: detector level; rows of events that fail are all zero, without particles.
        particle: particle level, or None.
    """

    event_id: np.ndarray
    weight: np.ndarray
    pass_detector: np.ndarray
    pass_particle: np.ndarray | None
    detector: Level
    particle: Level | None

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event_id)

    def take(self, index: np.ndarray) -> Events:
        """Return the events `index` ((k,) integers or (n,) bool) as a new sample, copied."""
        index = np.asarray(index)
        return Events(
            np.asarray(self.event_id[index]),
            np.asarray(self.weight[index]),
            np.asarray(self.pass_detector[index]),
            None if self.pass_particle is None else np.asarray(self.pass_particle[index]),
            self.detector.take(index),
            None if self.particle is None else self.particle.take(index),
        )

    @classmethod
    def joined(cls, parts: Sequence[Events]) -> Events:
        """Return samples of the same columns, of which there is one at least, as one sample."""
        truth = parts[0].particle is not None
        return cls(
            np.concatenate([part.event_id for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate([part.pass_detector for part in parts]),
            np.concatenate([part.pass_particle for part in parts]) if truth else None,
            Level.joined([part.detector for part in parts]),
            Level.joined([part.particle for part in parts]) if truth else None,
        )
