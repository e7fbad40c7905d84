"""Combination of several weights per event into one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omniflow.errors import WeightError
from omniflow.events.slices import slices

# The ratios (K, n), or what returns those of a slice of the events, and is asked for each once.
Ratios = np.ndarray | Callable[[slice], np.ndarray]


def combine(ratios: Ratios, how: str | np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return one ratio per event from those of K networks or lanes.

    After combining, the yield is restored to the mean of the K yields (a median of weights does not
    keep a sum).

    Args:
        ratios: (K, n) positive ratios; one row is returned as it is.
        how: `mean`, `median`, `truncated_mean` (lowest and highest dropped; for 3 and 4 rows that
            is the median) or `log_mean` (geometric mean) (arXiv:2503.20753, section 4.1); or (K,)
            weights, of sum 1, of a weighted mean, whose yield is the weighted mean of the K yields.
        weights: (n,) base weights that the yields are computed with.

    Returns:
        (n,) float64.

    Raises:
        WeightError: a truncated mean of fewer than 3 rows, or a combination without positive yield.

    Examples:
        >>> import numpy as np
        >>> ratios = np.array([[1.0, 2.0], [3.0, 2.0]])
        >>> combine(ratios, "mean", np.ones(2)).tolist()
        [2.0, 2.0]
        >>> combine(ratios, "log_mean", np.ones(2)).round(3).tolist()  # of the same yield
        [1.856, 2.144]
        >>> combine(ratios, "truncated_mean", np.ones(2))
        Traceback (most recent call last):
        omniflow.errors.WeightError: a truncated mean needs at least 3 ratios per event, got 2
    """
    return with_factor(ratios, how, weights)[0]


def with_factor(
    ratios: Ratios, how: str | np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return what `combine` returns, and the factor that restores the yield.

    Ratios are combined in slices of events: beside the result memory does not grow with n.

    Args:
        ratios: (K, n) positive ratios, or what gives those of a slice.
        how: as of `combine`.
        weights: (n,) base weights that the yields are computed with.

    Returns:
        The ratios (n,) float64, and the factor; 1 for one row or a weighted mean.

    Raises:
        WeightError: as `combine`.
    """
    combined, yields, count = np.empty(len(weights)), 0.0, 1
    for rows in slices(len(weights)):
        some = _by_rows(ratios(rows) if callable(ratios) else ratios[:, rows])
        count = len(some) if isinstance(how, str) else 1
        if count == 2 and how == "truncated_mean":
            raise WeightError("a truncated mean needs at least 3 ratios per event, got 2")
        combined[rows] = apply(some, how)
        if count > 1:
            yields = yields + some @ weights[rows]
    if count == 1:
        return combined, 1.0
    wanted, found = float(np.mean(yields)), float(combined @ weights)
    if not (np.isfinite(found) and np.isfinite(wanted) and found > 0 and wanted > 0):
        raise WeightError(f"{how} of {count} ratios: yield {found}, mean yield {wanted}")
    combined *= wanted / found
    return combined, wanted / found


def apply(ratios: np.ndarray, how: str | np.ndarray, factor: float | None = None) -> np.ndarray:
    """Return the ratios (K, n) combined, times a factor: of other events that of the study's own.

    Arguments otherwise as of `combine`.

    Args:
        ratios: (K, n) positive ratios; one row is returned as it is.
        how: as of `combine`.
        factor: that `with_factor` returned; None: 1.

    Returns:
        (n,) float64.
    """
    if len(ratios) == 1:
        return np.array(ratios[0], np.float64)
    ratios = _by_rows(ratios)
    if not isinstance(how, str):
        return how @ ratios
    combined = FUNCTIONS[how](ratios)
    return combined if factor is None else combined * factor


def _by_rows(ratios: np.ndarray) -> np.ndarray:
    """Return ratios as they are summed: in an order that does not depend on how they were read."""
    return np.asarray(ratios, np.float64, order="C")


def _truncated_mean(ratios: np.ndarray) -> np.ndarray:
    return np.sort(ratios, axis=0)[1:-1].mean(axis=0)


def _log_mean(ratios: np.ndarray) -> np.ndarray:
    return np.exp(np.log(ratios).mean(axis=0))


FUNCTIONS = {
    "mean": lambda ratios: ratios.mean(axis=0),
    "median": lambda ratios: np.median(ratios, axis=0),
    "truncated_mean": _truncated_mean,
    "log_mean": _log_mean,
}
