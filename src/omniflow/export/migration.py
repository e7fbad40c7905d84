"""Responses as histograms of RooUnfold: detector level against particle level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from omniflow.evaluation import bayes
from omniflow.stages import binned
from omniflow.unfolding.plan import Plan

# Cells of `bayes.cells` that ROOT has: underflow, bins, overflow. What has no value is left over.
_NO_VALUE = bayes.FLOW - 2


@dataclass(frozen=True)
class Counts:
    """Contents and their variances, (...) each, with under- and overflow."""

    content: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Migration:
    """What RooUnfoldResponse is made of, in yields of the simulation before unfolding.

    Attributes:
        response: (B + 2, B + 2) detector level by particle level, of what is seen at both.
        measured: (B + 2,) detector level, with what is not unfolded: fakes.
        truth: (B + 2,) particle level, with what is not seen: misses.
    """

    response: Counts
    measured: Counts
    truth: Counts


def read(plan: Plan) -> dict[str, Migration]:
    """Return the migrations of the observables of events and jets that are at both levels.

    Args:
        plan: of a finished study.

    Returns:
        By observable; particles have no partners at the other level, and none.
    """
    simulation = binned.Simulation(plan)
    scale = simulation.common.scale
    return {name: migration(each, scale) for name, each in binned.responses(simulation).items()}


def migration(response: bayes.Response, scale: float = 1.0) -> Migration:
    """Return a response as histograms.

    Of the evaluated region: what is unfolded outside of it is among the fakes.

    Args:
        response: with particle-level cells twice, in the evaluated region and outside of it.
        scale: factor on its sums.

    Returns:
        Contents and variances, of events that are independent of one another.
    """
    rows, columns = response.matched.shape
    true = np.repeat(np.arange(rows), columns)
    seen = np.tile(np.arange(columns), rows)
    true = np.concatenate([true, np.arange(rows), np.full(columns, -1)])
    seen = np.concatenate([seen, np.full(rows, -1), np.arange(columns)])
    sums = np.concatenate([response.matched.ravel(), response.misses, response.fakes])
    size = columns - _NO_VALUE  # of the region, without what has no value
    inside, there = (true >= 0) & (true < size), (seen >= 0) & (seen < size)

    def counts(cell: np.ndarray, counted: np.ndarray, cells: int) -> Counts:
        which = np.flatnonzero(counted)
        chosen = sparse.csr_array(
            (np.ones(len(which)), (cell[which], which)), shape=(cells, len(sums))
        )
        variance = np.zeros(cells)
        if response.covariance is not None:
            variance = (chosen @ response.covariance @ chosen.T).diagonal()
        return Counts(scale * (chosen @ sums), scale**2 * variance)

    both = counts(seen * size + true, inside & there, size * size)
    return Migration(
        Counts(both.content.reshape(size, size), both.variance.reshape(size, size)),
        counts(seen, there, size),
        counts(true, inside, size),
    )
