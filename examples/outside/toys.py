"""A source of one's own: a number per event, smeared by a detector that misses some events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from pydantic import Field

from omniflow.events.sample import Events, Level
from omniflow.sources.source import Source


class Gaussians(Source):
    """Events with one number x: normal at particle level, smeared at detector level."""

    events: int = Field(ge=1, description="Number of events.")
    seed: int = Field(ge=0, description="Seed of its random numbers.")
    mean: float = Field(0.0, description="Mean of x at particle level.")
    smearing: float = Field(0.5, gt=0, description="Resolution of the detector.")
    efficiency: float = Field(0.9, gt=0, le=1, description="Share of events that it sees.")

    def extent(self) -> str:
        """Return what tells its events from others, for messages."""
        return f"seed {self.seed}"

    def shares(self, other: Source) -> bool:
        """Return whether another sample has the same random numbers."""
        return isinstance(other, Gaussians) and other.seed == self.seed

    def next(self, number: int) -> Self:
        """Return a sample like this one with other events; toys are made of them."""
        return self.model_copy(update={"seed": self.seed + 1_000_003 * number})

    def columns(self, level: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the columns of events and of particles (none), the same at both levels."""
        return ("x",), ()

    def has_truth(self) -> bool:
        """Return that there is a particle level."""
        return True

    def read(self) -> Iterator[Events]:
        """Yield all events."""
        rng = np.random.default_rng(self.seed)
        truth = rng.normal(self.mean, 1.0, self.events)
        seen = rng.random(self.events) < self.efficiency
        measured = np.where(seen, truth + rng.normal(0, self.smearing, self.events), 0.0)
        yield Events(
            event_id=np.arange(self.events, dtype=np.uint64),
            weight=np.ones(self.events),
            pass_detector=seen,
            pass_particle=np.ones(self.events, bool),
            detector=_level(measured),
            particle=_level(truth),
        )


def _level(values: np.ndarray) -> Level:
    event = values.astype(np.float32)[:, None]
    return Level(
        event, np.zeros((0, 0), np.float32), np.zeros(len(event) + 1, np.int64), ("x",), ()
    )
