"""Observables of DIS events, their default binnings, and their cache, one file per level.

The nine observables of arXiv:2503.20753 (sec. 3) plus y and the multiplicity. An observable has
one entry per particle, jet or event; entries carry the index of their event, so that histograms
can count the entries of one event together.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import hist
import numpy as np

from omniflow.errors import ConfigError, InputError
from omniflow.evaluation.matching import Objects
from omniflow.events.sample import Level
from omniflow.files import create_h5, open_h5, read_dataset

if TYPE_CHECKING:
    import h5py

    from omniflow.physics.jets import Jets

SCHEMA_VERSION = 2  # as `OBSERVABLES_VERSION` of unfolding.fingerprints
# Stored wherever there is an observable of jets: what matches them between the levels.
_AXES = ("jet_eta", "jet_phi")
CHUNK = 50_000  # events per step: bounds the memory of clustering and of columns in float64


@dataclass(frozen=True)
class Entries:
    """Values of one observable.

    Attributes:
        event_index: (k,) int64, non-decreasing, position of the entry's event in the sample.
        value: (k,) float32, finite.
    """

    event_index: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.value)


@dataclass(frozen=True)
class Observable:
    """What is histogrammed.

    Attributes:
        name: name in configurations, tables and files.
        label: plain text (Unicode) for HTML and tables.
        latex: label for figures, in math mode.
        unit: unit of the values, empty where there is none.
        kind: what has an entry: every particle, jet or event.
        edges: default bin edges, in `unit`.
        log_x: whether the axis is drawn logarithmically.
        log_y: whether the distribution is drawn on a logarithmic scale.
    """

    name: str
    label: str
    latex: str
    unit: str
    kind: Literal["particle", "jet", "event"]
    edges: tuple[float, ...]
    log_x: bool = False
    log_y: bool = False


def _equal(bins: int, low: float, high: float) -> tuple[float, ...]:
    return tuple(np.linspace(low, high, bins + 1).tolist())


def _logarithmic(bins: int, low: float, high: float) -> tuple[float, ...]:
    return tuple(np.geomspace(low, high, bins + 1).tolist())


JET_PT_EDGES = (5, 6, 7, 8, 9, 10, 11, 12, 13.5, 15, 17, 19, 22, 26, 31, 38, 48, 65)

OBSERVABLES: dict[str, Observable] = {
    item.name: item
    for item in (
        Observable(
            "eta_p_minus_eta_e",
            "η_p − η_e",
            r"$\eta_p - \eta_e$",
            "",
            "particle",
            _equal(22, -1.0, 4.5),
        ),
        Observable(
            "log10_pt",
            "log₁₀(p_T / GeV)",
            r"$\log_{10}(p_T / \mathrm{GeV})$",
            "",
            "particle",
            _equal(22, -1.0, 1.75),
            log_y=True,
        ),
        Observable(
            "log10_pt_over_q",
            "log₁₀(p_T / Q)",
            r"$\log_{10}(p_T / Q)$",
            "",
            "particle",
            _equal(24, -2.75, 0.25),
            log_y=True,
        ),
        Observable(
            "jet_pt",
            "jet p_T",
            r"$p_T^\mathrm{jet}$",
            "GeV",
            "jet",
            JET_PT_EDGES,
            log_x=True,
            log_y=True,
        ),
        Observable(
            "jet_eta",
            "jet η",
            r"$\eta^\mathrm{jet}$",
            "",
            "jet",
            _equal(17, -1.5, 2.75),
        ),
        Observable(
            "jet_tau21",
            "jet τ₂₁",
            r"$\tau_{21}^\mathrm{jet}$",
            "",
            "jet",
            _equal(20, 0.0, 1.0),
        ),
        Observable(
            "q2",
            "Q²",
            r"$Q^2$",
            "GeV²",
            "event",
            _logarithmic(15, 150.0, 5000.0),
            log_x=True,
            log_y=True,
        ),
        Observable("eta_e", "η_e", r"$\eta_e$", "", "event", _equal(16, -1.6, 1.6)),
        Observable(
            "dphi_jet_e",
            "π − |Δφ(jet, e)|",
            r"$\pi - |\Delta\phi(\mathrm{jet}, e)|$",
            "rad",
            "event",
            _equal(16, 0.0, 1.2),
            log_y=True,
        ),
        Observable("y", "y", r"$y$", "", "event", _equal(15, 0.2, 0.7)),
        # Edges between the integers, three values a bin.
        Observable(
            "multiplicity",
            "number of particles",
            r"$N_\mathrm{particles}$",
            "",
            "event",
            _equal(20, 0.5, 60.5),
            log_y=True,
        ),
    )
}


def get(name: str) -> Observable:
    """Return the observable called `name`; ConfigError with the nearest name if unknown."""
    try:
        return OBSERVABLES[name]
    except KeyError:
        near = difflib.get_close_matches(name, OBSERVABLES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(OBSERVABLES)}"
        raise ConfigError(f"unknown observable {name!r}: {hint}") from None


def binning(
    name: str, overrides: Mapping[str, Sequence[float]] | None = None
) -> hist.axis.Variable:
    """Return the axis of an observable: `overrides[name]` if given, else the default edges.

    Under- and overflow are left out. Bins are [low, high), as in `hist`.
    """
    observable = get(name)
    edges = (overrides or {}).get(name, observable.edges)
    unit = f" [{observable.unit}]" if observable.unit else ""
    return hist.axis.Variable(
        edges, name=name, label=f"{observable.latex}{unit}", underflow=False, overflow=False
    )


class _Chunk:
    """Consecutive events of a level, with the columns that observables share.

    Events without an electron (rows of zeros: not selected at this level) have NaN event columns,
    so that everything that needs them drops out.
    """

    def __init__(self, level: Level, start: int, stop: int) -> None:
        self.events = stop - start
        self._level = level.take(np.arange(start, stop))
        momenta = [self._event(name) for name in ("e_px", "e_py", "e_pz", "q2", "y")]
        px, py, pz, q2, y = momenta
        pt = np.hypot(px, py)
        valid = np.isfinite(momenta).all(axis=0) & (pt > 0) & (q2 > 0)
        nan = np.where(valid, 0.0, np.nan)
        safe = np.where(valid, pt, 1.0)
        self.eta_e = np.arcsinh(pz / safe) + nan
        self.phi_e = np.arctan2(py, px) + nan
        self.q2 = q2 + nan
        self.y = y + nan
        self.multiplicity = self._level.counts + nan
        self.particle_event = np.repeat(np.arange(self.events), self._level.counts)

    def _event(self, name: str) -> np.ndarray:
        return _column(self._level.event, self._level.event_columns, name, "event")

    def particle(self, name: str) -> np.ndarray:
        return _column(self._level.particles, self._level.particle_columns, name, "particle")

    @cached_property
    def jets(self) -> Jets:
        from omniflow.physics.jets import cluster

        return cluster(self._level)

    @cached_property
    def jet_event(self) -> np.ndarray:
        return np.repeat(np.arange(self.events), np.diff(self.jets.offsets))


def _column(array: np.ndarray, columns: Sequence[str], name: str, what: str) -> np.ndarray:
    if name not in columns:
        raise InputError(
            f"observables need the {what} column {name!r} but the sample has "
            f"{', '.join(columns) or 'none'}: choose other observables or another sample"
        )
    return np.asarray(array[:, columns.index(name)], dtype=np.float64)


def _eta_p_minus_eta_e(chunk: _Chunk) -> tuple[np.ndarray, np.ndarray]:
    index = chunk.particle_event
    return index, chunk.particle("eta") - chunk.eta_e[index]


def _log10_pt(chunk: _Chunk) -> tuple[np.ndarray, np.ndarray]:
    return chunk.particle_event, np.log10(chunk.particle("pt"))


def _log10_pt_over_q(chunk: _Chunk) -> tuple[np.ndarray, np.ndarray]:
    index = chunk.particle_event
    return index, np.log10(chunk.particle("pt") / np.sqrt(chunk.q2[index]))


def _jet(attribute: str) -> Callable[[_Chunk], tuple[np.ndarray, np.ndarray]]:
    return lambda chunk: (chunk.jet_event, getattr(chunk.jets, attribute))


def _event(attribute: str) -> Callable[[_Chunk], tuple[np.ndarray, np.ndarray]]:
    return lambda chunk: (np.arange(chunk.events), getattr(chunk, attribute))


def _dphi_jet_e(chunk: _Chunk) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.asarray(chunk.jets.offsets)
    index = np.flatnonzero(np.diff(offsets))
    leading = np.asarray(chunk.jets.phi, dtype=np.float64)[offsets[index]]
    delta = leading - chunk.phi_e[index]
    return index, np.pi - np.abs((delta + np.pi) % (2 * np.pi) - np.pi)


_VALUES: dict[str, Callable[[_Chunk], tuple[np.ndarray, np.ndarray]]] = {
    "eta_p_minus_eta_e": _eta_p_minus_eta_e,
    "log10_pt": _log10_pt,
    "log10_pt_over_q": _log10_pt_over_q,
    "jet_pt": _jet("pt"),
    "jet_eta": _jet("eta"),
    "jet_phi": _jet("phi"),
    "jet_tau21": _jet("tau21"),
    "q2": _event("q2"),
    "eta_e": _event("eta_e"),
    "dphi_jet_e": _dphi_jet_e,
    "y": _event("y"),
    "multiplicity": _event("multiplicity"),
}


def _blocks(level: Level, names: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Entries]]]:
    """Yield (start, stop, entries) for consecutive events; indices count from `start`.

    Jets that an observable does not exist for have NaN.
    """
    for start in range(0, len(level), CHUNK):
        stop = min(start + CHUNK, len(level))
        chunk = _Chunk(level, start, stop)
        block = {}
        for name in names:
            # log10(0) or 0/0 of an unphysical entry is not finite, hence no entry
            with np.errstate(divide="ignore", invalid="ignore"):
                index, value = _VALUES[name](chunk)
            found = Entries(index.astype(np.int64), np.asarray(value, dtype=np.float32))
            block[name] = found if name in _AXES or _of_jets(name) else _finite(found)
        yield start, stop, block


def _of_jets(name: str) -> bool:
    return get(name).kind == "jet"


def _finite(entries: Entries) -> Entries:
    finite = np.isfinite(entries.value)
    return Entries(entries.event_index[finite], entries.value[finite])


def compute(level: Level, names: Iterable[str]) -> dict[str, Entries]:
    """Compute observables of a level of n events.

    Angles, Q2 and everything relative to the electron exist only for events with a reconstructed
    electron (pT > 0 and Q2 > 0); Q is sqrt(Q2); dphi_jet_e uses the jet of highest pT.

    Raises:
        ConfigError: an unknown name.
        InputError: the level lacks a column.
    """
    names = [get(name).name for name in names]
    parts: dict[str, list[Entries]] = {name: [] for name in names}
    for start, _, block in _blocks(level, names):
        for name, part in block.items():
            parts[name].append(Entries(part.event_index + start, part.value))
    return {
        name: _finite(
            Entries(
                np.concatenate([p.event_index for p in part] or [np.empty(0, np.int64)]),
                np.concatenate([p.value for p in part] or [np.empty(0, np.float32)]),
            )
        )
        for name, part in parts.items()
    }


def write(path: str | Path, level: Level, names: Iterable[str]) -> None:
    """Write the observables of a level of n events to `path`, so that jets are clustered once.

    Layout (HDF5): attributes `schema_version`, `events`; per observable a group with `count`
    (n,) int32, entries per event, and `value` (k,) float32. Observables of jets have a value for
    every jet, NaN where they do not exist, and come with `jet_eta` and `jet_phi`. Memory does not
    grow with the number of events.

    Raises:
        ConfigError, InputError: as `compute`.
    """
    names = [get(name).name for name in names]
    if any(_of_jets(name) for name in names):
        names = list(dict.fromkeys([*names, *_AXES]))
    with create_h5(path) as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["events"] = len(level)
        values = {}
        for name in names:
            group = file.create_group(name)
            group.create_dataset("count", shape=(len(level),), dtype=np.int32)
            values[name] = group.create_dataset(
                "value", shape=(0,), maxshape=(None,), chunks=(1 << 16,), dtype=np.float32
            )
        for start, stop, block in _blocks(level, names):
            for name, part in block.items():
                counts = np.bincount(part.event_index, minlength=stop - start)
                file[name]["count"][start:stop] = counts
                old = len(values[name])
                values[name].resize(old + len(part), axis=0)
                values[name][old:] = part.value


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
        return {name: _finite(_read_one(file, name)) for name in names}


def read_objects(path: str | Path, name: str, events: int) -> Objects:
    """Read what an observable has its values of: every event, every jet or every particle.

    Raises:
        InputError: as `read`, or several entries of one event where the observable is of events.
    """
    with open_h5(path) as file:
        _check(path, file, events)
        found = _read_one(file, name)
        if _of_jets(name):
            axes = (_read_one(file, axis).value for axis in _AXES)
            return Objects(found.event_index, found.value, *axes)
    if get(name).kind == "particle":
        return Objects(found.event_index, found.value)
    if len(found) and np.bincount(found.event_index).max() > 1:
        twice = found.event_index[np.flatnonzero(np.diff(found.event_index) == 0)[0]]
        raise InputError(
            f"{path}: {name}: event {twice} has several entries of an observable that has one per "
            "event: write it again"
        )
    value = np.full(events, np.nan, np.float32)
    value[found.event_index] = found.value
    return Objects(np.arange(events), value)


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


def _read_one(file: h5py.File, name: str) -> Entries:
    count = read_dataset(file, f"{name}/count", (file.attrs.get("events"),), "i")
    value = read_dataset(file, f"{name}/value", (count.sum(),), "f")
    return Entries(np.repeat(np.arange(len(count), dtype=np.int64), count), value)
