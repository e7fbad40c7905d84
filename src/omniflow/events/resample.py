"""Bootstrap: samples of events drawn anew, as multipliers that follow a Poisson distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import exp, factorial

import numpy as np

from omniflow.events.batches import Source
from omniflow.events.hashing import uniform


def poisson(event_id: np.ndarray, seed: int) -> np.ndarray:
    """Return how often events of these ids, (n,) uint64, are drawn: (n,) uint8, Poisson of mean 1.

    A function of id and seed alone: the same for any order of events, rank or step.
    """
    return np.searchsorted(_cumulative(), uniform(event_id, seed), side="right").astype(np.uint8)


@cache
def _cumulative() -> np.ndarray:
    """P(k or less) for k = 0 ... 20; more has a probability below 1e-19."""
    return np.cumsum([exp(-1) / factorial(k) for k in range(21)])


def resampled(sources: Sequence[Source], seed: int) -> tuple[Source, ...]:
    """Return the strata of a training with their events drawn anew; those not drawn are left out.

    The last stratum, the simulation, has the same multipliers in every step; both roles of an event
    have the same.
    """
    found = []
    for place, source in enumerate(reversed(sources)):
        times = poisson(source.event_id, seed + place)
        weights = {
            name: (*factors, times) if (factors := getattr(source, name)) else ()
            for name in ("numerator", "denominator")
        }
        found.append(replace(source, select=source.select & (times > 0), **weights))
    return tuple(reversed(found))
