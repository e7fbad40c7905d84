"""Inputs of classifiers: scaled features, and the memory-mapped file that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from omniflow.errors import InputError
from omniflow.hdf5 import Place, memory_maps, open_h5, place, signs

SCHEMA = "omniflow-features"
VERSION = 3


@dataclass(frozen=True)
class Features:
    """Scaled inputs of n events with M particles, jagged; the arrays may be memory maps.

    Attributes:
        particles: (M, F) float32.
        neighbours: (M, K) int16, index within the event of the nearest particles in
            (eta, phi), nearest first; -1 where the event has fewer.
        offsets: (n + 1,) int64.
        event: (n, E) float32.
    """

    particles: np.ndarray
    neighbours: np.ndarray
    offsets: np.ndarray
    event: np.ndarray

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event)


def open_features(path: Path) -> Features:
    """Return the memory-mapped features in `path`.

    A file is checked once by a process, as long as it does not change.

    Raises:
        InputError: not a feature file of this version, or its datasets do not fit together.
    """
    return Features(*memory_maps(path, _places(path, signs(path))))


@lru_cache(maxsize=100)
def _places(path: Path, signs: tuple[int, ...]) -> tuple[Place, Place, Place, Place]:
    """Return where the arrays of `Features` lie in the file with these signs, checked."""
    with open_h5(path) as file:
        found = (file.attrs.get("schema"), file.attrs.get("version"))
        if found != (SCHEMA, VERSION):
            raise InputError(
                f"{path}: schema {found} is not {(SCHEMA, VERSION)}; delete the file and rerun."
            )
        particles = place(file, "particles", (None, None), "f")
        neighbours = place(file, "neighbours", (particles.shape[0], None), "i")
        event = place(file, "event", (None, None), "f")
        rows = place(file, "offsets", (event.shape[0] + 1,), "i")
        (offsets,) = memory_maps(path, [rows])
        if offsets[-1] != particles.shape[0]:
            raise InputError(
                f"{path}: offsets: end at {offsets[-1]}, but there are {particles.shape[0]} "
                "particles; delete the file and rerun."
            )
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise InputError(f"{path}: offsets: fall; the file is damaged: delete it and rerun.")
        return particles, neighbours, rows, event
