"""OmniFold's iteration in bins: exact, by matrix algebra, without any network.

With classifiers that know the ratio of histograms, OmniFold is iterative Bayesian unfolding
(D'Agostini, NIM A 362 (1995) 487; Andreassen et al., arXiv:1911.09107), here with misses and fakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True)
class Simulation:
    """Expected or observed sums of simulation weights.

    Attributes:
        matched: (Z, X) by particle-level and detector-level bin.
        misses: (Z,).
        fakes: (X,).
    """

    matched: np.ndarray
    misses: np.ndarray
    fakes: np.ndarray


def iterate(
    simulation: Simulation,
    data: np.ndarray,
    iterations: int,
    misses: str = "unity",
    fakes: str = "unity",
) -> np.ndarray:
    """Return nu (iterations, Z); ratios carry the yield.

    Args:
        simulation: scaled sums.
        data: (X,) sums of data weights.
        iterations: how many.
        misses: `unity`: they keep omega 1; `conditional_mean`: they get the mean omega of the
            matched events in their particle-level bin.
        fakes: `unity`: they keep nu 1; `conditional_mean`: they get the mean nu of the matched
            events in their detector-level bin.
    """
    matched = simulation.matched
    total = matched.sum(axis=1) + simulation.misses
    nu, of_fakes, result = np.ones(len(matched)), np.ones(len(data)), []
    for _ in range(iterations):
        omega = _quotient(data, nu @ matched + of_fakes * simulation.fakes)
        of_misses = np.ones(len(matched))
        if misses == "conditional_mean":
            of_misses = _quotient(matched @ omega, matched.sum(axis=1))
        nu = nu * _quotient(matched @ omega + of_misses * simulation.misses, total)
        if fakes == "conditional_mean":
            of_fakes = _quotient(nu @ matched, matched.sum(axis=0))
        result.append(nu)
    return np.array(result)


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, 1 where b is 0."""
    return np.divide(a, b, out=np.ones(len(b)), where=b > 0)


def gaussian_joint(
    edges: np.ndarray,
    mean: float,
    width: float,
    smearing: float,
    efficiency: Callable[[np.ndarray], np.ndarray] = np.ones_like,
) -> Simulation:
    """Return the probabilities of z ~ N(mean, width) and x = z + N(0, smearing).

    An event is seen with probability efficiency(z). The outer bins are open; z is integrated on a
    grid much finer than the bins.
    """
    points = np.linspace(mean - 8 * width, mean + 8 * width, 4001)
    z = (points[:-1] + points[1:]) / 2
    mass = np.diff(norm.cdf(points, mean, width))
    seen = mass * efficiency(z)
    cdf = norm.cdf(edges, z[:, None], smearing)
    cdf[:, 0], cdf[:, -1] = 0.0, 1.0
    row = bin_of(z, edges)
    n = len(edges) - 1
    in_row = (row[None, :] == np.arange(n)[:, None]).astype(float)
    matched = (in_row * seen) @ np.diff(cdf, axis=1)
    return Simulation(matched, in_row @ (mass - seen), np.zeros(n))


def bin_of(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each value; the outer bins are open."""
    return np.searchsorted(edges[1:-1], values, side="right")


def count(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the numbers of values per bin; the outer bins are open."""
    return np.bincount(bin_of(values, edges), minlength=len(edges) - 1).astype(float)


def count_pairs(z: np.ndarray, x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the numbers of pairs (Z, X)."""
    n = len(edges) - 1
    flat = bin_of(z, edges) * n + bin_of(x, edges)
    return np.bincount(flat, minlength=n * n).reshape(n, n).astype(float)


def summary(z: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return yield, mean and width (3, K) of z (n,) under each row of weights (K, n)."""
    total = weight.sum(axis=1)
    mean = weight @ z / total
    return np.array([total, mean, np.sqrt(weight @ z**2 / total - mean**2)])


def statistical_errors(
    simulation: Simulation,
    scale: float,
    data: np.ndarray,
    edges: np.ndarray,
    iterations: int,
    **acceptance: str,
) -> np.ndarray:
    """Return the standard deviations (3, iterations) of yield, mean and width over experiments.

    Data and simulation fluctuate by Poisson's law and are unfolded by the exact iteration: no
    network enters.

    Args:
        simulation: expected numbers of simulated events.
        scale: of their weights.
        data: (X,) expected numbers of data events.
        edges: of the bins; their centres stand for z.
        iterations: how many.
        acceptance: treatment of misses and fakes.
    """
    rng = np.random.default_rng(2)
    centres = (edges[1:] + edges[:-1]) / 2
    toys = []
    for _ in range(200):
        parts = (simulation.matched, simulation.misses, simulation.fakes)
        toy = Simulation(*(scale * rng.poisson(part) for part in parts))
        nu = iterate(toy, rng.poisson(data).astype(float), iterations, **acceptance)
        toys.append(summary(centres, nu * (toy.matched.sum(axis=1) + toy.misses)))
    return np.std(toys, axis=0)
