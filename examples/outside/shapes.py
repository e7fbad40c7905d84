"""Event shapes: observables of one's own, which a configuration names as `shapes:<function>`."""

import numpy as np

DIRECTIONS = 180  # of the axis that are tried; thrust is then low by at most 4e-5


def transverse_thrust(level):
    """Return the transverse thrust of n events, (n,): 1 for two beams, 2/pi for a circle.

    The largest sum over particles of |pT . axis|, divided by the sum of pT; NaN without particles.
    """
    pt, phi = (
        level.particles[:, level.particle_columns.index(name)].astype(np.float64)
        for name in ("pt", "phi")
    )
    event = np.repeat(np.arange(len(level)), level.counts)
    best = np.zeros(len(level))
    for axis in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        along = np.bincount(event, pt * np.abs(np.cos(phi - axis)), len(level))
        best = np.maximum(best, along)
    total = np.bincount(event, pt, len(level))
    with np.errstate(invalid="ignore"):
        return best / total
