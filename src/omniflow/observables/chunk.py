"""Chunks of events, with what several observables share: columns, and jets clustered once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from omniflow.events.columns import of_level
from omniflow.events.sample import Level
from omniflow.expressions import Values
from omniflow.physics.jets import JetDefinition, Jets, cluster


class Columns(Mapping[str, Values]):
    """Columns that are made when they are looked up, once."""

    def __init__(self, makers: Mapping[str, Callable[[], Values]]) -> None:
        """Take what makes each column."""
        self._makers = makers
        self._made: dict[str, Values] = {}

    def __getitem__(self, name: str) -> Values:
        """Return a column; KeyError if there is none."""
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a column; nothing is made."""
        return name in self._makers

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
        columns: `Values` of columns in float64, by the names that `events.columns` gives them.
    """

    def __init__(self, level: Level) -> None:
        """Take events; columns and jets are made when they are asked for."""
        self.level = level
        self.columns = Columns({name: _maker(each) for name, each in of_level(level).items()})
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


def _maker(values: Values) -> Callable[[], Values]:
    return lambda: replace(values, array=np.asarray(values.array, dtype=np.float64))
