"""Scaling: mean and standard deviation of every feature."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omniflow.files import understood


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of every feature, from detector-level simulation.

    Attributes:
        particle_mean, particle_std: (F,) float64.
        event_mean, event_std: (E,) float64.
    """

    particle_mean: np.ndarray
    particle_std: np.ndarray
    event_mean: np.ndarray
    event_std: np.ndarray

    def to_json(self) -> str:
        """Return the numbers as JSON."""
        return json.dumps({key: value.tolist() for key, value in vars(self).items()}, indent=1)

    @classmethod
    def read(cls, path: Path) -> Scaling:
        """Return the scaling in a file.

        Raises:
            InputError: the file is missing or damaged.
        """
        with understood(path):
            return cls.from_json(path.read_text(encoding="utf-8"))

    @classmethod
    def from_json(cls, text: str) -> Scaling:
        """Return the scaling that `to_json` wrote."""
        return cls(**{key: np.asarray(value, float) for key, value in json.loads(text).items()})
