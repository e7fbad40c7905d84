"""Events that a program holds, in place of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import PrivateAttr, model_validator

from omniflow.errors import InputError
from omniflow.sources.source import ColumnNames, Source

if TYPE_CHECKING:
    from omniflow.events.sample import Events

_ELSEWHERE = (
    "source: memory stands for events of a program that called omniflow.unfold, which are not "
    "here; give the events to omniflow.unfold, or name a source that reads files"
)


class Memory(Source):
    """Events that a program holds; `Memory.of` makes it, a configuration cannot."""

    source: Literal["memory"] = "memory"
    # Of the events: what is made of them depends on it.
    checksum: str
    _held: Events = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _is_made_by_a_program(cls, value: object) -> object:
        raise ValueError(_ELSEWHERE)

    @classmethod
    def of(cls, events: Events) -> Memory:
        """Return events as a source."""
        found = cls.model_construct(source="memory", events=len(events), checksum=_checksum(events))
        found._held = events
        return found

    def __eq__(self, other: object) -> bool:
        """Return whether the other holds the same events."""
        return isinstance(other, Memory) and self.checksum == other.checksum

    def __hash__(self) -> int:
        """Return a hash of the events."""
        return hash(self.checksum)

    @property
    def held(self) -> Events:
        """The events."""
        return self._held

    def extent(self) -> str:
        """Return that it is all events."""
        return f"{self.events} events of a program"

    def next(self, number: int) -> Self:
        """Refuse: there are no more events than those that are held."""
        raise InputError(
            "events of a program have none after them: uncertainties.toys needs a source that has"
        )

    def has_truth(self) -> bool:
        """Return whether there is a particle level."""
        return self.held.particle is not None

    def typical(self) -> tuple[float, float]:
        """Return particles per event, at detector level of those that pass, and their share."""
        detector, truth = self.held.detector, self.held.particle
        passing, events = int(self.held.pass_detector.sum()), len(self.held)
        if truth is not None and not detector.particle_columns:
            return len(truth.particles) / events, passing / events
        return len(detector.particles) / max(1, passing), passing / events

    def columns(self, level: str) -> ColumnNames:
        """Return the names of event and particle columns of a level."""
        found = getattr(self.held, level) or self.held.detector
        return found.event_columns, found.particle_columns

    def named_weights(self) -> tuple[str, ...]:
        """Return the names of the further weights."""
        return tuple(self.held.weights)

    def given_replicas(self) -> int:
        """Return how many weights `replica-<n>` there are, from 1 on."""
        named = self.held.weights
        return next(n for n in range(len(named) + 1) if f"replica-{n + 1}" not in named)

    def title(self) -> str:
        """Return what messages call the sample."""
        return "events of the program"

    def read(self) -> Iterator[Events]:
        """Yield the events, in one part."""
        yield self.held


def _checksum(events: Events) -> str:
    """Return a hash of all that a sample holds."""
    found = hashlib.sha256()
    parts = [events.event_id, events.weight, events.pass_detector]
    found.update(repr(tuple(events.weights)).encode())
    parts += events.weights.values()
    if events.pass_particle is not None:
        parts.append(events.pass_particle)
    for level in (events.detector, events.particle):
        if level is not None:
            found.update(repr((level.event_columns, level.particle_columns)).encode())
            parts += [level.event, level.particles, level.offsets]
    for part in parts:
        found.update(np.ascontiguousarray(part).data.cast("B") if part.size else b"-")
    return found.hexdigest()
