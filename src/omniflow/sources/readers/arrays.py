"""Arrays: the columns that files of named N-dimensional arrays have (HDF5, npz)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from omniflow.errors import InputError
from omniflow.sources.readers import indices


@dataclass(frozen=True)
class Layout:
    """What a configuration says of arrays.

    Attributes:
        used: columns that it names anywhere; their arrays decide the number of records.
        together: columns of particles that are read together, set by set: a place is padding where
            all of them are.
        padded: arrays (N, P) that hold one number per place of a particle.
        padding: value of places without a particle, beside NaN; None: NaN alone.
        counts: flat arrays (M, ...) of particles, with the column of their numbers per event (N,),
            or of offsets (N + 1,).
    """

    used: frozenset[str] = frozenset()
    together: tuple[frozenset[str], ...] = ()
    padded: frozenset[str] = frozenset()
    padding: float | None = 0.0
    counts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """An array of a file.

    Attributes:
        name: dotted.
        shape, dtype: of the array; the first axis is the record, or the particle of all records.
        prefix: of the names of fields and of labels; None: the array's name and a dot.
        labels: names of the columns (N, C), in place of numbers behind the array's name.
        refusal: why it cannot be read, where that is known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    prefix: str | None = None
    labels: tuple[str, ...] | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Column:
    """A column and its place in an array.

    Attributes:
        array: name of the array.
        kind: "event", "padded" (N, P, ...) or "flat" (M, ...).
        field: of a structured type.
        index: on the last axes.
        axes: lengths of the axes behind the event that may have an index; None: of a list of
            particles, which has none.
        refusal: why it cannot be used; empty where it can.
    """

    array: str
    kind: str
    field: str | None = None
    index: tuple[int, ...] = ()
    axes: tuple[int | None, ...] = ()
    refusal: str = ""

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the column's numbers of rows of its array.

        Args:
            values: (k, ...) rows of its array.

        Returns:
            (k,) of the event, (k, P) padded, or (M,) flat.
        """
        if self.field is not None:
            values = values[self.field]
        place: tuple[Any, ...] = (..., *self.index)
        return values[place] if self.index else values

    def at(self, name: str, given: tuple[int, ...]) -> Column:
        """Return the column that has indices; `name` is its name without them.

        An array (N, A, B) holds particles with one index, and numbers of the event with two.
        """
        if self.refusal and not self.axes:
            return self
        axes, kind = self.axes, self.kind
        if len(given) == len(axes):
            kind = "event"
        elif kind == "padded" and len(given) < len(axes):
            axes = (None, *axes[1:])
        return replace(self, kind=kind, index=given, refusal=indices.refusal(name, given, axes))


def columns(arrays: Mapping[str, Array], layout: Layout) -> dict[str, Column]:
    """Return the columns of arrays by name.

    An array (N, C) has columns `<name>_<i>` of the event, (N, P, F) columns `<name>_<i>` of
    particles, a structured one `<name>.<field>`. Arrays of `padded` and `counts` have columns of
    particles with one axis less. Names that arrays have as they are come first. `Column.at` gives
    columns by indices.

    Raises:
        InputError: an array of `padded` or `counts` has other axes.
    """
    exact: dict[str, Column] = {}
    made: dict[str, Column] = {}
    for array in arrays.values():
        for name, column in _columns(array, layout):
            (exact if name == array.name and not column.refusal else made).setdefault(name, column)
    return {**made, **exact}


def is_particles(array: Array, layout: Layout) -> bool:
    """Return whether the second axis of an array is the place of a particle."""
    if array.name in layout.counts or array.labels is not None:
        return False
    if array.name in layout.padded or array.dtype.names:
        return len(array.shape) >= 2
    return len(array.shape) >= 3


def _columns(array: Array, layout: Layout) -> Iterator[tuple[str, Column]]:
    kind, first = "event", 1
    axes: tuple[int | None, ...] = ()
    if array.name in layout.counts:
        kind, axes = "flat", (None,)
    elif is_particles(array, layout):
        kind, first = "padded", 2
        declared = array.name in layout.padded or array.dtype.names
        axes = (None if declared else array.shape[1],)
    elif array.name in layout.padded:
        raise InputError(
            f"padded: {array.name!r} has shape {array.shape} where (events, particles) is needed; "
            "leave it out of `padded`"
        )
    if array.refusal or not array.shape:
        yield array.name, Column(array.name, kind, refusal=array.refusal or "is a single number")
        return
    prefix = f"{array.name}." if array.prefix is None else array.prefix
    fields: list[tuple[str | None, np.dtype]] = [(None, array.dtype)]
    if array.dtype.fields:
        fields = [(key, dtype) for key, (dtype, *_) in array.dtype.fields.items()]
    for key, dtype in fields:
        name = array.name if key is None else f"{prefix}{key}"
        rest = array.shape[first:] + dtype.shape
        column = Column(array.name, kind, key, axes=(*axes, *rest))
        yield from _parts(array, column, name, rest, dtype.base)


def _parts(
    array: Array, column: Column, name: str, rest: tuple[int, ...], dtype: np.dtype
) -> Iterator[tuple[str, Column]]:
    """Yield the columns of an array, or of a field of it, that has further axes `rest`."""

    def refused(why: str, name: str = name) -> tuple[str, Column]:
        return name, Column(column.array, column.kind, refusal=why)

    if dtype.hasobject:
        for each in array.labels or (name,):
            yield refused(
                "holds Python objects, or lists or text of varying length, which are not read; "
                "write numbers: padded arrays, or flat ones with their counts",
                each,
            )
    elif dtype.kind not in "biuf":
        yield refused(f"is of type {dtype}; columns are numbers: take another one")
    elif not rest:
        yield name, column
    elif array.labels is not None:
        for at, label in enumerate(array.labels):
            yield f"{array.prefix or ''}{label}", replace(column, index=(at,), axes=())
    else:
        names = [f"{name}_{at}" for at in range(rest[0])] if len(rest) == 1 else []
        single = () if column.kind == "event" else (None,)
        for at, each in enumerate(names):
            yield each, replace(column, index=(at,), axes=single)
        how = indices.shown(name, [0] * len(rest)), indices.shown(name, [n - 1 for n in rest])
        shown = f"{how[0]} to {how[1]}" if all(rest) else "none"
        more = f" (or {names[0]} to {names[-1]})" if names else ""
        if column.kind == "event" and column.field is None:
            more += "; where they are one number per particle, name it in `padded`"
        why = f"has shape {array.shape}: its columns are {shown}{more}"
        yield name, replace(column, refusal=why)


def real(array: np.ndarray, padding: float | None) -> np.ndarray:
    """Return where an array (k, P, ...) holds particles, (k, P) bool; elsewhere it is padding.

    Args:
        array: (k, P, ...), also of a structured type.
        padding: number that stands for no particle, beside NaN; None: there is none.

    Returns:
        (k, P) bool.
    """
    if array.dtype.names:
        parts = [real(array[name], padding) for name in array.dtype.names if _numbers(array, name)]
        return np.logical_or.reduce(parts) if parts else np.zeros(array.shape[:2], bool)
    filled = np.ones(array.shape, bool) if padding is None else array != padding
    if array.dtype.kind == "f":
        filled &= ~np.isnan(array)
    return filled if filled.ndim == 2 else filled.any(axis=tuple(range(2, filled.ndim)))


def _numbers(array: np.ndarray, name: str) -> bool:
    return array.dtype[name].base.kind in "biuf"
