"""Iterative Bayesian unfolding in bins (D'Agostini, Nucl. Instrum. Meth. A 362 (1995) 487).

The binned reference beside OmniFold: the same events, weights, scale s and number of iterations,
one observable at a time. With nu_t the ratio of the unfolded content of a particle-level cell t to
that of the simulation, M the simulated sums of weights by particle- and detector-level cell, F
those of fakes and d the data, each iteration is

    omega_d = d_d / (s sum_t nu_t M_td + s F_d phi_d)
    nu_t   <- nu_t sum_d M_td omega_d / sum_d M_td

and the content is s nu_t times the sum of all simulated weights of t, misses included: D'Agostini's
formula, with the efficiency divided out and fakes as one more cause. Its yield is that of the
simulation, phi_d = 1, or follows what is matched in the same cell, as OmniFold's conditional mean
of fakes does: phi_d = sum_t nu_t M_td / sum_t M_td, and 1 where nothing is matched.

The covariance follows from the exact derivative of the content with respect to the data (T. Adye,
arXiv:1105.1160, which the original paper leaves out) and to the simulated sums, through all
iterations.

What is unfolded are events, or jets that are matched between the levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from omniflow.evaluation.bins import places
from omniflow.evaluation.matching import NOWHERE

FLOW = 3  # cells beside the bins: underflow, overflow, no value


@dataclass(frozen=True)
class Response:
    """Sums of simulated weights, before the scale s, for T and D cells at the two levels.

    Attributes:
        matched: (T, D) what is unfolded and seen at detector level.
        misses: (T,) what is unfolded and not seen.
        fakes: (D,) what is seen and not unfolded.
        covariance: (P, P) statistical covariance of all P = T D + T + D sums, in this order, row by
            row; None for a simulation without error.
    """

    matched: np.ndarray
    misses: np.ndarray
    fakes: np.ndarray
    covariance: sparse.csr_array | None = None

    def plus(self, other: Response | None) -> Response:
        """Return the sums over these events and others, if there are any."""
        if other is None:
            return self
        covariance = None
        if self.covariance is not None and other.covariance is not None:
            covariance = self.covariance + other.covariance
        return Response(
            self.matched + other.matched,
            self.misses + other.misses,
            self.fakes + other.fakes,
            covariance,
        )

    @property
    def sum_detector(self) -> float:
        """Sum over all that is seen at detector level."""
        return float(self.matched.sum() + self.fakes.sum())


def cells(value: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the cell (k,) of each value (k,): nothing is lost.

    Cell 0 is the underflow, 1 to B are the bins [low, high), B + 1 is the overflow and B + 2 holds
    NaN, what has no value.

    Args:
        value: (k,) values, NaN where there is none.
        edges: (B + 1,) increasing.

    Returns:
        (k,) from 0 to B + 2.

    Examples:
        >>> import numpy as np
        >>> edges = np.array([0.0, 1.0, 2.0])
        >>> cells(np.array([-1.0, 0.0, 1.5, 2.0, np.nan]), edges).tolist()
        [0, 1, 2, 3, 4]
    """
    return np.where(np.isnan(value), len(edges) + 1, places(value, edges) + 1)


def histogram(
    weight: np.ndarray, event: np.ndarray, cell: np.ndarray, size: int
) -> tuple[np.ndarray, sparse.csr_array]:
    """Return the content (D,) of cells and its statistical covariance (D, D).

    Events are independent, what belongs to one event is not: with n_ed the number of those of event
    e in cell d, the covariance is sum_e w_e^2 n_ed n_ed'.

    Args:
        weight: (n,) weights of the events.
        event: (k,) event of each event or jet.
        cell: (k,) cells, NOWHERE for what does not count.
        size: number D of cells.

    Returns:
        Content (D,) and covariance (D, D), sparse.
    """
    chosen = cell != NOWHERE
    shape = (len(weight), size)
    weighted = sparse.csr_array((weight[event[chosen]], (event[chosen], cell[chosen])), shape)
    return weighted.sum(axis=0), (weighted.T @ weighted).tocsr()


