"""Arrays: the columns that files of named N-dimensional arrays have (HDF5, npz)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from omniflow.errors import InputError

_SHOWN = 4  # columns of an array that a message names


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
        index: on the last axis.
        refusal: why it cannot be used; empty where it can.
    """

    array: str
    kind: str
    field: str | None = None
    index: int | None = None
    refusal: str = ""

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the column's numbers of rows of its array."""
        if self.field is not None:
            values = values[self.field]
        return values if self.index is None else values[..., self.index]


def columns(arrays: Mapping[str, Array], layout: Layout) -> dict[str, Column]:
    """Return the columns of arrays by name.

    An array (N, C) has columns `<name>_<i>` of the event, (N, P, F) columns `<name>_<i>` of
    particles, a structured one `<name>.<field>`. Arrays of `padded` and `counts` have columns of
    particles with one axis less. Names that arrays have as they are come first.

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
    return len(array.shape) == 3


def _columns(array: Array, layout: Layout) -> Iterator[tuple[str, Column]]:
    kind, axes = "event", 1
    if array.name in layout.counts:
        kind = "flat"
    elif is_particles(array, layout):
        kind, axes = "padded", 2
    elif array.name in layout.padded:
        raise InputError(
            f"padded: {array.name!r} has shape {array.shape} where (events, particles) is needed; "
            "leave it out of `padded`"
        )
    if array.refusal or not array.shape:
        yield array.name, Column(array.name, kind, refusal=array.refusal or "is a single number")
        return
    prefix = f"{array.name}." if array.prefix is None else array.prefix
    fields = array.dtype.fields or {None: (array.dtype,)}
    for key, (dtype, *_) in fields.items():
        name = array.name if key is None else f"{prefix}{key}"
        rest = array.shape[axes:] + dtype.shape
        yield from _parts(array, Column(array.name, kind, key), name, rest, dtype.base)


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
    elif len(rest) > 1:
        yield refused(f"has shape {array.shape}; arrays of up to (events, particles, values) do")
    else:
        names = [f"{name}_{at}" for at in range(rest[0])]
        if array.labels is not None:
            names = [f"{array.prefix or ''}{label}" for label in array.labels]
        for at, each in enumerate(names):
            yield each, Column(column.array, column.kind, column.field, at)
        if array.labels is None:
            shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
            more = ""
            if column.kind == "event" and column.field is None:
                more = "; where they are one number per particle, name it in `padded`"
            yield refused(f"has shape {array.shape}: its columns are {shown or 'none'}{more}")


def real(array: np.ndarray, padding: float | None) -> np.ndarray:
    """Return where an array (k, P, ...) holds particles, (k, P) bool; elsewhere it is padding."""
    if array.dtype.names:
        parts = [real(array[name], padding) for name in array.dtype.names if _numbers(array, name)]
        return np.logical_or.reduce(parts) if parts else np.zeros(array.shape[:2], bool)
    filled = np.ones(array.shape, bool) if padding is None else array != padding
    if array.dtype.kind == "f":
        filled &= ~np.isnan(array)
    return filled if filled.ndim == 2 else filled.any(axis=tuple(range(2, filled.ndim)))


def _numbers(array: np.ndarray, name: str) -> bool:
    return array.dtype[name].base.kind in "biuf"
