"""Bootstrap: samples of events drawn anew, as multipliers that follow a Poisson distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omniflow.events.batches import Source
from omniflow.events.hashing import poisson


def resampled(sources: Sequence[Source], seed: int) -> tuple[Source, ...]:
    """Return the strata of a training with their events drawn anew; those not drawn are left out.

    The last stratum, the simulation, has the same multipliers in every step; both roles of an event
    have the same.
    """
    found = []
    for place, source in enumerate(reversed(sources)):
        times = poisson(source.event_id, seed + place)
        above, below = (
            (*factors, times) if factors else ()
            for factors in (source.numerator, source.denominator)
        )
        select = source.select & (times > 0)
        found.append(replace(source, select=select, numerator=above, denominator=below))
    return tuple(reversed(found))