def response(
    weight: np.ndarray,
    event: np.ndarray,
    particle: np.ndarray,
    detector: np.ndarray,
    shape: tuple[int, int],
) -> Response:
    """Sort what is simulated into matched, misses and fakes.

    Args:
        weight: (n,) base weights of the events.
        event: (k,) event of each event, jet or pair of jets.
        particle: (k,) particle-level cells, NOWHERE for what is not unfolded.
        detector: (k,) detector-level cells, NOWHERE for what is not seen.
        shape: numbers (T, D) of cells.

    Returns:
        Sums over matched (T, D), misses (T,) and fakes (D,), with their covariance.
    """
    t, d = shape
    unfolded, seen = particle != NOWHERE, detector != NOWHERE
    place = np.full(len(particle), NOWHERE)
    place = np.where(unfolded & seen, particle * d + detector, place)
    place = np.where(unfolded & ~seen, t * d + particle, place)
    place = np.where(seen & ~unfolded, t * d + t + detector, place)
    content, covariance = histogram(weight, event, place, t * d + t + d)
    matched, misses, fakes = np.split(content, [t * d, t * d + t])
    return Response(matched.reshape(t, d), misses, fakes, covariance)


def unfold(
    simulation: Response,
    data: np.ndarray,
    covariance: np.ndarray,
    iterations: int,
    scale: float | None = None,
    *,
    fakes_follow: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the content after each iteration and its covariance.

    The covariance is that of data and simulated sums, propagated to first order. A cell that
    nothing is seen of keeps its content. Data in cells without simulation count nowhere.

    Args:
        simulation: sums of simulated weights.
        data: (D,) sums of data weights.
        covariance: (D, D) of the data.
        iterations: how many.
        scale: factor s on the simulation; None is the ratio of both sums at detector level, whose
            dependence on data and simulation is propagated too.
        fakes_follow: whether the fakes of a cell scale like what is matched in it.

    Returns:
        Content (iterations, T) and covariance (iterations, T, T).
    """
    matched, fakes = simulation.matched, simulation.fakes
    t, d = matched.shape
    seen = matched.sum(axis=1)
    total = seen + simulation.misses
    there = np.where(seen > 0, seen, 1.0)
    share = np.where(seen[:, None] > 0, matched / there[:, None], 0.0)
    # Derivatives are with respect to Q numbers: data, matched, misses, fakes.
    of_matched, of_misses, of_fakes = d, d + t * d, d + t * d + t
    row, column = np.repeat(np.arange(t), d), np.tile(np.arange(d), t)
    places = of_matched + np.arange(t * d)
    d_scale = np.zeros(of_fakes + d)
    if scale is None:
        scale = float(data.sum()) / simulation.sum_detector
        d_scale[:d] = 1 / simulation.sum_detector
        d_scale[of_matched:of_misses] = d_scale[of_fakes:] = -scale / simulation.sum_detector
    column_sums = matched.sum(axis=0)
    follows = fakes_follow & (column_sums > 0)
    beside = np.where(follows, column_sums, 1.0)
    fraction = np.where(follows, fakes / beside, 0.0)
    nu, d_nu = np.ones(t), np.zeros((t, len(d_scale)))
    contents, covariances = [], []
    for _ in range(iterations):
        folded = nu @ matched
        phi = np.where(follows, folded / beside, 1.0)
        sums = folded + fakes * phi
        known = sums > 0
        safe = scale * np.where(known, sums, 1.0)
        omega = np.where(known, data / safe, 0.0)
        d_sums = matched.T @ d_nu
        d_sums[column, places] += nu[row]
        d_sums *= 1 + fraction[:, None]
        d_sums[column, places] -= (fraction * phi)[column]
        d_sums[np.arange(d), of_fakes + np.arange(d)] += phi
        d_omega = -omega[:, None] * (scale * d_sums + np.outer(sums, d_scale))
        d_omega[np.arange(d), np.arange(d)] += known
        d_omega /= safe[:, None]
        factor = np.where(seen > 0, share @ omega, 1.0)
        d_factor = share @ d_omega
        d_factor[row, places] += np.where(seen > 0, 1 / there, 0.0)[row] * (
            omega[column] - factor[row]
        )
        d_nu = factor[:, None] * d_nu + nu[:, None] * d_factor
        nu = nu * factor
        jacobian = total[:, None] * (scale * d_nu + np.outer(nu, d_scale))
        jacobian[row, places] += scale * nu[row]
        jacobian[np.arange(t), of_misses + np.arange(t)] += scale * nu
        contents.append(scale * total * nu)
        found = jacobian[:, :d] @ covariance @ jacobian[:, :d].T
        if simulation.covariance is not None:
            found += jacobian[:, d:] @ (simulation.covariance @ jacobian[:, d:].T)
        covariances.append(found)
    return np.array(contents), np.array(covariances)
