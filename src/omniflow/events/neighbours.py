"""Nearest neighbours among the particles of an event."""

from __future__ import annotations

import numpy as np


def nearest(coordinates: np.ndarray, offsets: np.ndarray, k: int) -> np.ndarray:
    """Return the `k` nearest other particles of every particle in (eta, phi), phi periodic.

    Args:
        coordinates: (M, 2), eta and phi in rad.
        offsets: (n + 1,) integers, particles of event i are rows offsets[i]:offsets[i + 1].
        k: number of neighbours.

    Returns:
        (M, k) int16 index within the event, nearest first (ties: lower index first);
        -1 where the event has fewer than k + 1 particles.

    Examples:
        >>> import numpy as np
        >>> eta_phi = np.array([[0.0, 3.1], [0.0, -3.1], [0.0, 2.0]])
        >>> nearest(eta_phi, np.array([0, 3]), k=1).ravel().tolist()  # phi is periodic
        [1, 0, 0]
    """
    result = np.full((len(coordinates), k), -1, np.int16)
    counts = np.diff(offsets)
    # Events of equal multiplicity are handled together: no padding, no masks.
    for count in np.unique(counts[counts > 1]):
        events = np.flatnonzero(counts == count)
        step = max(1, 2_000_000 // int(count) ** 2)
        for part in np.array_split(events, -(-len(events) // step)):
            rows = offsets[part][:, None] + np.arange(count)
            points = coordinates[rows]
            delta = points[:, :, None, :] - points[:, None, :, :]
            phi = np.pi - np.abs(np.pi - np.mod(np.abs(delta[..., 1]), 2 * np.pi))
            distance = (delta[..., 0] ** 2 + phi**2).astype(np.float32)
            distance[:, np.arange(count), np.arange(count)] = np.inf  # self, by index
            order = np.argsort(distance, axis=-1, kind="stable")
            found = min(k, int(count) - 1)
            result[rows.ravel(), :found] = order[:, :, :found].reshape(-1, found)
    return result
