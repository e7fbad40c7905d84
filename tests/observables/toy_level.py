"""A level of hand-made events that are no DIS."""

import numpy as np

from omniflow.events.sample import Level

# Event 0: three particles, of which two make a jet; event 1: none; event 2: one.
PARTICLES = np.array(
    [[30.0, 0.0, 0.0, 1.0], [20.0, 0.3, 0.0, -1.0], [8.0, 2.0, 2.0, 0.0], [50.0, -1.0, 3.0, 1.0]],
    dtype=np.float32,
)
EVENT = np.array([[10.0, 1.0], [20.0, 2.0], [30.0, 3.0]], dtype=np.float32)
COLUMNS = ("pt", "eta", "phi", "charge")
LEVEL = Level(EVENT, PARTICLES, np.array([0, 3, 3, 4]), ("met", "charge"), COLUMNS)
