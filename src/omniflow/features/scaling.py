"""Scaling: mean and standard deviation of every feature."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np


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
    def from_json(cls, text: str) -> Scaling:
        """Return the scaling that `to_json` wrote."""
        return cls(**{key: np.asarray(value, float) for key, value in json.loads(text).items()})
