"""Arrays: which arrays of HDF5 and npz files hold particles, padded or flat with counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from omniflow.drafts import names
from omniflow.sources.readers.array_reader import ArrayReader
from omniflow.sources.readers.arrays import Array, Layout


def layout(reader: ArrayReader) -> tuple[Layout, int]:
    """Return what is to be said of the arrays of a table, and the number of its events.

    Padded are arrays (N, P) of one shape that are called like quantities of particles. Flat are
    those with as many rows as whole numbers of another array add up to, or end with (offsets).
    """
    arrays = {n: a for n, a in reader.arrays.items() if a.shape and a.labels is None}
    counts = _counts(reader, arrays)
    counted = dict(counts.values())
    padded = frozenset(_padded(arrays)) - counts.keys()
    events = max(counted.values()) if counted else reader.count()
    return Layout(padded=padded, counts={n: counter for n, (counter, _) in counts.items()}), events


def _padded(arrays: Mapping[str, Array]) -> list[str]:
    alike = {
        name: array.shape
        for name, array in arrays.items()
        if len(array.shape) == 2
        and array.shape[1] > 2
        and not array.dtype.names
        and names.quantity(name)
    }
    shapes = Counter(alike.values())
    return [name for name, shape in alike.items() if shapes[shape] > 1]


def _counts(reader: ArrayReader, arrays: Mapping[str, Array]) -> dict[str, tuple[str, int]]:
    """Return counters of flat arrays and the numbers of their events, by name of the array."""
    fits: dict[str, list[tuple[str, int]]] = {}
    for counter, array in arrays.items():
        if len(array.shape) != 1 or array.dtype.kind not in "iu" or not array.shape[0]:
            continue
        size = array.shape[0]
        longer = [n for n, a in arrays.items() if n != counter and a.shape[0] > size]
        if not longer:
            continue
        held = reader.rows(counter, 0, size).astype(np.int64)
        for name in longer:
            rows = arrays[name].shape[0]
            if (held >= 0).all() and held.sum() == rows:
                fits.setdefault(name, []).append((counter, size))
            elif held[0] == 0 and held[-1] == rows and (np.diff(held) >= 0).all():
                fits.setdefault(name, []).append((counter, size - 1))
    return {name: max(each, key=lambda fit: _alike(name, fit[0])) for name, each in fits.items()}


def _alike(one: str, other: str) -> int:
    """Return how many letters two names begin with alike."""
    return len(names.beginning([one, other]))
