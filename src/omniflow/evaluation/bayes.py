"""Iterative Bayesian unfolding in bins (D'Agostini, Nucl. Instrum. Meth. A 362 (1995) 487).

The binned reference beside OmniFold: the same events, weights, scale s and number of iterations,
one observable at a time. With nu_t the ratio of the unfolded content of a particle-level cell t to
that of the simulation, M the simulated sums of weights by particle- and detector-level cell, F
those of fakes and d the data, each iteration is

    omega_d = d_d / (s sum_t nu_t M_td + s F_d)
    nu_t   <- nu_t sum_d M_td omega_d / sum_d M_td

and the content is s nu_t times the sum of all simulated weights of t, misses included: D'Agostini's
formula, with the efficiency divided out and fakes as one more cause whose yield is that of the
simulation. The covariance follows from the exact derivative of the content with respect to the
data through all iterations (T. Adye, arXiv:1105.1160), which the original paper leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omniflow.errors import InputError
from omniflow.evaluation.observables import Entries

NOWHERE = -1  # the cell of an event that does not count at a level
FLOW = 3  # cells beside the bins: underflow, overflow, no entry


@dataclass(frozen=True)
class Response:
    """Sums of simulated weights, before the scale s, for T and D cells at the two levels.

    Attributes:
        matched: (T, D) unfolded events that pass at detector level.
        misses: (T,) unfolded events that do not.
        fakes: (D,) events that pass at detector level and are not unfolded.
    """

    matched: np.ndarray
    misses: np.ndarray
    fakes: np.ndarray

    @property
    def sum_detector(self) -> float:
        """Sum over all events that pass at detector level."""
        return float(self.matched.sum() + self.fakes.sum())


def cells(entries: Entries, edges: np.ndarray, events: int) -> np.ndarray:
    """Return the cell (n,) of each of n events: no event is lost.

    Cell 0 is the underflow, 1 to B are the bins [low, high), B + 1 is the overflow and B + 2 holds
    events without an entry.

    Raises:
        InputError: an event has more than one entry, so that the levels cannot be matched.
    """
    index = entries.event_index
    if len(index) and np.bincount(index).max() > 1:
        raise InputError(
            f"event {index[np.flatnonzero(np.diff(index) == 0)[0]]} has several entries of one "
            "observable: unfolding in bins needs at most one per event at both levels"
        )
    result = np.full(events, len(edges) + 1)
    result[index] = np.searchsorted(edges, entries.value.astype(np.float64), side="right")
    return result


def histogram(weight: np.ndarray, cell: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the content (D,) and statistical covariance (D, D) of events in their cells.

    Independent events with one entry each have a diagonal covariance, the sums of squared weights.

    Args:
        weight: (n,) weights.
        cell: (n,) cells, NOWHERE for events that do not count.
        size: number D of cells.
    """
    chosen = cell != NOWHERE
    weight, cell = weight[chosen], cell[chosen]
    return (
        np.bincount(cell, weight, size),
        np.diag(np.bincount(cell, weight**2, size)),
    )


def response(
    weight: np.ndarray, particle: np.ndarray, detector: np.ndarray, shape: tuple[int, int]
) -> Response:
    """Sort simulated events into matched events, misses and fakes.

    Args:
        weight: (n,) base weights.
        particle: (n,) particle-level cells, NOWHERE for events that are not unfolded.
        detector: (n,) detector-level cells, NOWHERE for events that do not pass.
        shape: numbers (T, D) of cells.
    """
    t, d = shape
    unfolded, seen = particle != NOWHERE, detector != NOWHERE
    both = unfolded & seen
    pairs = particle[both] * d + detector[both]
    missed, fake = unfolded & ~seen, seen & ~unfolded
    return Response(
        np.bincount(pairs, weight[both], t * d).reshape(t, d),
        np.bincount(particle[missed], weight[missed], t),
        np.bincount(detector[fake], weight[fake], d),
    )


def unfold(
    simulation: Response,
    data: np.ndarray,
    covariance: np.ndarray,
    iterations: int,
    scale: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the content after each iteration and its covariance.

    The covariance is that of the data, propagated to first order; the simulation has no error
    here. A cell that no event is seen of keeps its content. Data in cells without simulation
    count nowhere.

    Args:
        simulation: sums of simulated weights.
        data: (D,) sums of data weights.
        covariance: (D, D) of the data.
        iterations: how many.
        scale: factor s on the simulation; None is the ratio of both sums at detector level, and
            its dependence on the data is propagated too.

    Returns:
        Content (iterations, T) and covariance (iterations, T, T).
    """
    matched, fakes = simulation.matched, simulation.fakes
    seen = matched.sum(axis=1)
    total = seen + simulation.misses
    share = np.divide(matched, seen[:, None], out=np.zeros_like(matched), where=seen[:, None] > 0)
    # derivatives with respect to the data: of s (D,) and of nu (T, D)
    slope = np.zeros(len(data))
    if scale is None:
        slope += 1 / simulation.sum_detector
        scale = float(data.sum()) / simulation.sum_detector
    nu, d_nu = np.ones(len(total)), np.zeros_like(matched)
    contents, covariances = [], []
    for _ in range(iterations):
        sums = nu @ matched + fakes
        known = sums > 0
        safe = scale * np.where(known, sums, 1.0)
        omega = np.where(known, data / safe, 0.0)
        d_expected = scale * matched.T @ d_nu + np.outer(sums, slope)
        d_omega = (np.diag(known.astype(float)) - omega[:, None] * d_expected) / safe[:, None]
        factor = np.where(seen > 0, share @ omega, 1.0)
        d_nu = factor[:, None] * d_nu + nu[:, None] * (share @ d_omega)
        nu = nu * factor
        jacobian = total[:, None] * (scale * d_nu + np.outer(nu, slope))
        contents.append(scale * total * nu)
        covariances.append(jacobian @ covariance @ jacobian.T)
    return np.array(contents), np.array(covariances)
