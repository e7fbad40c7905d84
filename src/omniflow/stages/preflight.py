"""Preflight: what a study's first jobs would refuse, told before any of them starts.

Names are compared with the columns that sources declare, and mappings tried on the first record of
files that are there. Sources that declare no columns are taken as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from omniflow.config.others import Other
from omniflow.config.samples import Sample
from omniflow.config.schema import Config
from omniflow.config.section import LEVELS
from omniflow.config.uncertainties import EventWeights
from omniflow.errors import ConfigError, OmniflowError
from omniflow.events.columns import of_level
from omniflow.events.sample import Level
from omniflow.expressions import Values, parse
from omniflow.features import build
from omniflow.features.feature_set import FeatureSet
from omniflow.observables import find
from omniflow.observables.jets import PREFIX, PROPERTIES
from omniflow.physics.jets import momenta
from omniflow.training import engines
from omniflow.unfolding import observed, rounds, seen
from omniflow.unfolding.plan import Plan


def refuse(plan: Plan, where: str) -> None:
    """Refuse a study whose jobs would.

    Args:
        plan: of the study.
        where: names its configuration in messages.

    Raises:
        ConfigError: with one line per problem.
    """
    found = problems(plan)
    if found:
        lines = "\n  ".join(found)
        raise ConfigError(f"{where}: {len(found)} problem(s)\n  {lines}")


def problems(plan: Plan) -> list[str]:
    """Return what is wrong with names of columns, a line each: key, name, what there is."""
    found = [line for each in _samples(plan) for line in _of_files(each.where, each.sample)]
    lines: dict[str, str] = {}  # with the first sample and level that they are true of
    for each in _samples(plan):
        for level in LEVELS:
            for line in _of_columns(plan.config, each, level):
                lines.setdefault(line, f"{each.where} at {level} level")
    found += [f"{where}: {line}" for line, where in lines.items()]
    return found or list(_of_levels(plan))


def missing(plan: Plan) -> list[str]:
    """Return which files are not there, a line each: key and path."""
    files = [
        (f"{each.where}.files", name) for each in _samples(plan) for name in each.sample.inputs()
    ]
    pair, variations = plan.config.samples.pretraining, plan.config.uncertainties.variations
    if pair is not None and plan.needs_pretraining:
        files += [("samples.pretraining.weights", name) for name in pair.weights]
    for name, variation in variations.items():
        if isinstance(variation.simulation_weights, EventWeights):
            key = f"uncertainties.variations.{name}.simulation_weights.files"
            files += [(key, file) for file in variation.simulation_weights.files]
    lost = dict.fromkeys((key, name) for key, name in files if not Path(name).is_file())
    return [f"{key}: {name}: no such file; check the path" for key, name in lost]


def untrainable(plan: Plan) -> list[str]:
    """Return why nothing here can train the networks, a line with the remedy; mostly none."""
    try:
        engines.require(plan.config)
    except OmniflowError as error:
        return [str(error)]
    return []


def _samples(plan: Plan) -> Iterator[Other]:
    """Yield the samples that a study reads."""
    yield Other("samples.simulation", plan.config.samples.simulation, LEVELS, LEVELS)
    for other in plan.config.others:
        if plan.needs_pretraining or not other.where.startswith("samples.pretraining."):
            yield other


def _of_columns(config: Config, other: Other, level: str) -> Iterator[str]:
    """Yield what is wrong with names of the columns that a sample declares for a level."""
    columns = other.sample.declared(level)
    if columns is None:
        return
    events = _empty(*columns)
    if level in other.seen:
        yield from _of_features(seen.declared(config, level), events)
    if level in other.compared:
        yield from _of_observables(config, level, events)


def _of_levels(plan: Plan) -> Iterator[str]:
    """Yield what does not fit together though every level has its columns."""
    for part in ("features_seen", "observed"):
        try:
            getattr(plan, part)
        except ConfigError as error:
            yield str(error)
            return
    for method in plan.adaptive:
        try:
            rounds.observables(plan, method)
        except ConfigError as error:
            yield str(error)


def _of_files(key: str, sample: Sample) -> Iterator[str]:
    """Yield what the headers of files tell to be wrong."""
    try:
        sample.survey()
    except OmniflowError as error:
        yield f"{key}: {error}"


def _of_features(wanted: FeatureSet, events: Level) -> Iterator[str]:
    """Yield what features of a level without events cannot be."""
    nothing = dataclasses.replace(wanted, particles={}, event={}, neighbours=None)
    parts: list[dict[str, Any]] = [
        *({"particles": {name: text}} for name, text in wanted.particles.items()),
        *({"event": {name: text}} for name, text in wanted.event.items()),
        *([{"neighbours": wanted.neighbours}] if wanted.neighbours else []),
    ]
    for part in parts:
        try:
            build.compute(events, dataclasses.replace(nothing, **part))
        except OmniflowError as error:
            yield str(error)


def _of_observables(config: Config, level: str, events: Level) -> Iterator[str]:
    """Yield what observables of a level without events cannot be, as far as they exist there."""
    none = Values(np.zeros(0), np.zeros(1, np.int64))
    known = observed.columns(config.samples.simulation)
    for name, definition in find.definitions(config.observables).items():
        if level not in find.needed(definition, known):
            continue
        own = name in config.observables.define
        key = f"observables.define.{name}" if own else f"observables.names: {name}"
        try:
            columns = of_level(events)
            if definition.radius is not None:
                momenta(events)
                columns = {PREFIX + each: none for each in PROPERTIES} | columns
            if (text := definition.formula(level)) is not None:
                parse(text).evaluate(columns, 0)
        except OmniflowError as error:
            yield f"{key}: {error}"


def _empty(event: Collection[str], particles: Collection[str]) -> Level:
    """Return a level without events."""
    return Level(
        np.zeros((0, len(event)), np.float32),
        np.zeros((0, len(particles)), np.float32),
        np.zeros(1, np.int64),
        tuple(event),
        tuple(particles),
    )
