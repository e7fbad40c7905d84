"""Event store: one HDF5 file per sample, jagged, shuffled, memory-mapped when read.

Layout (schema 1): event_id (n,) uint64, weight (n,) float64, pass_detector (n,) uint8,
pass_particle (n,) uint8, and per level (`detector`, `particle`) event (n, E) float32,
particles (M, F) float32 and offsets (n + 1,) int64; weights/<name> (n,) float64 where a
source names further weights. Real data have neither `pass_particle` nor
`particle`. Every dataset is contiguous and uncompressed and carries its SHA-256; `event` and
`particles` carry the attributes `columns` and `units` (JSON lists).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from omniflow import __version__
from omniflow.errors import InputError
from omniflow.events.checks import check_flag
from omniflow.events.sample import Events, Level
from omniflow.files import MISREAD, to_json
from omniflow.hdf5 import (
    Place,
    create_h5,
    find_dataset,
    memory_map,
    memory_maps,
    open_h5,
    place,
    signs,
)

SCHEMA = "omniflow-events"
VERSION = 1
_WEIGHTS = "weights/"
_BLOCK = 50_000  # events written, or 64-byte rows hashed, at a time


def write(
    events: Events,
    path: str | Path,
    provenance: Mapping[str, Any],
    seed: int,
    units: Mapping[str, str] | None = None,
    written: Callable[[str], None] = lambda level: None,
) -> None:
    """Write a sample, shuffled, to `path`; the file appears complete or not at all.

    Args:
        events: the sample (`omniflow.events.checks.check` it first).
        path: the new file.
        provenance: where the events come from, as JSON; version, time of creation, shuffling
            seed and number of events are added.
        seed: of the shuffling, after which any contiguous slice is a random sample.
        units: of columns, by name; others have the unit 1.
        written: is called with the name of a level that will not be read again.
    """
    order = np.random.default_rng(seed).permutation(len(events))
    record = {
        **provenance,
        "omniflow": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "shuffle_seed": seed,
        "events": len(events),
    }
    with create_h5(path) as h5file:
        h5file.attrs["schema"] = SCHEMA
        h5file.attrs["schema_version"] = VERSION
        h5file.attrs["provenance"] = to_json(record)
        _write(h5file, "event_id", events.event_id[order].astype("<u8"))
        _write(h5file, "weight", events.weight[order].astype("<f8"))
        for name, values in events.weights.items():
            _write(h5file, f"{_WEIGHTS}{name}", values[order].astype("<f8"))
        _write(h5file, "pass_detector", events.pass_detector[order].astype("u1"))
        _write_level(h5file, "detector", events.detector, order, units or {})
        written("detector")
        if events.particle is not None and events.pass_particle is not None:
            _write(h5file, "pass_particle", events.pass_particle[order].astype("u1"))
            _write_level(h5file, "particle", events.particle, order, units or {})
        h5file.attrs["checksum"] = _checksum(
            {name: h5file[name].attrs["sha256"] for name in _names(h5file)}
        )


def _write(h5file: h5py.File, name: str, values: np.ndarray) -> None:
    dataset = h5file.create_dataset(name, data=values)
    dataset.attrs["sha256"] = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _write_level(
    h5file: h5py.File, name: str, level: Level, order: np.ndarray, units: Mapping[str, str]
) -> None:
    offsets = np.concatenate([[0], np.cumsum(level.counts[order])]).astype("<i8")
    _write(h5file, f"{name}/offsets", offsets)
    event = h5file.create_dataset(f"{name}/event", level.event.shape, "<f4")
    particles = h5file.create_dataset(f"{name}/particles", level.particles.shape, "<f4")
    digests = hashlib.sha256(), hashlib.sha256()
    for start in range(0, len(order), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(order)))
        part = level.take(order[rows])
        particle_rows = slice(offsets[rows.start], offsets[rows.stop])
        for dataset, digest, at, values in (
            (event, digests[0], rows, part.event),
            (particles, digests[1], particle_rows, part.particles),
        ):
            values = np.ascontiguousarray(values, "<f4")
            if values.size:
                dataset[at] = values
                digest.update(values.data)
    for dataset, digest, columns in (
        (event, digests[0], level.event_columns),
        (particles, digests[1], level.particle_columns),
    ):
        dataset.attrs["sha256"] = digest.hexdigest()
        dataset.attrs["columns"] = json.dumps(list(columns))
        dataset.attrs["units"] = json.dumps([units.get(column) or "1" for column in columns])


def _names(h5file: h5py.File) -> list[str]:
    levels = ["detector", *(["particle"] if "particle" in h5file else [])]
    flags = [f"pass_{level}" for level in levels]
    arrays = [f"{level}/{part}" for level in levels for part in ("event", "particles", "offsets")]
    return ["event_id", "weight", *_weights(h5file), *flags, *arrays]


def _weights(h5file: h5py.File) -> list[str]:
    """Return the datasets of further weights."""
    return [f"{_WEIGHTS}{name}" for name in h5file.get(_WEIGHTS, ())]


def _checksum(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(sorted(digests.items()))).encode()).hexdigest()


def recognises(path: str | Path) -> bool:
    """Return whether a file says that it is an event store; nothing else is looked at."""
    if not h5py.is_hdf5(path):
        return False
    with open_h5(path) as h5file:
        return is_store(h5file)


def is_store(h5file: h5py.File) -> bool:
    """Return whether the open file says that it is an event store, of any version."""
    return _attribute(h5file, "schema") == SCHEMA


def open_store(path: str | Path) -> Events:
    """Return the sample in `path`; its arrays are read-only memory maps.

    A file is checked once by a process, as long as it does not change.

    Raises:
        InputError: the file is missing, truncated, not HDF5, not an event store, of another
            schema version, or a dataset is missing or has another type or shape.
    """
    layout = _layout(str(path), signs(path))
    return layout.events(memory_maps(path, layout.places.values()))


class _Layout(NamedTuple):
    """Where the datasets of a store lie, and the columns of those that have some, by name."""

    places: dict[str, Place]
    columns: dict[str, tuple[str, ...]]

    def events(self, arrays: Iterable[np.ndarray]) -> Events:
        """Return the sample of the arrays at the places."""
        found = dict(zip(self.places, arrays, strict=True))
        truth = "pass_particle" in found
        return Events(
            event_id=found["event_id"],
            weight=found["weight"],
            pass_detector=found["pass_detector"].view(np.bool_),
            pass_particle=found["pass_particle"].view(np.bool_) if truth else None,
            detector=self._level(found, "detector"),
            particle=self._level(found, "particle") if truth else None,
            weights={
                name.removeprefix(_WEIGHTS): values
                for name, values in found.items()
                if name.startswith(_WEIGHTS)
            },
        )

    def _level(self, found: dict[str, np.ndarray], name: str) -> Level:
        return Level(
            event=found[f"{name}/event"],
            particles=found[f"{name}/particles"],
            offsets=found[f"{name}/offsets"],
            event_columns=self.columns[f"{name}/event"],
            particle_columns=self.columns[f"{name}/particles"],
        )


@lru_cache(maxsize=100)
def _layout(path: str, signs: tuple[int, ...]) -> _Layout:
    """Return where everything lies in the store with these signs, checked."""
    with _open(path) as h5file:
        n = find_dataset(h5file, "event_id", (None,), "u").shape[0]
        places = {
            "event_id": place(h5file, "event_id", (n,), "u"),
            "weight": place(h5file, "weight", (n,), "f"),
        }
        columns: dict[str, tuple[str, ...]] = {}
        for level in ("detector", *(["particle"] if "particle" in h5file else [])):
            places[f"pass_{level}"] = place(h5file, f"pass_{level}", (n,), "u")
            (flags,) = memory_maps(path, [places[f"pass_{level}"]])
            check_flag(flags, path, f"pass_{level}", f"pass_{level}")
            for part, rows in (("event", n), ("particles", None)):
                name = f"{level}/{part}"
                columns[name] = _columns(h5file, name)
                places[name] = place(h5file, name, (rows, len(columns[name])), "f")
            places[f"{level}/offsets"] = place(h5file, f"{level}/offsets", (n + 1,), "i")
            (offsets,) = memory_maps(path, [places[f"{level}/offsets"]])
            _check_offsets(offsets, places[f"{level}/particles"].shape[0], path, level)
        for name in _weights(h5file):
            places[name] = place(h5file, name, (n,), "f")
        return _Layout(places, columns)


def _check_offsets(offsets: np.ndarray, particles: int, path: str, level: str) -> None:
    if offsets[0] != 0 or offsets[-1] != particles:
        raise InputError(
            f"{path}: {level}/offsets: run from {offsets[0]} to {offsets[-1]} but "
            f"{level}/particles has {particles} rows; ingest the sample again"
        )
    if not (offsets[1:] >= offsets[:-1]).all():
        raise InputError(
            f"{path}: {level}/offsets: fall; the file is damaged: ingest the sample again"
        )


def provenance(path: str | Path) -> dict[str, Any]:
    """Return where the events of a store come from.

    Raises:
        InputError: as `open_store`, or the record is missing or not JSON.
    """
    with _open(path) as h5file:
        try:
            return dict(json.loads(_attribute(h5file, "provenance")))
        except MISREAD as error:
            raise InputError(
                f"{path}: attribute provenance: missing or not JSON; ingest the sample again"
            ) from error


def warnings(path: str | Path) -> list[str]:
    """Return what was doubtful of a sample when it was read (`events.plausibility`).

    Raises:
        InputError: as `provenance`.
    """
    return list(provenance(path).get("warnings", ()))


def units(path: str | Path) -> dict[str, str]:
    """Return the units of the columns of a store, by name; 1 where there is none.

    Raises:
        InputError: as `open_store`, or they are missing.
    """
    found: dict[str, str] = {}
    with _open(path) as h5file:
        for name in (name for name in _names(h5file) if name.endswith(("/event", "/particles"))):
            try:
                values = json.loads(_attribute(find_dataset(h5file, name), "units"))
                found |= zip(_columns(h5file, name), values, strict=True)
            except MISREAD as error:
                raise InputError(
                    f"{path}: {name}: attribute units: missing, or not one per column; ingest the "
                    "sample again"
                ) from error
    return found


def checksum(path: str | Path) -> str:
    """Return the checksum of an event store's datasets as it was when written."""
    with _open(path) as h5file:
        return str(_attribute(h5file, "checksum"))


