"""Alignment: systematic shifts that point along a tested difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from omniflow.evaluation.covariance import RANK

# Magnitude of the cosine above which a shift is named. In fewer directions than this any two
# vectors are nearly parallel.
PARALLEL, DIRECTIONS = 0.9, 3


def cosine(one: np.ndarray, other: np.ndarray, covariance: np.ndarray) -> float:
    """Return a^T V^-1 b / sqrt(a^T V^-1 a b^T V^-1 b) of vectors (B,) in the metric of V (B, B).

    Directions without variance are left out, such as that of the sum of distributions of unit sum.
    NaN if fewer than `DIRECTIONS` are left, or if a vector vanishes in them.

    Args:
        one: (B,) a and b.
        other: (B,) a and b.
        covariance: (B, B) V.

    Returns:
        Between -1 and 1, or NaN.

    Examples:
        >>> import numpy as np
        >>> one, other = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])
        >>> round(cosine(one, other, np.eye(3)), 3)
        0.707
        >>> round(cosine(one, other, np.diag([0.01, 1.0, 1.0])), 3)  # where errors are small
        0.995
    """
    variance = np.diagonal(covariance)
    keep = variance > 0
    scale = 1 / np.sqrt(variance[keep])
    if len(scale) < DIRECTIONS:
        return np.nan
    values, vectors = np.linalg.eigh(covariance[np.ix_(keep, keep)] * np.outer(scale, scale))
    good = values > RANK * values[-1]
    if good.sum() < DIRECTIONS:
        return np.nan
    a, b = (
        vectors[:, good].T @ (scale * vector[keep]) / np.sqrt(values[good])
        for vector in (one, other)
    )
    size = np.sqrt(a @ a * (b @ b))
    return float(a @ b / size) if size > 0 else np.nan


def aligned(
    difference: np.ndarray,
    blocks: Mapping[str, np.ndarray],
    shifts: Mapping[str, Sequence[np.ndarray]],
) -> list[str]:
    """Return the systematic blocks that may contain a tested difference (B,).

    They are those of which a shift is nearly parallel to the difference in the metric of all other
    blocks. Such a block accounts for the difference whatever its size.

    Args:
        difference: (B,) what is tested.
        blocks: (B, B), all blocks of its covariance by name.
        shifts: (B,) each, those of the systematic blocks among them.

    Returns:
        Names of such blocks.
    """
    found = []
    for name, sides in shifts.items():
        others = [matrix for other, matrix in blocks.items() if other != name]
        if others:
            metric = np.sum(others, axis=0)
            if any(abs(cosine(side, difference, metric)) > PARALLEL for side in sides):
                found.append(name)
    return found
