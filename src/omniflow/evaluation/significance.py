"""Significance: the p-value of a difference whose covariance is estimated from replicas and passes.

Known parts of a covariance, parts that are estimated in all directions (replicas) and a part that
is estimated in few (passes) enter with degrees of freedom of their own in every direction. Vectors
and matrices are in units in which known and replicated parts together are the unit matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

# Nodes and weights of averages over a probability, dense where it is close to 0 and 1
# (tanh-sinh quadrature, Takahasi and Mori, Publ. RIMS 9 (1974) 721).
_GRID = np.linspace(-2.75, 2.75, 23)
_LEVELS = special.expit(np.pi * np.sinh(_GRID))
_WEIGHTS = _LEVELS * (1 - _LEVELS) * np.cosh(_GRID)
_WEIGHTS /= _WEIGHTS.sum()
# Scatter of training is seen in a direction above this size, in units of all other errors.
_SEEN = 1e-6
# It is shared by so many directions at most where passes do not show how many there are.
_MODES = 4.0


@dataclass(frozen=True)
class Estimate:
    """A covariance (B, B) that is estimated from scatter, and its degrees of freedom."""

    matrix: np.ndarray
    freedom: float

    def within(self, axes: np.ndarray) -> Estimate:
        """Return it along axes (B, k), the columns.

        Args:
            axes: (B, k), one direction in each column.

        Returns:
            The covariance (k, k), of the same freedom.
        """
        return Estimate(axes.T @ self.matrix @ axes, self.freedom)


@dataclass(frozen=True)
class Law:
    """The law of T^2 = |x|^2: Hotelling's in `estimated` of its bins and chi-square in the others.

    Attributes:
        bins: number of directions.
        estimated: what replicas have of the covariance, from 0 to `bins`.
        freedom: their effective degrees of freedom; infinite without replicas.
    """

    bins: int
    estimated: float
    freedom: float

    @classmethod
    def of(cls, parts: Sequence[Estimate], bins: int) -> Law:
        """Return the law where estimated parts are these of a unit matrix of so many bins.

        Freedom is such that the mean of T^2 is right to first order in its inverse (after Nel and
        van der Merwe, Commun. Stat. Theory Methods 15 (1986) 3719).
        """
        estimated = float(sum(np.trace(part.matrix) for part in parts))
        return cls(bins, estimated, effective_freedom(parts, estimated))

    def above(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities (k,) of a larger T^2 than values (k,).

        Args:
            values: (k,) of T^2; those below 0 count as 0.

        Returns:
            (k,) from 0 to 1.
        """
        if np.isinf(self.freedom):
            return special.chdtrc(self.bins, np.maximum(values, 0))
        known = max(self.bins - self.estimated, 1e-9)
        values = np.maximum(values, 0)
        alone = special.chdtrc(known, values)
        taken = 2 * special.gammaincinv(known / 2, (1 - alone[:, None]) * _LEVELS)
        return alone + (1 - alone) * (self._hotelling(values[:, None] - taken) @ _WEIGHTS)

    def _hotelling(self, values: np.ndarray) -> np.ndarray:
        rest = self.freedom - self.estimated + 1
        scaled = np.maximum(values, 0) * rest / (self.freedom * self.estimated)
        return special.fdtrc(self.estimated, rest, scaled)


def effective_freedom(parts: Sequence[Estimate], estimated: float) -> float:
    """Return the degrees of freedom of the sum of parts of a unit matrix, with this trace."""
    squares = ((np.sum(p.matrix**2) + np.trace(p.matrix) ** 2) / p.freedom for p in parts)
    lost = float(sum(squares))
    return estimated * (estimated + 1) / lost if lost > 0 else np.inf