def verify(path: str | Path) -> str:
    """Recompute the checksum of a store's datasets and return it.

    Raises:
        InputError: as `open_store`, or a dataset is not what was written.
    """
    with _open(path) as h5file:
        digests = {}
        for name in _names(h5file):
            digest = hashlib.sha256()
            for block in _byte_blocks(memory_map(h5file, name)):
                digest.update(block)
            digests[name] = digest.hexdigest()
            if digests[name] != _attribute(h5file[name], "sha256"):
                raise InputError(
                    f"{path}: {name}: its checksum is not that of the attribute sha256, so the "
                    "content has changed since it was written; ingest the sample again"
                )
        checksum = _checksum(digests)
        if checksum != _attribute(h5file, "checksum"):
            raise InputError(
                f"{path}: attribute checksum: is not that of the datasets; ingest the sample again"
            )
        return checksum


def _byte_blocks(array: np.ndarray) -> Iterator[memoryview]:
    flat = array.reshape(-1).view("u1")
    for start in range(0, len(flat), 64 * _BLOCK):
        yield flat[start : start + 64 * _BLOCK].data


@contextmanager
def _open(path: str | Path) -> Iterator[h5py.File]:
    """Yield the open store after checking its schema."""
    with open_h5(path) as h5file:
        if not is_store(h5file):
            raise InputError(
                f"{path}: attribute schema: is {_attribute(h5file, 'schema')!r} where {SCHEMA!r} "
                "is needed, so this is not an event store; ingest the sample first"
            )
        version = _attribute(h5file, "schema_version")
        if version != VERSION:
            raise InputError(
                f"{path}: attribute schema_version: is {version} where {VERSION} is needed; "
                f"ingest the sample again with omniflow {__version__}"
            )
        yield h5file


def _attribute(item: h5py.HLObject, name: str) -> Any:
    value = item.attrs.get(name)
    return value.item() if isinstance(value, np.generic) else value


def _columns(h5file: h5py.File, name: str) -> tuple[str, ...]:
    try:
        columns = json.loads(_attribute(find_dataset(h5file, name), "columns"))
        return tuple(str(column) for column in columns)
    except MISREAD as error:
        raise InputError(
            f"{h5file.filename}: {name}: attribute columns: missing or not a JSON list; "
            "ingest the sample again"
        ) from error
