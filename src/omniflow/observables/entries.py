"""Values of an observable, and what they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Entries:
    """Values of one observable.

    Attributes:
        event_index: (k,) int64, non-decreasing, position of the entry's event in the sample.
        value: (k,) float32, finite.
    """

    event_index: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.value)

    @property
    def finite(self) -> Entries:
        """Those that exist: neither NaN nor infinite."""
        keep = np.isfinite(self.value)
        return Entries(self.event_index[keep], self.value[keep])


@dataclass(frozen=True)
class Objects:
    """What one observable has its values of at one level: every event, jet, particle or entry.

    Attributes:
        event: (k,) non-decreasing, position of the object's event in the sample.
        value: (k,) values; NaN where the observable does not exist, as for an event without a jet.
        eta, phi: (k,) directions of jets; None for all others.
    """

    event: np.ndarray
    value: np.ndarray
    eta: np.ndarray | None = None
    phi: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.value)
