"""Chunks of events, with what several observables share: columns, and jets clustered once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from omniflow.events.sample import Level
from omniflow.expressions import Values
from omniflow.physics.jets import JetDefinition, Jets, cluster

# In front of names that stand both in the event and among its particles.
EVENT, PARTICLES = "event.", "particles."


class Columns(Mapping[str, Values]):
    """Columns that are made when they are looked up, once."""

    def __init__(
        self, makers: Mapping[str, Callable[[], Values]], others: Mapping[str, str] | None = None
    ) -> None:
        """Take what makes each column, and other names of columns, which are not listed."""
        self._makers, self._others = makers, others or {}
        self._made: dict[str, Values] = {}

    def __getitem__(self, name: str) -> Values:
        """Return a column; KeyError if there is none."""
        name = self._others.get(name, name)
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a column; nothing is made."""
        return self._others.get(name, name) in self._makers

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._makers)


class Chunk:
    """Consecutive events of a level.

    Attributes:
        level: the n events.
        columns: `Values` by name, float64: columns of the event and of its particles. They have
            longer names, too, `event.x` and `particles.x`: the only ones of an x that both have.
    """

    def __init__(self, level: Level) -> None:
        """Take events; columns and jets are made when they are asked for."""
        self.level = level
        self.columns = _columns(level)
        self._jets: dict[JetDefinition, Jets] = {}

    @property
    def events(self) -> int:
        """Number of events, n."""
        return len(self.level)

    def jets(self, definition: JetDefinition) -> Jets:
        """Return the jets of a definition; particles are clustered once for each.

        Raises:
            ConfigError: fastjet is not installed.
            InputError: a column is missing.
        """
        if definition not in self._jets:
            self._jets[definition] = cluster(self.level, definition)
        return self._jets[definition]


def _columns(level: Level) -> Columns:
    def maker(array: np.ndarray, at: int, offsets: np.ndarray | None) -> Callable[[], Values]:
        return lambda: Values(np.asarray(array[:, at], dtype=np.float64), offsets)

    parts = (
        (EVENT, level.event, level.event_columns, None),
        (PARTICLES, level.particles, level.particle_columns, level.offsets),
    )
    both = set(level.event_columns) & set(level.particle_columns)
    makers, others = {}, {}
    for prefix, array, names, offsets in parts:
        for at, name in enumerate(names):
            if name not in both:
                others[prefix + name] = name
            makers[prefix + name if name in both else name] = maker(array, at, offsets)
    return Columns(makers, others)
