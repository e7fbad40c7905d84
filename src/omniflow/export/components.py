"""Covariances as nuisance parameters: eigenvectors that move all bins together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from omniflow.errors import InputError

# Eigenvalues below this share of the largest, in units of the errors, are 0 within rounding.
ROUNDING = 1e-10
# The same for the sum of all components, which a fit inverts: Poisson terms as narrow as smaller
# ones would need more digits than there are.
SMALLEST = 1e-6
# Share of the statistical variance that Poisson terms carry, in no direction more.
SHARE = 0.5
# The same of the total variance where they come on top of it: half as much is added to errors.
ADDED = 0.01
# Poisson means stay above 0 within so many standard deviations.
ROOM = 30.0


@dataclass(frozen=True)
class Component:
    """One component of a covariance, as independent shifts of one standard deviation.

    Attributes:
        vectors: (K, B); the sum of their outer products is the covariance.
        removed: magnitude of the eigenvalues below 0 that are left out, relative to the sum of
            those that stay, in units of the errors; 0 for a covariance.
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
        >>> component(np.array([[1.0, 3.0], [3.0, 1.0]])).removed  # eigenvalues 4 and -2
        0.5
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
    """How contents become Poisson means.

    Attributes:
        factor: on all contents and shifts.
        offset: (B,) what is added to contents before, so that no mean comes near 0.
        variance: (B, B) covariance that the Poisson terms stand for, in units of the contents.
        carried: whether that is a part of the statistical component; else it is on top.
    """

    factor: float
    offset: np.ndarray
    variance: np.ndarray
    carried: bool


def scale(
    content: np.ndarray,
    total: np.ndarray,
    statistical: np.ndarray | None,
    unit: Sequence[np.ndarray] = (),
) -> Scale:
    """Return a scale at which Poisson terms do not count statistics twice.

    With means K (u + c) they give u the covariance P = diag(u + c) / K. Where replicas measure all
    directions, K is such that P is at most `SHARE` of the statistical covariance in any of them,
    from which it is to be subtracted: the sum stays what it is. Where they do not, or hardly, P is
    at most `ADDED` of the total.

    Args:
        content: (B,) u.
        total: (B, B) covariance of it, with variances above 0.
        statistical: (B, B) part of that; None where there is none.
        unit: bins (k,) that have unit sum, for each such set: they are fitted with a free factor,
            so that of P only what is across it counts.

    Returns:
        K, c (B,) and P.

    Raises:
        InputError: more directions are known exactly, or nearly so, than the sums.
    """
    mean = np.maximum(content, ROOM * np.sqrt(np.diagonal(total)))
    across = np.eye(len(content))
    for rows in unit:
        across[np.ix_(rows, rows)] -= (content[rows] / content[rows].sum())[:, None]
    found = across @ np.diag(mean) @ across.T
    factor, carried = _factor(found, total, len(unit), ADDED), False
    if statistical is not None and rank(statistical) >= len(content) - len(unit):
        enough = _factor(found, statistical, len(unit), SHARE)
        factor, carried = min((factor, False), (enough, True))
    return Scale(factor, mean - content, found / factor, carried)


def _factor(poisson: np.ndarray, covariance: np.ndarray, exact: int, share: float) -> float:
    """Return K at which `poisson` / K (B, B) is at most a share of a covariance (B, B)."""
    axes = directions(covariance, exact)
    return float(np.linalg.eigvalsh(axes.T @ poisson @ axes)[-1] / share)


def rank(covariance: np.ndarray) -> int:
    """Return in how many directions a covariance has an error, well above rounding.

    Args:
        covariance: (B, B).

    Returns:
        At most B.
    """
    errors = np.sqrt(np.diagonal(covariance))
    if not (errors > 0).all():
        return 0
    values = np.linalg.eigvalsh(covariance / np.outer(errors, errors))
    return int((values > SMALLEST * values[-1]).sum())


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
    good, wanted = rank(covariance), len(errors) - exact
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
