"""Steps: the updates of a network as the native engine does them itself, several in one call."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np


class Settings(ctypes.Structure):
    """An optimiser, as in optimizer.h."""

    _fields_ = [
        ("kind", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("beta_1", "beta_2", "decay", "clip")),
    ]


class Trained(ctypes.Structure):
    """Where the vectors of a network are, as in optimizer.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("parameters", "average", "momentum", "square")),
        ("updates", ctypes.c_int64),
    ]


@dataclass(frozen=True)
class Steps:
    """Optimiser and state of one network, which an update changes in place.

    Attributes:
        kind: what optimizer.h calls the optimiser: 0 SGD, 1 Lion, 2 Adam with or without decay.
        betas: of its momenta.
        decay: of the parameters.
        clip: largest norm of a gradient; None: any.
        parameters, average: (d,).
        state: the optimiser's vectors (d,) by name, and `updates` ().
    """

    kind: int
    betas: tuple[float, float]
    decay: float
    clip: float | None
    parameters: np.ndarray
    average: np.ndarray
    state: dict[str, np.ndarray]

    def settings(self) -> Settings:
        """Return the optimiser for C++."""
        return Settings(self.kind, *self.betas, self.decay, self.clip or 0.0)

    def trained(self) -> Trained:
        """Return the state for C++, which counts the updates in it."""
        vectors = (
            *(self.parameters, self.average),
            *(self.state.get(name) for name in ("momentum", "square")),
        )
        places = (None if vector is None else vector.ctypes.data for vector in vectors)
        return Trained(*places, int(self.state["updates"]))
