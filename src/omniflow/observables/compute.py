"""Computation of observables, some events at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from omniflow.errors import InputError, OmniflowError
from omniflow.events.sample import Level
from omniflow.expressions import Values
from omniflow.observables.chunk import Chunk
from omniflow.observables.entries import Entries
from omniflow.observables.observable import Found, Kind, Observable
from omniflow.physics.jets import JetDefinition

CHUNK = 10_000  # events per step: bounds the memory of clustering and of columns in float64


@dataclass(frozen=True)
class Part:
    """Observables of consecutive events.

    Attributes:
        start, stop: positions of the events in the sample.
        kinds: of the observables, by name.
        entries: of the observables, by name, NaN and infinite values included; indices count from
            `start`.
        axes: eta and phi (J,) float32 of the jets that observables are of, by their definition.
    """

    start: int
    stop: int
    kinds: dict[str, Kind]
    entries: dict[str, Entries]
    axes: dict[JetDefinition, tuple[np.ndarray, np.ndarray]]


def parts(level: Level, observables: Sequence[Observable]) -> Iterator[Part]:
    """Yield the observables of consecutive events of a level.

    Raises:
        ConfigError: an expression does not fit the columns, or fastjet is not installed.
        InputError: a column is missing, or an observable gives what it must not.
    """
    for start in range(0, len(level), CHUNK):
        stop = min(start + CHUNK, len(level))
        chunk = Chunk(level.take(np.arange(start, stop)))
        kinds: dict[str, Kind] = {}
        entries: dict[str, Entries] = {}
        for observable in observables:
            kinds[observable.name], entries[observable.name] = _evaluate(observable, chunk)
        definitions = {o.jets for o in observables if o.jets and kinds[o.name] == "jet"}
        found = {definition: chunk.jets(definition) for definition in definitions}
        axes = {d: (jets.eta, jets.phi) for d, jets in found.items()}
        yield Part(start, stop, kinds, entries, axes)


def compute(level: Level, observables: Iterable[Observable]) -> dict[str, Entries]:
    """Return the entries of observables of a level of n events, by name.

    Raises:
        ConfigError, InputError: as `parts`.
    """
    observables = list(observables)
    found: dict[str, list[Entries]] = {observable.name: [] for observable in observables}
    for part in parts(level, observables):
        for name, each in part.entries.items():
            finite = each.finite
            found[name].append(Entries(finite.event_index + part.start, finite.value))
    return {
        name: Entries(
            np.concatenate([np.empty(0, np.int64), *(each.event_index for each in pieces)]),
            np.concatenate([np.empty(0, np.float32), *(each.value for each in pieces)]),
        )
        for name, pieces in found.items()
    }


def _evaluate(observable: Observable, chunk: Chunk) -> tuple[Kind, Entries]:
    try:
        # log10(0) or 0/0 of an unphysical entry is not finite, hence no entry
        with np.errstate(all="ignore"):
            found = observable.compute(chunk)
            kind, index, value = _read(observable, chunk, found)
            entries = Entries(index.astype(np.int64), value.astype(np.float32))
    except OmniflowError as error:
        raise type(error)(f"observable {observable.name}: {error}") from error
    except Exception as error:
        error.add_note(f"while the observable {observable.name} was computed")
        raise
    _check(observable, chunk, kind, entries)
    return kind, entries


def _read(
    observable: Observable, chunk: Chunk, found: Found
) -> tuple[Kind, np.ndarray, np.ndarray]:
    """Return kind, event of every value, and values."""
    if isinstance(found, tuple):
        if len(found) != 2:
            raise InputError(f"gives {len(found)} arrays; {_GIVE}")
        index, values = map(_numbers, found)
        return observable.kind or "entry", index, values
    if isinstance(found, Values) and found.offsets is not None:
        # Whether those of jets are all jets cannot be known: a mask may have dropped some.
        kind = observable.kind or ("particle" if observable.jets is None else "entry")
        return kind, found.event_index, _numbers(found.array)
    value = _numbers(found.array if isinstance(found, Values) else found)
    if len(value) != chunk.events:
        raise InputError(f"gives {len(value)} values for {chunk.events} events; {_GIVE}")
    if observable.kind not in (None, "event"):
        raise InputError(
            f"is declared to be of the kind {observable.kind!r}, but gives one value per event; "
            "leave `kind` out"
        )
    return "event", np.arange(chunk.events), value


_GIVE = "give one value per event, or (event_index, values)"


def _numbers(values: object) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise InputError(f"gives an array of shape {array.shape} and type {array.dtype}; {_GIVE}")
    return array


def _check(observable: Observable, chunk: Chunk, kind: Kind, entries: Entries) -> None:
    """Refuse entries that do not fit the events, or their kind."""
    index, where = entries.event_index, f"observable {observable.name}"
    if len(index) != len(entries.value):
        raise InputError(f"{where}: has {len(index)} indices of {len(entries.value)} values")
    if len(index) and (index[0] < 0 or index[-1] >= chunk.events or (np.diff(index) < 0).any()):
        raise InputError(
            f"{where}: indices of events must not fall, from 0 to {chunk.events - 1} in a chunk of "
            f"{chunk.events} events"
        )
    counts = np.bincount(index, minlength=chunk.events)
    if kind == "event" and counts.max(initial=0) > 1:
        raise InputError(f"{where}: has several values in one event, but is of the kind 'event'")
    jets = chunk.jets(observable.jets) if kind == "jet" and observable.jets else None
    if jets is not None and not np.array_equal(counts, jets.counts):
        raise InputError(
            f"{where}: is of the kind 'jet', but has not one value per jet: give NaN for those "
            "without, or declare the kind 'entry'"
        )
