"""Axes of histograms: observables with the edges that a study has, and their file.

Everything behind the caches knows observables from this file, so that results can be read without
the modules that computed them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.errors import InputError
from omniflow.files import MISREAD, write_json
from omniflow.observables import cache
from omniflow.observables.observable import Kind, Observable, Quantiles, faulty
from omniflow.physics.jets import JetDefinition

if TYPE_CHECKING:
    import hist

SCHEMA, VERSION = "omniflow-axes", 1


@dataclass(frozen=True)
class Axis:
    """The axis of an observable; attributes are those of `Observable`, all of them known.

    With the levels at which it exists.
    """

    name: str
    label: str
    latex: str
    unit: str
    kind: Kind
    edges: tuple[float, ...]
    jets: JetDefinition | None = None
    log_x: bool = False
    log_y: bool = False
    levels: tuple[str, ...] = ("detector", "particle")

    @property
    def hist(self) -> hist.axis.Variable:
        """The axis for `hist`, without under- and overflow; bins are [low, high)."""
        import hist

        unit = f" [{self.unit}]" if self.unit else ""
        return hist.axis.Variable(
            *(self.edges,),
            name=self.name,
            label=f"{self.latex}{unit}",
            underflow=False,
            overflow=False,
        )


def make(
    observables: Iterable[Observable],
    levels: Mapping[str, tuple[str, ...]],
    folder: Path,
    counted: Mapping[str, np.ndarray],
    weight: np.ndarray,
) -> list[Axis]:
    """Return the axes of observables.

    Quantiles are those of the simulation at detector level, of events that pass, by the magnitude
    of their weights: neither data nor truth decides where bins lie. Those of an observable that
    does not exist there are of the simulation at particle level, of events that are unfolded.

    Args:
        observables: in the order of the axes.
        levels: by name, at which they exist.
        folder: caches of the simulation, detector.h5 and particle.h5.
        counted: by level, events of the simulation that pass, or are unfolded, (n,) bool.
        weight: (n,) their weights.

    Returns:
        One axis with edges (B + 1,) for each observable, in their order.

    Raises:
        InputError: an observable is of other kinds at the two levels, or has too few values for
            quantiles.
    """
    found = []
    for observable in observables:
        name, edges, there = observable.name, observable.edges, levels[observable.name]
        kind, *others = (cache.kinds(folder / f"{level}.h5", [name])[name] for level in there)
        if others and others != [kind]:
            raise InputError(
                f"observable {name}: is of the kind {kind!r} at detector level, but "
                f"{others[0]!r} at particle level: its columns must mean the same at both"
            )
        if isinstance(edges, Quantiles):
            level = there[0]
            values = _counted(folder / f"{level}.h5", name, counted[level], weight)
            edges = quantiles(name, *values, edges.bins, level)
        found.append(
            Axis(
                name,
                observable.label,
                observable.latex,
                observable.unit,
                kind,
                edges,
                observable.jets if kind == "jet" else None,
                observable.log_x,
                observable.log_y,
                there,
            )
        )
    return found


def _counted(
    path: Path, name: str, passes: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return values (k,) of an observable in events that pass, and magnitudes of their weights."""
    values, weights = [], []
    for rows, found in cache.entries(path, [name], len(passes)):
        index = found[name].event_index
        counted = passes[rows][index]
        values.append(found[name].value[counted])
        weights.append(np.abs(weight[rows][index[counted]]))
    return np.concatenate(values), np.concatenate(weights)


def quantiles(
    name: str, value: np.ndarray, weight: np.ndarray, bins: int, level: str = "detector"
) -> tuple[float, ...]:
    """Return edges between which values have equal parts of the weight.

    From the lowest value to just above the highest, or 1 above it where all are whole numbers.
    Edges that coincide, because a value is frequent, are one. Where all values are the same there
    is one bin about them.

    Args:
        name: of the observable, for messages.
        value: (k,) finite.
        weight: (k,) at least 0.
        bins: how many.
        level: of the values, for messages.

    Returns:
        (B + 1,) increasing, B at most `bins`.

    Raises:
        InputError: no values.

    Examples:
        >>> import numpy as np
        >>> quantiles("jets", np.array([1.0, 1, 1, 2, 3, 4]), np.ones(6), bins=3)
        (1.0, 3.0, 5.0)
    """
    value, weight = value[weight > 0], weight[weight > 0]
    if not len(value):
        raise InputError(
            f"observable {name}: has no value in the simulation at {level} level, of which its "
            "quantiles are taken: give edges"
        )
    order = np.argsort(value, kind="stable")
    value, total = value[order], np.cumsum(weight[order])
    below = np.concatenate([[0.0], total[:-1]])
    if value[0] == value[-1]:
        half = max(1.0, abs(float(value[0]))) / 2
        return (float(value[0]) - half, float(value[0]) + half)
    places = np.searchsorted(below, total[-1] * np.arange(1, bins) / bins)
    places = np.minimum(places, len(value) - 1)
    # The highest value lies in the last bin, which does not hold its upper edge.
    whole = (value == np.floor(value)).all()
    top = value[-1] + 1 if whole else np.nextafter(value[-1], np.inf, dtype=value.dtype)
    edges = np.unique(np.concatenate([value[:1], value[places], [top]]))
    return tuple(edges.astype(np.float64).tolist())


def write(axes: Iterable[Axis], path: str | Path) -> None:
    """Write axes to a JSON file."""
    rows = [asdict(axis) for axis in axes]
    write_json({"schema": SCHEMA, "version": VERSION, "axes": rows}, path)


def read(path: str | Path) -> list[Axis]:
    """Read axes.

    Raises:
        InputError: the file is missing, or is no such file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if (content["schema"], content["version"]) != (SCHEMA, VERSION):
            raise ValueError(f"schema {content['schema']}, version {content['version']}")
        return [_axis(row) for row in content["axes"]]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run the study") from None
    except MISREAD as error:
        raise InputError(f"{path}: holds no axes of this version ({error}); delete it") from None


def _axis(row: dict[str, Any]) -> Axis:
    axis = Axis(**row)
    edges = tuple(float(edge) for edge in axis.edges)
    if problem := faulty(edges):
        raise ValueError(f"{axis.name}: {problem}")
    jets = None if axis.jets is None else JetDefinition(**row["jets"])
    return replace(axis, edges=edges, jets=jets, levels=tuple(axis.levels))
