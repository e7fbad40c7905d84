"""Samples of generated DIS events with both levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from omniflow.events.sample import Events
from omniflow.physics.dis.detector import simulate
from omniflow.physics.dis.generator import generate
from omniflow.physics.dis.kinematics import fiducial

if TYPE_CHECKING:
    from omniflow.physics.dis.pythia import Pythia


def make_sample(sample: Pythia, progress: Callable[[int], None] | None = None) -> Events:
    """Generate a sample with both levels: Pythia 8 and the parametrised detector.

    Args:
        sample: what to generate; its seed is that of the generator and of the detector.
        progress: called with the number of records generated so far.

    Returns:
        Events with `event_id` = record number, unit weights, and both flags.

    Raises:
        ConfigError: Pythia is not installed, refuses a setting or generates no record.
    """
    particle = generate(sample, progress)
    detector, pass_detector = simulate(particle, sample.seed)
    n = len(particle)
    return Events(
        event_id=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
        pass_detector=pass_detector,
        pass_particle=fiducial(particle.event),
        detector=detector,
        particle=particle,
    )