def p_value(
    difference: np.ndarray,
    known: np.ndarray,
    replicas: Sequence[Estimate],
    passes: Estimate | None = None,
) -> float:
    """Return the probability of a larger difference (B,) than this.

    Steps down from the directions that passes do not show to those that they show (J. Roy, Ann.
    Math. Stat. 29 (1958) 1177). Each step has a p-value that is independent of those before, and
    contributes the chi-square of equal probability.

    Args:
        difference: (B,) what is tested.
        known: (B, B), known parts of the covariance.
        replicas: parts that are estimated in all directions: more degrees of freedom than bins.
        passes: the part that scatter between passes estimates.

    Returns:
        From 0 to 1.
    """
    rest = known + sum(part.matrix for part in replicas)
    units = np.linalg.inv(np.linalg.cholesky(rest)).T
    parts = [part.within(units) for part in replicas]
    bins = len(difference)
    if passes is None:
        law, length = Law.of(parts, bins), np.sum((units.T @ difference) ** 2)
        return float(law.above(np.array([length]))[0])
    sizes, axes = np.linalg.eigh(passes.within(units).matrix)
    sizes, units = np.maximum(sizes[::-1], 0), units @ axes[:, ::-1]
    parts, along = [part.within(units) for part in replicas], units.T @ difference
    # The last of the directions that passes show is the one to judge those by that they do not.
    shown = min(int(passes.freedom) - 1, int(np.sum(sizes > _SEEN)))
    hidden = passes.freedom * sizes[shown] if shown < bins else 0.0
    found = _hidden(along[shown:], [_cut(part, shown) for part in parts], hidden)
    found += _shown(along, sizes, parts, shown, passes.freedom)
    return float(special.chdtrc(bins, found))


def _cut(part: Estimate, first: int) -> Estimate:
    return Estimate(part.matrix[first:, first:], part.freedom)


def _hidden(along: np.ndarray, parts: Sequence[Estimate], size: float) -> float:
    """Return chi-square of the directions that passes do not show, the first one in part.

    Scatter of training of this size in m directions adds size * F to T^2, where F is Fisher's with
    m and m degrees of freedom. The share of the first direction in T^2 tells m.
    """
    if not len(along):
        return 0.0
    length, law = float(along @ along), Law.of(parts, len(along))
    modes = min(length / max(along[0] ** 2, length / _MODES), _MODES) if length > 0 else _MODES
    alone = special.fdtrc(modes, modes, length / size) if size > 0 else 0.0
    added = size * special.fdtri(modes, modes, (1 - alone) * _LEVELS)
    probability = alone + (1 - alone) * (law.above(length - added) @ _WEIGHTS)
    return float(special.chdtri(len(along), probability))


def _shown(
    along: np.ndarray, sizes: np.ndarray, parts: Sequence[Estimate], shown: int, freedom: float
) -> float:
    """Return the sum of chi-squares of the directions that passes show, one after the other.

    In each the variance is that of all else, which replicas estimate with the freedom that the
    directions before have left, and that of training, averaged over what it may be given passes
    (the Behrens-Fisher distribution).
    """
    law = Law.of([_cut(part, shown) for part in parts], len(along) - shown)
    replicated = sum((part.matrix for part in parts), np.zeros((len(along), len(along))))
    total = law.freedom if np.isfinite(law.freedom) else Law.of(parts, len(along)).freedom
    used, length = law.estimated, along[shown:] @ replicated[shown:, shown:] @ along[shown:]
    found = 0.0
    for value, size, share in zip(along, sizes[:shown], np.diag(replicated), strict=False):
        own = share * (total + length) / (total - used)
        training = size * freedom / (2 * special.gammaincinv(freedom / 2, _LEVELS))
        variance = 1 - share + own + training
        left = (total - used) * (variance / own) ** 2
        tails = 2 * special.stdtr(left, -abs(value) / np.sqrt(variance))
        found += special.chdtri(1, tails @ _WEIGHTS)
        freedom -= size / (1 + size)
        used += share / (1 + size)
        length += share * (value / (1 + size)) ** 2
    return float(found)
