"""Description: what is in a file or a sample, as `omniflow inspect` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omniflow.config.diagnostics import WeightLimits
from omniflow.events.sample import Events, Level
from omniflow.sources import judgement
from omniflow.sources.judgement import Remark

_HELD = 50_000  # values of each column that stay in memory, to be compared


@dataclass(frozen=True)
class Selection:
    """Events of one selection: number, share of all records, sum of their weights."""

    name: str
    events: int
    fraction: float
    sum_of_weights: float


@dataclass(frozen=True)
class Multiplicity:
    """Particles per event of one level (detector level: of the events that pass)."""

    level: str
    mean: float
    quantile_99: float
    maximum: int


@dataclass(frozen=True)
class Column:
    """Range of one column; detector-level features of the events that pass.

    Attributes:
        values, weights: (k,) of its first ones, and of their events, to be compared.
    """

    dataset: str
    name: str
    unit: str
    minimum: float
    mean: float
    maximum: float
    values: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)


@dataclass(frozen=True)
class Table:
    """A table of a file: its name (empty: it has none), entries, and columns with their types."""

    name: str
    entries: int
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Description:
    """Content of a file or a sample; what there is none of is empty.

    Attributes:
        name: path of the file, or role of the sample.
        kind: what it is, in words.
        bytes: size of the file; None where it has none.
        events: number of events; None for files whose events are not known.
        provenance: where they come from, or attributes of the file, as JSON.
        remarks: what is to be said of them, the worst first (`judgement`).
    """

    name: str
    kind: str
    bytes: int | None = None
    events: int | None = None
    selections: tuple[Selection, ...] = ()
    multiplicities: tuple[Multiplicity, ...] = ()
    columns: tuple[Column, ...] = ()
    tables: tuple[Table, ...] = ()
    remarks: tuple[Remark, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


class Summary:
    """Numbers of a sample, gathered part by part.

    30 bytes per event stay in memory, and the first values of each column.
    """

    def __init__(self, units: Mapping[str, str]) -> None:
        """Take the units of columns by name."""
        self._units = units
        self._parts: list[Events] = []  # without columns
        self._counts: dict[str, list[np.ndarray]] = {}
        self._ranges: dict[tuple[str, str], list[tuple[float, float, float, int]]] = {}
        self._held: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}

    def add(self, events: Events) -> None:
        """Take more events."""
        self._parts.append(_bare(events))
        weight = np.asarray(events.weight)
        self._range("", "weight", weight, weight)
        levels = [("detector", events.detector, np.asarray(events.pass_detector))]
        if events.particle is not None:
            levels.append(("particle", events.particle, np.ones(len(events), bool)))
        for name, level, used in levels:
            if level.particle_columns:
                self._counts.setdefault(name, []).append(level.counts[used].astype(np.int32))
            for at, column in enumerate(level.event_columns):
                self._range(f"{name}/event", column, level.event[used, at], weight[used])
            each = np.repeat(weight, level.counts)
            for at, column in enumerate(level.particle_columns):
                self._range(f"{name}/particles", column, level.particles[:, at], each)

    def _range(self, dataset: str, name: str, values: np.ndarray, weights: np.ndarray) -> None:
        held = self._held.setdefault((dataset, name), [])
        if (room := _HELD - sum(len(part[0]) for part in held)) > 0:
            held.append((np.array(values[:room]), np.array(weights[:room])))
        seen = self._ranges.setdefault((dataset, name), [])
        if len(values):
            total = float(values.sum(dtype=float))
            seen.append((float(values.min()), total, float(values.max()), len(values)))

    @property
    def bare(self) -> Events:
        """The events without their columns: ids, weights and flags."""
        return Events.joined(self._parts)

    def described(
        self,
        name: str,
        kind: str,
        warnings: Sequence[str] = (),
        absent: Mapping[tuple[str, str], float] | None = None,
        limits: WeightLimits | None = None,
        **more: Any,
    ) -> Description:
        """Return the description of all events.

        Args:
            name: what it is the description of.
            kind: what that is; without a particle level it says so.
            warnings: what is doubtful of values.
            absent: shares of records that lack a number, by level and column.
            limits: of weights; None: the defaults.
            more: further attributes of the description.
        """
        remarks = [Remark(judgement.DOUBTFUL, text) for text in warnings]
        if not self._parts:
            return Description(name, kind, events=0, remarks=tuple(remarks), **more)
        events = self.bare
        multiplicities = self._multiplicities()
        remarks += judgement.of_events(events, limits or WeightLimits())
        remarks += judgement.of_particles(multiplicities)
        remarks += judgement.of_absent(dict(absent or {}))
        truth = "" if events.pass_particle is not None else ", without particle level (real data)"
        return Description(
            name,
            kind + truth,
            events=len(events),
            selections=_selections(events),
            multiplicities=multiplicities,
            columns=tuple(self._column(*key, seen) for key, seen in self._ranges.items()),
            remarks=judgement.ordered(remarks),
            **more,
        )

    def _multiplicities(self) -> tuple[Multiplicity, ...]:
        found = []
        for name, parts in self._counts.items():
            counts = np.concatenate(parts)
            if len(counts):
                quantile = float(np.quantile(counts, 0.99))
                found.append(Multiplicity(name, float(counts.mean()), quantile, int(counts.max())))
        return tuple(found)

    def _column(
        self, dataset: str, name: str, seen: list[tuple[float, float, float, int]]
    ) -> Column:
        unit = self._units.get(name, "")
        unit = "" if unit == "1" else unit
        if not seen:
            return Column(dataset, name, unit, float("nan"), float("nan"), float("nan"))
        low, total, high, number = zip(*seen, strict=True)
        held = (np.concatenate(part) for part in zip(*self._held[dataset, name], strict=True))
        return Column(dataset, name, unit, min(low), sum(total) / sum(number), max(high), *held)


def _bare(events: Events) -> Events:
    """Return events without columns and particles."""
    n = len(events)
    none = Level(
        np.zeros((n, 0), np.float32), np.zeros((0, 0), np.float32), np.zeros(n + 1, int), (), ()
    )
    truth = events.pass_particle
    return Events(
        np.array(events.event_id),
        np.array(events.weight),
        np.array(events.pass_detector),
        None if truth is None else np.array(truth),
        none,
        None if truth is None else none,
    )


def _selections(events: Events) -> tuple[Selection, ...]:
    detector = events.pass_detector
    masks = {"all records": np.ones(len(events), bool), "pass detector level": detector}
    if events.pass_particle is not None:
        particle = events.pass_particle
        masks |= {
            "pass particle level": particle,
            "matched (pass both)": particle & detector,
            "misses (particle level only)": particle & ~detector,
            "fakes (detector level only)": detector & ~particle,
        }
    negative = events.weight < 0
    if negative.any():
        masks["have a negative weight"] = negative
    return tuple(
        Selection(name, int(mask.sum()), float(mask.mean()), float(events.weight[mask].sum()))
        for name, mask in masks.items()
    )
