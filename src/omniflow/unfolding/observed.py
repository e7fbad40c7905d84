"""Observed: at which levels the observables of a study exist."""

from __future__ import annotations

from omniflow.config.observables import ObservableDefinition
from omniflow.config.others import Other
from omniflow.config.samples import Sample
from omniflow.config.schema import Config
from omniflow.errors import ConfigError
from omniflow.observables import find
from omniflow.unfolding.coordinates import LEVELS

# Levels by name of the observable.
Observed = dict[str, tuple[str, ...]]


def levels(config: Config) -> Observed:
    """Return the levels of each observable, which are those where the simulation has its columns.

    Raises:
        ConfigError: an observable exists nowhere, or none at particle level; or data, or another
            sample that is histogrammed, lack a column at a level where the simulation has it.
    """
    found = find.levels(config.observables, columns(config.samples.simulation))
    if not any("particle" in there for there in found.values()):
        raise ConfigError(
            "observables: none of them exists at particle level, which the result is of; name or "
            f"define one whose columns are there ({', '.join(found)})"
        )
    for other in config.others:
        for name, definition in find.definitions(config.observables).items():
            for level in set(other.compared) & set(found[name]):
                _refuse_lacking(other, name, definition, level)
    return found


def notes(config: Config, observed: Observed) -> list[str]:
    """Return a note on observables that exist at one level because the other lacks a column."""
    known, found = columns(config.samples.simulation), []
    for name, definition in find.definitions(config.observables).items():
        there = observed[name]
        if len(there) == len(LEVELS) or definition.level is not None or definition.apart:
            continue
        (other,) = set(LEVELS) - set(there)
        lacking = find.lacks(definition, other, known[other])
        found.append(
            f"Observable {name} exists at {there[0]} level alone: {other} level has no column "
            f"{lacking[0]!r}."
        )
    return found


def columns(sample: Sample) -> dict[str, find.Columns | None]:
    """Return the columns of a sample by level; None where it declares none."""
    return {level: sample.declared(level) for level in LEVELS}


def _refuse_lacking(other: Other, name: str, definition: ObservableDefinition, level: str) -> None:
    lacking = find.lacks(definition, level, other.sample.declared(level))
    if lacking:
        raise ConfigError(
            f"observable {name}: {other.where} has no column {lacking[0]!r} at {level} level, "
            "where samples.simulation has it. Give it there, leave the observable out "
            "(observables.names), or say by observables.define at which level it exists (level)"
        )
