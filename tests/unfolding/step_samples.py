"""Samples for the steps: flags and weights; features do not matter there."""

from __future__ import annotations

import numpy as np

from omniflow.events.sample import Events, Level
from omniflow.unfolding import steps


def events(weight, detector, particle=None) -> Events:
    n = len(weight)
    empty = np.zeros((0, 0), np.float32), np.zeros(n + 1, int)
    level = Level(np.zeros((n, 1), np.float32), *empty, ("x",), ())
    return Events(
        np.arange(n).astype(np.uint64),
        np.asarray(weight, float),
        np.asarray(detector, bool),
        None if particle is None else np.asarray(particle, bool),
        level,
        None if particle is None else level,
    )


def setup(data: Events, simulation: Events, **changes) -> steps.Setup:
    return steps.setup(data, simulation, **({"particle_level": "pass_gen"} | changes))
