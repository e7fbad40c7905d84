"""Observables by name: those that a configuration defines, and those that come with the package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from omniflow import outside, registry
from omniflow.config.observables import Bins, ObservableDefinition, Observables
from omniflow.errors import ConfigError
from omniflow.expressions import parse
from omniflow.expressions.errors import listing, nearest
from omniflow.observables.jets import SoftDrop
from omniflow.observables.observable import (
    Observable,
    Quantiles,
    from_expression,
    from_function,
    from_jets,
)
from omniflow.observables.sets import ObservableSet
from omniflow.physics.jets import MOMENTUM, JetDefinition

ROOM = "observable"
Columns = tuple[tuple[str, ...], tuple[str, ...]]  # of events, of particles


@cache
def set_of(name: str) -> ObservableSet:
    """Return the set of observables that a name of the registry stands for.

    Raises:
        ConfigError: it is none.
    """
    found = registry.find(ROOM, name)
    if not isinstance(found, ObservableSet):
        raise ConfigError(f"{name}: is no ObservableSet, but {type(found).__name__}")
    return found


def built_in() -> dict[str, ObservableDefinition]:
    """Return the observables of all sets, by name; of equal names the first one counts."""
    found: dict[str, ObservableDefinition] = {}
    for name in registry.names(ROOM):
        found = _checked(name) | found
    return found


def expanded(names: Iterable[str], defined: Iterable[str]) -> tuple[str, ...]:
    """Return names with sets replaced by what they stand for.

    Raises:
        ValueError: an unknown name, with the nearest known one.
    """
    defined, sets = set(defined), registry.names(ROOM)
    found: list[str] = []
    for name in names:
        if name in sets and name not in defined:
            found += set_of(name).names
        else:
            known(name, defined, sets)
            found.append(name)
    return tuple(found)


def known(name: str, defined: Iterable[str], also: Iterable[str] = ()) -> None:
    """Refuse a name that is neither defined nor built in.

    Raises:
        ValueError: with the nearest known name.
    """
    defined = list(defined)
    if name in defined or _built_in(name) is not None:
        return
    names = [*defined, *built_in(), *also]
    near = nearest(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}."
    raise ValueError(
        f"unknown observable {name!r}: {hint} Those of your own stand in observables.define"
    )


def _built_in(name: str) -> ObservableDefinition | None:
    """Return a built-in observable; sets are loaded until one has it."""
    sets = map(_checked, registry.names(ROOM))
    return next((found[name] for found in sets if name in found), None)


@cache
def _checked(name: str) -> dict[str, ObservableDefinition]:
    entries = set_of(name).definitions.items()
    return {key: ObservableDefinition.model_validate(entry) for key, entry in entries}


def definitions(section: Observables) -> dict[str, ObservableDefinition]:
    """Return the definitions of the named observables, in their order."""
    found = {name: section.define.get(name) or _built_in(name) for name in section.names}
    return {name: definition for name, definition in found.items() if definition is not None}


def computations(section: Observables) -> dict[str, Any]:
    """Return what determines the values of the named observables, files' texts included."""
    found = {}
    for name, definition in definitions(section).items():
        parts = definition.computation
        if definition.object is not None:
            # Not where the file lies: a study that is moved stays the same.
            parts["object"] = definition.object.rpartition("/")[2]
            if not definition.object.startswith("omniflow."):  # else the caches' version counts
                parts["text"] = outside.digest(definition.object)
        found[name] = parts
    return found


def levels(
    section: Observables, columns: Mapping[str, Columns | None]
) -> dict[str, tuple[str, ...]]:
    """Return by name the levels at which observables exist: those with the columns they need.

    Args:
        section: names and definitions.
        columns: of events and of particles, by level; None: not known, and taken to be there.

    Raises:
        ConfigError: none of the levels has them, or not the one that the definition names.
    """
    found = {}
    for name, definition in definitions(section).items():
        found[name] = needed(definition, columns)
        problems = [
            _problem(level, lacking, there)
            for level in found[name]
            if (there := columns[level]) is not None
            and (lacking := lacks(definition, level, there))
        ]
        if problems:
            raise ConfigError(
                f"observable {name}: {'; '.join(problems)}. Correct it, or leave it out "
                "(observables.names)"
            )
    return found


