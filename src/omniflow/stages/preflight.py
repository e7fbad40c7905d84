"""Preflight: what a study's first jobs would refuse, told before any of them starts.

Names are compared with the columns that sources declare, and mappings tried on the first record of
files that are there. Sources that declare no columns are taken as they are.
"""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from omniflow.config.samples import Sample
from omniflow.config.schema import Config
from omniflow.config.uncertainties import EventWeights
from omniflow.errors import ConfigError, OmniflowError
from omniflow.events.columns import of_level
from omniflow.events.sample import Level
from omniflow.expressions import Values, parse
from omniflow.features import build
from omniflow.observables import find
from omniflow.observables.jets import PREFIX, PROPERTIES
from omniflow.physics.jets import momenta
from omniflow.unfolding.plan import Plan

_PRETRAINING, _PREDICTIONS = "samples.pretraining", "uncertainties.predictions"


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
    found = [line for key, sample in _samples(plan) for line in _of_files(key, sample)]
    lines: dict[str, str] = {}  # with the first sample that they are true of
    for key, sample in _samples(plan):
        columns = sample.columns()
        if any(columns):
            for line in _of_columns(plan, key, _empty(*columns)):
                lines.setdefault(line, key)
    return found + [f"{key}: {line}" for line, key in lines.items()]


def missing(plan: Plan) -> list[str]:
    """Return which files are not there, a line each: key and path."""
    files = [(f"{key}.files", name) for key, sample in _samples(plan) for name in sample.inputs()]
    pair, variations = plan.config.samples.pretraining, plan.config.uncertainties.variations
    if pair is not None and plan.needs_pretraining:
        files += [("samples.pretraining.weights", name) for name in pair.weights]
    for name, variation in variations.items():
        if isinstance(variation.simulation_weights, EventWeights):
            key = f"uncertainties.variations.{name}.simulation_weights.files"
            files += [(key, file) for file in variation.simulation_weights.files]
    lost = dict.fromkeys((key, name) for key, name in files if not Path(name).is_file())
    return [f"{key}: {name}: no such file; check the path" for key, name in lost]


def _samples(plan: Plan) -> Iterator[tuple[str, Sample]]:
    """Yield the samples that a study reads, with their keys."""
    section, uncertainties = plan.config.samples, plan.config.uncertainties
    yield "samples.simulation", section.simulation
    yield "samples.data", section.data
    for name, background in section.backgrounds.items():
        yield f"samples.backgrounds.{name}.sample", background.sample
    if section.pretraining is not None and plan.needs_pretraining:
        for name, sample in section.pretraining.samples.items():
            yield f"{_PRETRAINING}.{name}", sample
    for name, variation in uncertainties.variations.items():
        for role in ("data", "simulation"):
            if (sample := getattr(variation, role)) is not None:
                yield f"uncertainties.variations.{name}.{role}", sample
    for name, sample in uncertainties.predictions.items():
        yield f"{_PREDICTIONS}.{name}", sample


def _of_columns(plan: Plan, key: str, level: Level) -> Iterator[str]:
    """Yield what is wrong with names where a level without events has its columns."""
    if not key.startswith(_PREDICTIONS):  # which networks do not see
        yield from _of_features(plan, level)
    if not key.startswith(_PRETRAINING):
        yield from _of_observables(plan.config, level)


def _of_files(key: str, sample: Sample) -> Iterator[str]:
    """Yield what the headers of files tell to be wrong."""
    try:
        sample.survey()
    except OmniflowError as error:
        yield f"{key}: {error}"


def _of_features(plan: Plan, level: Level) -> Iterator[str]:
    """Yield what features of a level without events cannot be."""
    seen = plan.features_seen
    nothing = dataclasses.replace(seen, particles={}, event={}, neighbours=None)
    parts = [
        *({"particles": {name: text}} for name, text in seen.particles.items()),
        *({"event": {name: text}} for name, text in seen.event.items()),
        *([{"neighbours": seen.neighbours}] if seen.neighbours else []),
    ]
    for part in parts:
        try:
            build.compute(level, dataclasses.replace(nothing, **part))
        except OmniflowError as error:
            yield str(error)


def _of_observables(config: Config, level: Level) -> Iterator[str]:
    """Yield what observables of a level without events cannot be."""
    none = Values(np.zeros(0), np.zeros(1, np.int64))
    for name, definition in find.definitions(config.observables).items():
        own = name in config.observables.define
        key = f"observables.define.{name}" if own else f"observables.names: {name}"
        try:
            columns = of_level(level)
            if definition.radius is not None:
                momenta(level)
                columns = ChainMap(columns, {PREFIX + each: none for each in PROPERTIES})
            if definition.expression is not None:
                parse(definition.expression).evaluate(columns, 0)
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
