"""Cache of observables, one HDF5 file per level, so that jets are clustered once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from omniflow.errors import InputError
from omniflow.events.sample import Level
from omniflow.events.slices import slices
from omniflow.hdf5 import create_h5, find_dataset, open_h5, read_rows
from omniflow.observables.compute import Part, parts
from omniflow.observables.entries import Entries, Objects
from omniflow.observables.observable import Kind, Observable
from omniflow.physics.jets import JetDefinition

if TYPE_CHECKING:
    import h5py

SCHEMA_VERSION = 3  # as `OBSERVABLES_VERSION` of unfolding.fingerprints
_VALUES, _JETS = "values", "jets"


def write(path: str | Path, level: Level, observables: Iterable[Observable]) -> None:
    """Write the observables of a level of n events to `path`.

    Layout (HDF5): attributes `schema_version`, `events`; per observable a group `values/<name>`
    with attributes `kind` and `jets` (a group of jets, empty for other kinds) and the datasets
    `count` (n,) int32, entries per event, and `value` (k,) float32. Observables of jets have a
    value for every jet, NaN where they do not exist; the directions of the jets are `eta` and
    `phi`, (k,) float32, of `jets/<definition>`. Memory does not grow with the number of events.

    Raises:
        ConfigError, InputError: as `compute.parts`.
    """
    observables = list(observables)
    kinds: dict[str, Kind] = {}
    with create_h5(path) as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["events"] = len(level)
        for observable in observables:
            group = file.create_group(f"{_VALUES}/{observable.name}")
            group.create_dataset("count", shape=(len(level),), dtype=np.int32)
            _growing(group, "value")
        for part in parts(level, observables):
            for name, kind in part.kinds.items():
                if kinds.setdefault(name, kind) != kind:
                    raise InputError(
                        f"observable {name}: has values of the kind {kinds[name]!r} in some "
                        f"events and {kind!r} in others"
                    )
            _write_part(file, part)
        for observable in observables:
            found = kinds.get(observable.name)  # None: there are no events
            definition = observable.jets if found == "jet" else None
            attributes = file[f"{_VALUES}/{observable.name}"].attrs
            attributes["kind"] = found or observable.kind or "event"
            attributes["jets"] = "" if definition is None else _slug(definition)


def _write_part(file: h5py.File, part: Part) -> None:
    for name, entries in part.entries.items():
        stays = entries if part.kinds[name] == "jet" else entries.finite
        group = file[f"{_VALUES}/{name}"]
        counts = np.bincount(stays.event_index, minlength=part.stop - part.start)
        group["count"][part.start : part.stop] = counts
        _append(group["value"], stays.value)
    for jets, (eta, phi) in part.axes.items():
        group = file.require_group(f"{_JETS}/{_slug(jets)}")
        for name, values in (("eta", eta), ("phi", phi)):
            _append(group[name] if name in group else _growing(group, name), values)


def read(path: str | Path, names: Iterable[str], events: int | None = None) -> dict[str, Entries]:
    """Read observables of `names` that `write` cached.

    Args:
        path: the cache.
        names: observables to read.
        events: number of events of the sample, checked if given.

    Raises:
        InputError: not such a file, another schema version, a missing observable, or counts
            that disagree.
    """
    with open_h5(path) as file:
        _check(path, file, events)
        every = slice(0, file.attrs["events"])
        return {name: _Stored(file, name).entries(every).finite for name in names}


def entries(
    path: str | Path, names: Iterable[str], events: int
) -> Iterator[tuple[slice, dict[str, Entries]]]:
    """Yield slices of the events of a sample, and what `read` returns of their observables.

    Indices count from the start of a slice.

    Raises:
        InputError: as `read`.
    """
    with open_h5(path) as file:
        _check(path, file, events)
        stored = {name: _Stored(file, name) for name in names}
        for rows in slices(events):
            yield rows, {name: each.entries(rows).finite for name, each in stored.items()}


def objects(
    path: str | Path, names: Iterable[str], events: int
) -> Iterator[tuple[slice, dict[str, Objects]]]:
    """Yield slices of the events of a sample, and what observables have their values of.

    That is every event, every jet or every particle; indices count from the start of a slice.

    Raises:
        InputError: as `read`, or several entries of one event where the observable is of events.
    """
    with open_h5(path) as file:
        _check(path, file, events)
        stored = {name: _Stored(file, name) for name in names}
        kinds = {name: _kind(path, file, name) for name in names}
        for rows in slices(events):
            yield rows, {name: stored[name].objects(rows, kind) for name, kind in kinds.items()}


def kinds(path: str | Path, names: Iterable[str]) -> dict[str, Kind]:
    """Return of what kind the cached observables of `names` are.

    Raises:
        InputError: as `read`.
    """
    with open_h5(path) as file:
        _check(path, file, None)
        return {name: _kind(path, file, name) for name in names}


def _slug(definition: JetDefinition) -> str:
    return f"{definition.algorithm}-{definition.radius!r}-{definition.pt_min!r}"


def _growing(group: h5py.Group, name: str) -> h5py.Dataset:
    return group.create_dataset(
        name, shape=(0,), maxshape=(None,), chunks=(1 << 16,), dtype=np.float32
    )


def _append(dataset: h5py.Dataset, values: np.ndarray) -> None:
    old = len(dataset)
    dataset.resize(old + len(values), axis=0)
    dataset[old:] = values


def _check(path: str | Path, file: h5py.File, events: int | None) -> None:
    version = file.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema version of observables is {version}, expected {SCHEMA_VERSION}: "
            "write it again"
        )
    cached = file.attrs.get("events")
    if events is not None and cached != events:
        raise InputError(
            f"{path}: observables of {cached} events, but the sample has {events}: write it again"
        )


class _Stored:
    """One observable in an open cache, which is read from slice to slice in their order."""

    def __init__(self, file: h5py.File, name: str) -> None:
        """Find it, and check sizes."""
        self._file, self._name = file, name
        where = f"{_VALUES}/{name}"
        self._count = find_dataset(file, f"{where}/count", (file.attrs.get("events"),), "i")
        self._size = (int(read_rows(self._count).sum()),)
        self._value = find_dataset(file, f"{where}/value", self._size, "f")
        self._values = slice(0, 0)  # those of the last slice

    @cached_property
    def _axes(self) -> list[h5py.Dataset]:
        jets = f"{_JETS}/{self._file[f'{_VALUES}/{self._name}'].attrs['jets']}"
        return [find_dataset(self._file, f"{jets}/{a}", self._size, "f") for a in ("eta", "phi")]

    def entries(self, rows: slice) -> Entries:
        """Return the entries of the next slice, those that do not exist included."""
        count = read_rows(self._count, rows)
        self._values = slice(self._values.stop, self._values.stop + int(count.sum()))
        value = read_rows(self._value, self._values)
        return Entries(np.repeat(np.arange(len(count), dtype=np.int64), count), value)

    def objects(self, rows: slice, kind: Kind) -> Objects:
        """Return what the observable has its values of in the next slice."""
        found = self.entries(rows)
        index, value = found.event_index, found.value
        if kind == "jet":
            return Objects(index, value, *(read_rows(axis, self._values) for axis in self._axes))
        if kind != "event":
            return Objects(index, value)
        twice = index[:-1][np.diff(index) == 0]
        if len(twice):
            raise InputError(
                f"{self._file.filename}: {self._name}: event {rows.start + twice[0]} has several "
                "entries of an observable that has one per event: write it again"
            )
        values = np.full(rows.stop - rows.start, np.nan, np.float32)
        values[index] = value
        return Objects(np.arange(len(values)), values)


def _kind(path: str | Path, file: h5py.File, name: str) -> Kind:
    group = file.get(f"{_VALUES}/{name}")
    kind: Any = None if group is None else group.attrs.get("kind")
    if kind not in get_args(Kind):
        raise InputError(f"{path}: {name}: no such observable, or none with a kind: write it again")
    return kind
