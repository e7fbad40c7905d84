"""A source of one's own whose events have particles: two back-to-back sprays in azimuth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from pydantic import Field

from omniflow.events.sample import Events, Level
from omniflow.sources.source import Source

PARTICLES = ("pt", "phi")


class Sprays(Source):
    """Events with particles about an axis: the wider their angles, the lower is the thrust."""

    events: int = Field(ge=1, description="Number of events.")
    seed: int = Field(ge=0, description="Seed of its random numbers.")
    angle: float = Field(0.3, gt=0, description="Width of the angles about the axis in rad.")
    efficiency: float = Field(0.9, gt=0, le=1, description="Share of particles that are seen.")

    def extent(self) -> str:
        """Return what tells its events from others, for messages."""
        return f"seed {self.seed}"

    def shares(self, other: Source) -> bool:
        """Return whether another sample has the same random numbers."""
        return isinstance(other, Sprays) and other.seed == self.seed

    def next(self, number: int) -> Self:
        """Return a sample like this one with other events; toys are made of them."""
        return self.model_copy(update={"seed": self.seed + 1_000_003 * number})

    def columns(self, level: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the columns of events (none) and of particles, the same at both levels."""
        return (), PARTICLES

    def has_truth(self) -> bool:
        """Return that there is a particle level."""
        return True

    def read(self) -> Iterator[Events]:
        """Yield all events."""
        rng = np.random.default_rng(self.seed)
        counts = 4 + rng.poisson(6, self.events)
        event, n = np.repeat(np.arange(self.events), counts), counts.sum()
        axis = rng.uniform(-np.pi, np.pi, self.events)[event] + np.pi * rng.integers(0, 2, n)
        pt, phi = 1 + rng.exponential(4, n), axis + self.angle * rng.standard_normal(n)
        seen = rng.random(n) < self.efficiency
        measured = pt * np.exp(0.1 * rng.standard_normal(n)), phi + 0.1 * rng.standard_normal(n)
        yield Events(
            event_id=np.arange(self.events, dtype=np.uint64),
            weight=np.ones(self.events),
            pass_detector=np.bincount(event[seen], minlength=self.events) > 1,
            pass_particle=np.ones(self.events, bool),
            detector=_level(self.events, event[seen], *(column[seen] for column in measured)),
            particle=_level(self.events, event, pt, phi),
        )


def _level(n: int, event: np.ndarray, pt: np.ndarray, phi: np.ndarray) -> Level:
    rows = np.stack([pt, (phi + np.pi) % (2 * np.pi) - np.pi], axis=1).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=n))])
    return Level(np.zeros((n, 0), np.float32), rows, offsets.astype(np.int64), (), PARTICLES)
