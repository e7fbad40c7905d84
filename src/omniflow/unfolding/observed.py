"""Observed: at which levels the observables of a study exist."""

from __future__ import annotations

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
    found = find.levels(config.observables, _columns(config.samples.simulation))
    if not any("particle" in there for there in found.values()):
        raise ConfigError(
            "observables: none of them exists at particle level, which the result is of; name or "
            f"define one whose columns are there ({', '.join(found)})"
        )
    for where, sample, seen in _others(config):
        for name, definition in find.definitions(config.observables).items():
            for level in seen:
                _refuse_lacking(where, sample, name, definition, level, found[name])
    return found


def notes(config: Config, observed: Observed) -> list[str]:
    """Return a note on observables that exist at one level because the other lacks a column."""
    columns, found = _columns(config.samples.simulation), []
    for name, definition in find.definitions(config.observables).items():
        there = observed[name]
        if len(there) == len(LEVELS) or definition.level is not None or definition.apart:
            continue
        (other,) = set(LEVELS) - set(there)
        lacking = find.lacks(definition, other, columns[other])
        found.append(
            f"Observable {name} exists at {there[0]} level alone: {other} level has no column "
            f"{lacking[0]!r}."
        )
    return found


def _columns(sample: Sample) -> dict[str, find.Columns]:
    return {level: sample.columns(level) for level in LEVELS}


def _others(config: Config) -> list[tuple[str, Sample, tuple[str, ...]]]:
    """Return where other samples stand, and the levels at which they are histogrammed."""
    samples, settings = config.samples, config.uncertainties
    found = []
    data = [("samples.data", samples.data)]
    for name, variation in settings.variations.items():
        where = f"uncertainties.variations.{name}"
        if variation.data is not None:
            data.append((f"{where}.data", variation.data))
        if variation.simulation is not None:
            found.append((f"{where}.simulation", variation.simulation, LEVELS))
    found += [(where, each, LEVELS if each.has_truth() else LEVELS[:1]) for where, each in data]
    found += [
        (f"samples.backgrounds.{name}", background.sample, LEVELS[:1])
        for name, background in samples.backgrounds.items()
    ]
    predictions = settings.predictions.items()
    found += [(f"uncertainties.predictions.{n}", each, LEVELS[1:]) for n, each in predictions]
    return found


def _refuse_lacking(
    where: str,
    sample: Sample,
    name: str,
    definition: find.ObservableDefinition,
    level: str,
    there: tuple[str, ...],
) -> None:
    if level not in there:
        return
    lacking = find.lacks(definition, level, sample.columns(level))
    if lacking:
        raise ConfigError(
            f"observable {name}: {where} has no column {lacking[0]!r} at {level} level, where "
            "samples.simulation has it. Give it there, leave the observable out "
            "(observables.names), or say by observables.define at which level it exists (level)"
        )
