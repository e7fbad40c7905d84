"""Proof (c): independent halves give weights of 1, and the same configuration finds a tilt."""

from dataclasses import replace

import numpy as np
import pytest
from proof_chain import make_plan, read

from omniflow.api import run
from omniflow.events.sample import Events, Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE, electron_momentum

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

SEED = 1
EVENTS = 50_000  # per half; the slope of the tilt is then known to 6%
TILT = 0.1
Q2 = (150.0, 5000.0)


def level(rng, q2, y, phi, counts, pt, eta, azimuth):
    momentum = electron_momentum(q2, y, phi)
    charge = rng.choice([-1.0, 1.0], len(pt))
    return Level(
        np.column_stack([q2, y, momentum]).astype(np.float32),
        np.column_stack([pt, eta, azimuth, charge]).astype(np.float32),
        np.concatenate([[0], np.cumsum(counts)]),
        DIS_EVENT,
        DIS_PARTICLE,
    )


def half(seed):
    """Return deep-inelastic-like events: a falling Q2, a few particles, a smearing detector."""
    rng = np.random.default_rng(seed)
    # dN/dQ2 ~ Q2^-2.5 between the limits, by inversion of its distribution function.
    low, high = (limit**-1.5 for limit in Q2)
    q2 = (low + rng.uniform(size=EVENTS) * (high - low)) ** (-1 / 1.5)
    y = rng.uniform(0.2, 0.7, EVENTS)
    phi = rng.uniform(-np.pi, np.pi, EVENTS)
    counts = 1 + rng.poisson(2 + np.log(q2 / Q2[0]))
    total = counts.sum()
    pt = 0.1 + rng.exponential(1 + 0.02 * np.sqrt(np.repeat(q2, counts)))
    eta = rng.uniform(-1.4, 2.6, total)
    azimuth = rng.uniform(-np.pi, np.pi, total)
    particle = level(rng, q2, y, phi, counts, pt, eta, azimuth)

    kept = rng.uniform(size=total) < 0.9
    event = np.repeat(np.arange(EVENTS), counts)[kept]
    detector = level(
        rng,
        q2 * np.exp(rng.normal(0, 0.05, EVENTS)),
        np.clip(y * np.exp(rng.normal(0, 0.05, EVENTS)), 0.1, 0.8),
        phi,
        np.bincount(event, minlength=EVENTS),
        (pt * np.exp(rng.normal(0, 0.1, total)))[kept],
        eta[kept],
        azimuth[kept],
    )
    everything = np.ones(EVENTS, bool)
    ids = np.arange(EVENTS, dtype=np.uint64)
    return Events(ids, np.ones(EVENTS), everything, everything, detector, particle)


def tilted_variable(events):
    """Return log Q2 at particle level (n,), scaled to mean 0 and standard deviation 1."""
    log_q2 = np.log(events.particle.event[:, 0].astype(float))
    # Moments of the distribution that is drawn from, not of the sample: both halves agree.
    grid = np.linspace(*np.log(Q2), 100_001)
    density = np.exp(-1.5 * grid)
    density /= density.sum()
    mean = density @ grid
    return (log_q2 - mean) / np.sqrt(density @ (grid - mean) ** 2)


def unfolded(folder, seed, data, simulation):
    """Return the unfolded weights (n,) of the simulation, in the order of its events."""
    plan = make_plan(
        folder,
        {"data": data, "simulation": simulation},
        study={"seed": seed},
        classifier={
            "kind": "deepsets",
            "width": 16,
            "blocks": 2,
            "neighbours": 1,
            "features": "dis",
        },
        training={
            "optimizer": "adam",
            "learning_rate": 1e-2,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "warmup_epochs": 0.2,
            "batch_size": 1000,
            "micro_batches": 2,
            "epochs": 2,
        },
        unfolding={"iterations": 2},
        methods={"step": {"members": 2}},
    )
    run(plan)
    return read(plan.unfolded("step", "none", 1)).weight


def both(folder, seed):
    """Return weight - 1 (n,) of the null test and of the tilt test, and the tilted variable."""
    data, simulation = half(2 * seed), half(2 * seed + 1)
    null = unfolded(folder / "null", seed, data, simulation)
    tilted = replace(data, weight=1 + TILT * tilted_variable(data))
    found = unfolded(folder / "tilt", seed, tilted, simulation)
    return null - 1, found - 1, tilted_variable(simulation)


def test_halves_agree_and_a_tilt_is_found(tmp_path):
    null, found, variable = both(tmp_path, SEED)
    # The tilt itself has an rms of 0.1: twice what is allowed where there is none.
    assert np.std(TILT * variable) == pytest.approx(TILT, rel=0.03)
    assert np.sqrt(np.mean(null**2)) < 0.05
    assert np.polyfit(variable, found, 1)[0] == pytest.approx(TILT, rel=0.2)
    # Not only its slope: weight by weight the distance to the tilt is below 0.05, too.
    assert np.sqrt(np.mean((found - TILT * variable) ** 2)) < 0.05
    assert abs(np.polyfit(variable, null, 1)[0]) < 0.2 * TILT
