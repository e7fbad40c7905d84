"""Covariances as nuisance parameters: eigenvectors that move all bins together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from omniflow.errors import InputError

# Eigenvalues below this share of the largest, in units of the errors, are 0 within rounding.
ROUNDING = 1e-10
# The same for the sum of all components, which a fit inverts: Poisson terms as narrow as smaller
# ones would need more digits than there are.
SMALLEST = 1e-6
# A Poisson term may add so much to the variance in any direction: half as much to an error.
POISSON = 0.01
# Poisson means stay above 0 within so many standard deviations.
ROOM = 30.0


@dataclass(frozen=True)
class Component:
    """One component of a covariance, as independent shifts of one standard deviation.

    Attributes:
        vectors: (K, B); the sum of their outer products is the covariance.
        removed: magnitude of the eigenvalues below 0 that are left out, relative to the sum of
            those that stay; 0 for a covariance.
    """

    vectors: np.ndarray
    removed: float = 0.0


def component(matrix: np.ndarray) -> Component:
    """Return a covariance as its eigenvectors, the largest first.

    Args:
        matrix: (B, B) symmetric. Eigenvalues that are not above 0 have no vector.

    Returns:
        At most B vectors, each with its largest entry above 0.

    Examples:
        >>> import numpy as np
        >>> component(np.array([[4.0, 2.0], [2.0, 1.0]])).vectors.round(3).tolist()
        [[2.0, 1.0]]
        >>> component(np.diag([1.0, -0.25])).removed
        0.25
    """
    scale = np.sqrt(np.abs(np.diagonal(matrix)))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = values > ROUNDING * max(values[0], 0.0)
    found = (vectors[:, keep] * np.sqrt(values[keep])).T * scale
    largest = found[np.arange(len(found)), np.abs(found).argmax(axis=1)]
    below = values[values < -ROUNDING * max(values[0], 0.0)]
    removed = float(-below.sum() / values[keep].sum()) if keep.any() else 0.0
    return Component(found * np.sign(largest)[:, None], removed)


@dataclass(frozen=True)
class Scale:
    """How contents become Poisson means that add next to nothing to the errors.

    Attributes:
        factor: on all contents and shifts.
        offset: (B,) what is added to contents before, so that no mean comes near 0.
    """

    factor: float
    offset: np.ndarray


def scale(content: np.ndarray, covariance: np.ndarray, exact: int = 0) -> Scale:
    """Return the scale at which a Poisson term adds `POISSON` to variances at most.

    With means K (u + c) it adds diag(u + c) / K to the covariance of u. K is the largest eigenvalue
    of that at K = 1, relative to the covariance, over `POISSON`.

    Args:
        content: (B,) u.
        covariance: (B, B) of it, with variances above 0.
        exact: how many directions are known exactly: sums that are 1.

    Returns:
        K and c (B,).

    Raises:
        InputError: more directions are known exactly, or nearly so.
    """
    errors = np.sqrt(np.diagonal(covariance))
    axes = directions(covariance, exact)
    mean = np.maximum(content, ROOM * errors)
    largest = np.linalg.eigvalsh(axes.T @ (mean[:, None] * axes))[-1]
    return Scale(float(largest / POISSON), mean - content)


def directions(covariance: np.ndarray, exact: int = 0) -> np.ndarray:
    """Return directions in which a covariance is the unit matrix: A^T V A = 1.

    A A^T is the inverse of V outside of the directions that are known exactly, so that
    chi2 = |A^T d|^2.

    Args:
        covariance: (B, B) V, with variances above 0.
        exact: how many directions are known exactly, and left out.

    Returns:
        A, (B, B - exact).

    Raises:
        InputError: more directions are known exactly, or nearly so.
    """
    errors = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(errors, errors))
    good = int((values > SMALLEST * values[-1]).sum())
    wanted = len(errors) - exact
    if good < wanted or not wanted:
        raise InputError(
            f"the covariance of {len(errors)} bins has {good} directions with an error, and "
            f"{wanted} are needed: a fit would take the result as exact in the others. Run more "
            "replicas than bins, take wider bins, or fit fewer observables together"
        )
    return vectors[:, exact:] / np.sqrt(values[exact:]) / errors[:, None]


def chi2(difference: np.ndarray, covariance: np.ndarray, exact: int = 0) -> float:
    """Return d^T V^-1 d.

    Args:
        difference: (B,) d.
        covariance: (B, B) V.
        exact: as of `directions`.

    Returns:
        A number, at least 0.

    Raises:
        InputError: V cannot be inverted.
    """
    along = directions(covariance, exact).T @ difference
    return float(along @ along)


def total(blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the sum of components.

    Args:
        blocks: (B, B) each, one at least.

    Returns:
        (B, B).
    """
    return np.sum(list(blocks.values()), axis=0)
