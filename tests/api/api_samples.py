"""Small samples of a program, and the settings of small studies."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from omniflow import Events

TRAINING = {
    **{"optimizer": "adam", "learning_rate": 1e-2, "warmup_epochs": 0, "schedule": "constant"},
    **{"epochs": 1, "min_updates": 10, "batch_size": 100},
}
SMALL = {"kind": "mlp", "width": 4, "blocks": 1}
# No second classifiers: they are trained, too.
QUICK = {
    "training": TRAINING,
    "classifier": SMALL,
    "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
}


def columns(n: int, mean: float, seed: int, truth: bool = True, **given: Any) -> Events:
    """Return events of the columns `x` and `y`, normal at particle level and smeared."""
    rng = np.random.default_rng(seed)
    true = {"x": rng.normal(mean, 1, n), "y": rng.exponential(1 + mean, n)}
    seen = {name: values + rng.normal(0, 0.3, n) for name, values in true.items()}
    return Events.from_arrays(seen, true if truth else None, **given)


def flagged(n: int, mean: float, seed: int, truth: bool = True) -> Events:
    """Return events of all kinds, with weights, and ids that do not rise."""
    rng = np.random.default_rng(seed)
    flags = {"pass_detector": rng.uniform(size=n) < 0.8}
    if truth:
        flags["pass_particle"] = rng.uniform(size=n) < 0.9
    ids = rng.permutation(10 * n)[:n]
    weight = rng.uniform(0.5, 1.5, n)
    return columns(n, mean, seed, truth, weight=weight, event_id=ids, **flags)


def with_particles(n: int, mean: float, seed: int) -> Events:
    """Return events of a column `x` and 0 to 4 particles with pt, eta and phi."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, n)
    total = counts.sum()
    momenta = {
        "pt": rng.exponential(1 + mean, total) + 0.1,
        "eta": rng.normal(0, 1, total),
        "phi": rng.uniform(-np.pi, np.pi, total),
    }
    particles = ak.unflatten(ak.zip(momenta), counts)
    x = rng.normal(mean, 1, n)
    smeared = ak.zip({"pt": particles.pt * 1.1, "eta": particles.eta, "phi": particles.phi})
    return Events.from_arrays(
        {"event": {"x": x + rng.normal(0, 0.3, n)}, "particles": smeared},
        {"event": {"x": x}, "particles": particles},
    )
