"""What is in an event file: an event store, a file in the H1 layout, or other HDF5."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from omniflow.config.diagnostics import WeightLimits
from omniflow.events import quality, store
from omniflow.events.sample import Events, Level
from omniflow.files import open_h5
from omniflow.physics.dis.kinematics import UNITS
from omniflow.sources import h1_file

if TYPE_CHECKING:
    from rich.console import Group


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
    """Range of one column; detector-level features of the events that pass."""

    dataset: str
    name: str
    unit: str
    minimum: float
    mean: float
    maximum: float


@dataclass(frozen=True)
class Dataset:
    """Name, shape and type of a dataset of a file in no known layout."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Description:
    """Content of a file; what a file of its kind does not have is empty."""

    path: str
    kind: str
    bytes: int
    events: int | None = None
    selections: tuple[Selection, ...] = ()
    multiplicities: tuple[Multiplicity, ...] = ()
    columns: tuple[Column, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    weights: tuple[str, ...] = ()


def describe(path: str | Path) -> Description:
    """Return what is in the HDF5 file `path`.

    Raises:
        InputError: the file is missing, truncated or not HDF5, or it is an event store or a
            file in the H1 layout that a study would refuse.
    """
    with open_h5(path) as h5file:
        is_store, is_h1 = store.is_store(h5file), h1_file.is_h1(h5file)
        attributes = {key: _plain(value) for key, value in sorted(h5file.attrs.items())}
        datasets = _datasets(h5file)
    size = Path(path).stat().st_size
    if is_store:
        events, kind = store.open_store(path), "event store"
        attributes = store.provenance(path)
    elif is_h1:
        events, kind = Events.joined(list(h1_file.read([path]))), "padded HDF5 of the H1 layout"
    else:
        return Description(
            str(path), "HDF5 in no layout of events", size, None, (), (), (), attributes, datasets
        )
    truth = "" if events.particle is not None else ", without particle level (real data)"
    return Description(
        path=str(path),
        kind=kind + truth,
        bytes=size,
        events=len(events),
        selections=_selections(events),
        multiplicities=_multiplicities(events),
        columns=_columns(events),
        provenance=attributes,
        weights=_weights(events),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _datasets(h5file: h5py.File) -> tuple[Dataset, ...]:
    found: list[Dataset] = []

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(Dataset(name, tuple(item.shape or ()), str(item.dtype)))

    h5file.visititems(visit)
    return tuple(found)


def _selections(events: Events) -> tuple[Selection, ...]:
    detector = np.asarray(events.pass_detector)
    masks = {"all records": np.ones(len(events), bool), "pass detector level": detector}
    if events.pass_particle is not None:
        particle = np.asarray(events.pass_particle)
        masks |= {
            "pass particle level": particle,
            "matched (pass both)": particle & detector,
            "misses (particle level only)": particle & ~detector,
            "fakes (detector level only)": detector & ~particle,
        }
    negative = np.asarray(events.weight) < 0
    if negative.any():
        masks["have a negative weight"] = negative
    return tuple(
        Selection(name, int(mask.sum()), float(mask.mean()), float(events.weight[mask].sum()))
        for name, mask in masks.items()
    )


def _weights(events: Events) -> tuple[str, ...]:
    """Return sentences on the weights; limits are the defaults of `diagnostics.weights`."""
    if not len(events):
        return ()
    found = quality.words(quality.measure(events.weight))
    return (f"{found}.", *quality.of_sample(events, "Note", WeightLimits()))


def _levels(events: Events) -> list[tuple[str, Level, np.ndarray]]:
    levels = [("detector", events.detector, np.asarray(events.pass_detector))]
    if events.particle is not None:
        levels.append(("particle", events.particle, np.ones(len(events), bool)))
    return levels


def _multiplicities(events: Events) -> tuple[Multiplicity, ...]:
    found = []
    for name, level, used in _levels(events):
        counts = level.counts[used]
        if level.particle_columns and len(counts):
            quantile = float(np.quantile(counts, 0.99))
            found.append(Multiplicity(name, float(counts.mean()), quantile, int(counts.max())))
    return tuple(found)


def _columns(events: Events) -> tuple[Column, ...]:
    found = [_column("", "weight", events.weight)]
    for name, level, used in _levels(events):
        for index, column in enumerate(level.event_columns):
            found.append(_column(f"{name}/event", column, level.event[used, index]))
        for index, column in enumerate(level.particle_columns):
            found.append(_column(f"{name}/particles", column, level.particles[:, index]))
    return tuple(found)


def _column(dataset: str, name: str, values: np.ndarray) -> Column:
    unit = UNITS.get(name, "")
    if not len(values):
        return Column(dataset, name, unit, float("nan"), float("nan"), float("nan"))
    low, mean, high = (float(f) for f in (values.min(), values.mean(dtype=float), values.max()))
    return Column(dataset, name, unit, low, mean, high)


def render(description: Description) -> Group:
    """Return the description as tables for a rich console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def table(title: str, *heads: str) -> Table:
        made = Table(title=title, title_justify="left", title_style="bold")
        for index, head in enumerate(heads):
            made.add_column(head, justify="left" if index == 0 else "right")
        return made

    # Text, because square brackets of names and settings would be taken for markup.
    parts: list[Any] = [Text(f"{description.path}: {description.kind}", style="bold")]
    number = "" if description.events is None else f"{description.events:,} events, "
    parts.append(Text(f"{number}{description.bytes / 1e6:,.2f} MB"))
    if description.selections:
        shown = table("Selections", "events that", "events", "share", "sum of weights")
        for row in description.selections:
            shown.add_row(
                row.name, f"{row.events:,}", f"{row.fraction:.1%}", f"{row.sum_of_weights:,.6g}"
            )
        parts.append(shown)
    if description.weights:
        parts.append(Text("Weights", style="bold"))
        parts += [Text(line) for line in description.weights]
    if description.multiplicities:
        shown = table("Particles per event", "level", "mean", "99%", "maximum")
        for row in description.multiplicities:
            shown.add_row(row.level, f"{row.mean:.2f}", f"{row.quantile_99:.0f}", f"{row.maximum}")
        parts.append(shown)
    if description.columns:
        shown = table("Columns", "column", "unit", "minimum", "mean", "maximum")
        for row in description.columns:
            values = (f"{value:.5g}" for value in (row.minimum, row.mean, row.maximum))
            shown.add_row(Text(f"{row.dataset} {row.name}".strip()), row.unit, *values)
        parts.append(shown)
    if description.datasets:
        shown = table("Datasets", "dataset", "shape", "type")
        for row in description.datasets:
            shown.add_row(Text(row.name), str(row.shape), Text(row.dtype))
        parts.append(shown)
    if description.provenance:
        parts.append(Text("Provenance", style="bold"))
        parts.append(Text(json.dumps(description.provenance, indent=2, ensure_ascii=False)))
    return Group(*parts)