def needed(
    definition: ObservableDefinition, columns: Mapping[str, Columns | None]
) -> tuple[str, ...]:
    """Return the levels that must have the columns of an observable, as of `levels`.

    They are those that the definition says. Where it says none, one that has them is enough.
    """
    said = tuple(level for level in columns if _declared(definition, level))
    if definition.level is not None or definition.apart:
        return said
    return tuple(level for level in said if not lacks(definition, level, columns[level])) or said


def lacks(definition: ObservableDefinition, level: str, columns: Columns | None) -> list[str]:
    """Return the columns that an observable needs at a level and that are not there."""
    if columns is None:
        return []
    event, particles = columns
    known = {*event, *particles}
    known |= {f"event.{name}" for name in event} | {f"particles.{name}" for name in particles}
    text = definition.formula(level)
    needed = set() if text is None else set(parse(text).names)
    of_jets = {name for name in needed if name.startswith("jets.")} if definition.radius else set()
    if of_jets or definition.jets is not None:
        needed = (needed - of_jets) | {f"particles.{name}" for name in MOMENTUM}
    return sorted(needed - known)


def _declared(definition: ObservableDefinition, level: str) -> bool:
    """Return whether a definition does not say that an observable does not exist at a level."""
    if definition.apart:
        return definition.formula(level) is not None
    return definition.level in (None, level)


def _problem(level: str, lacking: list[str], columns: Columns) -> str:
    known = list(dict.fromkeys(name for names in columns for name in names))
    part, _, name = lacking[0].rpartition(".")
    near = nearest(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {listing(known) or 'none'}"
    what = "particle column" if part == "particles" else "column"
    return f"there is no {what} {name!r} at {level} level ({hint})"


def resolve(section: Observables, level: str | None = None) -> list[Observable]:
    """Return the named observables, in their order, with the edges of `binning`.

    Modules that the configuration names are imported.

    Args:
        section: names and definitions.
        level: at which they are computed; those that say that they do not exist there are left
            out. None: any of the levels of each, for what does not depend on it.

    Raises:
        ConfigError: an object that is none, or no observable.
    """
    found = []
    for name, definition in definitions(section).items():
        if level is not None and not _declared(definition, level):
            continue
        observable = build(name, definition, level)
        if name in section.binning:
            observable = replace(observable, edges=section.binning[name])
        found.append(observable)
    return found


def build(name: str, definition: ObservableDefinition, level: str | None = None) -> Observable:
    """Return the observable that a definition describes, at a level as in `resolve`.

    Raises:
        ConfigError: as `resolve`.
    """
    options: dict[str, Any] = {
        key: value
        for key in ("label", "latex", "unit", "kind", "log_x", "log_y")
        if (value := getattr(definition, key)) is not None
    }
    edges = _edges(definition.bins) if definition.bins is not None else definition.edges
    if edges is not None:
        options["edges"] = edges
    if definition.object is not None:
        return _from_object(name, definition.object, options)
    if definition.radius is not None and definition.pt_min is not None:
        algorithm = definition.algorithm or "antikt"
        options["jets"] = JetDefinition(algorithm, definition.radius, definition.pt_min)
    given = {k: v for k in ("z_cut", "beta") if (v := getattr(definition, k)) is not None}
    soft_drop = SoftDrop(**given)
    if definition.jets is not None:
        jets, leading = options.pop("jets"), definition.leading
        return from_jets(
            name, definition.jets, jets, leading=leading, soft_drop=soft_drop, **options
        )
    either = definition.formula("detector") or definition.formula("particle")
    text = either if level is None else definition.formula(level)
    if text is None:
        raise ConfigError(f"observable {name}: nothing says how it is computed at {level} level")
    return from_expression(name, text, soft_drop=soft_drop, **options)


def _from_object(name: str, reference: str, options: dict[str, Any]) -> Observable:
    found = outside.load(reference)
    if isinstance(found, Observable):
        if "label" in options:  # the old one must not stay in figures
            options = {"latex": ""} | options
        return replace(found, name=name, **options)
    if not callable(found):
        raise ConfigError(
            f"observables.define.{name}: {reference} is neither an Observable nor a function, but "
            f"{type(found).__name__}"
        )
    return from_function(name, found, **options)


def _edges(bins: Bins) -> tuple[float, ...] | Quantiles:
    if bins.quantiles is not None:
        return Quantiles(bins.quantiles)
    # They are given where there are no quantiles.
    assert bins.range is not None
    assert bins.count is not None
    spaced = np.geomspace if bins.log else np.linspace
    return tuple(spaced(*bins.range, bins.count + 1).tolist())
