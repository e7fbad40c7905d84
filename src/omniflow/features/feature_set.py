"""Feature set: what a network sees of particles and events, as expressions over their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from omniflow import registry
from omniflow.config.features import FeatureSection
from omniflow.errors import ConfigError

Columns = tuple[str, ...]


@dataclass(frozen=True)
class FeatureSet:
    """Expressions over the columns of a level, which are the same at both levels.

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


# What a preset may be: a set, or what makes one for the event and particle columns of a sample.
Preset = FeatureSet | Callable[[Columns, Columns], FeatureSet]


def resolved(spec: str | FeatureSection, event: Columns, particles: Columns) -> FeatureSet:
    """Return the feature set that `classifier.features` says, for a sample with these columns.

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
