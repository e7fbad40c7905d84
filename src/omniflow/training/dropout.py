"""Dropout as thinned networks: units are dropped by masks on the parameters that read them.

One mask holds for all events of an update (Graham et al., arXiv:1502.02478), or of a prediction
(Gal and Ghahramani, arXiv:1506.02142), so that engines, batches and padding know nothing of it and
a thinned network is a function of the event like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omniflow.events.hashing import uniform
from omniflow.models.architecture import Units


@dataclass(frozen=True)
class Dropout:
    """Masks of one network.

    Attributes:
        units: what is dropped.
        rate: probability that a unit is dropped.
        seed: of the random numbers.
    """

    units: Units
    rate: float
    seed: int

    def mask(self, draw: int) -> np.ndarray:
        """Return factors (d,) float32 on the parameters: 0 and 1 / (1 - rate); 1 for all others.

        A function of seed and `draw` alone (SplitMix64 of the number of the unit).

        Args:
            draw: number of the mask.

        Returns:
            (d,) float32.
        """
        numbers = np.arange(self.units.count, dtype=np.uint64)
        kept = uniform(numbers, (self.seed + draw) % 2**64) >= self.rate
        factors = (kept / (1 - self.rate)).astype(np.float32)
        result, first = np.ones(self.units.size, np.float32), 0
        for start, rows, columns in self.units.kernels:
            own = factors[first : first + rows]
            result[start : start + rows * columns] = np.repeat(own, columns)
            first += rows
        return result
