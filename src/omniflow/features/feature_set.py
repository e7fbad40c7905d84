"""Feature set: what a network sees of particles and events, as expressions over their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from omniflow import registry
from omniflow.config.features import FeatureSection
from omniflow.errors import ConfigError
from omniflow.expressions import parse
from omniflow.expressions.errors import listing, nearest

Columns = tuple[str, ...]


@dataclass(frozen=True)
class FeatureSet:
    """Expressions over the columns of a level.

    Attributes:
        particles: of every particle, by name.
        event: of every event, by name.
        neighbours: coordinates of particles, the second an angle in rad, in which the nearest ones
            are neighbours; none: those that come first.
        define: further columns that the others may use, in this order.
    """

    particles: Mapping[str, str]
    event: Mapping[str, str]
    neighbours: tuple[str, str] | None = None
    define: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the features of particles and of events: what networks know them by."""
        return tuple(self.particles), tuple(self.event)

    def lacking(self, event: Columns, particles: Columns) -> tuple[str, str] | None:
        """Return the first feature that needs a column that is not there, and that column."""
        known = {*event, *particles}
        known |= {f"event.{name}" for name in event} | {f"particles.{name}" for name in particles}
        texts = [*self.particles.items(), *self.event.items()]
        texts += [("neighbours", text) for text in self.neighbours or ()]
        for name, text in (*self.define.items(), *texts):
            if missing := sorted(parse(text).names - known):
                return name, missing[0]
            if name in self.define:
                known.add(name)
        return None

    def require(self, level: str, event: Columns, particles: Columns) -> None:
        """Refuse a level of the simulation that lacks a column that a feature needs.

        Raises:
            ConfigError: names feature, level, column and the nearest one that is there.
        """
        found = self.lacking(event, particles)
        if found is None:
            return
        name, column = found
        known = list(dict.fromkeys((*event, *particles)))
        near = nearest(column.rpartition(".")[2], known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {listing(known) or 'none'}."
        raise ConfigError(
            f"classifier.features: feature {name!r} needs {column!r}, which is no column of "
            f"samples.simulation at {level} level; {hint} Correct it, give the level this column, "
            f"or say by classifier.features.{level} what networks see there"
        )


def resolved(spec: str | FeatureSection, event: Columns, particles: Columns) -> FeatureSet:
    """Return the feature set that `classifier.features` says, for a level with these columns.

    Raises:
        ConfigError: there is no such preset, or it is none.
    """
    if isinstance(spec, FeatureSection):
        return FeatureSet(spec.particles, spec.event, spec.neighbours, spec.define)
    found = registry.find("features", spec)
    if isinstance(found, FeatureSet):
        return found
    made = found(event, particles) if callable(found) else None
    if not isinstance(made, FeatureSet):
        raise ConfigError(
            f"classifier.features: {spec} is neither a FeatureSet nor a function (event columns, "
            "particle columns) that returns one"
        )
    return made
