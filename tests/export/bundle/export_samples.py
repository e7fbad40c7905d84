"""Small studies whose results are exported."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

import omniflow
from omniflow import Events

TRAINING = {
    **{"optimizer": "adam", "learning_rate": 1e-2, "warmup_epochs": 0, "schedule": "constant"},
    **{"epochs": 1, "min_updates": 5, "batch_size": 50},
}
QUICK: dict[str, Any] = {
    "training": TRAINING,
    "classifier": {"kind": "mlp", "width": 4, "blocks": 1},
    "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
    "iterations": 1,
}
EDGES = [-1.5, -0.5, 0.0, 0.3, 1.5]


def events(n: int, mean: float, seed: int, truth: bool = True, weights: bool = False) -> Events:
    """Return events of all kinds with columns x and y, and ids that do not rise."""
    rng = np.random.default_rng(seed)
    true = {"x": rng.normal(mean, 1, n), "y": rng.exponential(1 + mean, n)}
    seen = {name: values + rng.normal(0, 0.3, n) for name, values in true.items()}
    weight = rng.uniform(0.5, 1.5, n)
    flags: dict[str, Any] = {"pass_detector": rng.uniform(size=n) < 0.8}
    if truth:
        flags["pass_particle"] = rng.uniform(size=n) < 0.9
    if weights:
        flags["weights"] = {
            "more": weight * (1 + 0.1 * true["x"] ** 2),
            "less": weight * (1 + 0.1 * np.abs(true["x"])),
        }
    ids = rng.permutation(10 * n)[:n]
    return Events.from_arrays(seen, true if truth else None, weight=weight, event_id=ids, **flags)


def with_particles(n: int, mean: float, seed: int) -> Events:
    """Return events of a column x, which is no number now and then, and 0 to 4 particles."""
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


def varied(folder: Any) -> omniflow.Study:
    """Run a study of passes, lanes, members, replicas and variations."""
    return omniflow.unfold(
        events(200, 0.3, 1, truth=False),
        events(300, 0.0, 2, weights=True),
        methods={"hybrid": {"lanes": 2, "members": 2, "aggregate": "median"}, "none": {}},
        passes=2,
        unfolding={"particle_level": "pass_gen"},
        combine=["mean", "median"],
        observables={
            "define": {
                "x": {"expression": "x", "edges": EDGES},
                "square": {"expression": "where(y > 0.5, x * x, nan)", "edges": [0, 0.5, 2]},
            }
        },
        uncertainties={
            "data_replicas": 3,
            "simulation_replicas": 2,
            "passes": 2,
            "variations": {
                "prior_up": {"simulation_weights": "more"},
                "prior_down": {"simulation_weights": "less"},
                "model": {"simulation": events(250, 0.1, 3)},
            },
            "methods": ["hybrid"],
        },
        output=folder,
        **QUICK,
    )


def jagged(folder: Any) -> omniflow.Study:
    """Run a study of particles, with folds, of one pass, in shape."""
    settings = QUICK | {"classifier": {"kind": "deepsets", "width": 4, "blocks": 1}}
    return omniflow.unfold(
        with_particles(150, 0.3, 1),
        with_particles(200, 0.0, 2),
        methods={"parallel": {"lanes": 3}},
        passes=1,
        combine=["median"],
        unfolding={"normalization": "shape"},
        observables={
            "define": {
                "pt": {"expression": "pt", "edges": [0, 0.5, 1, 3]},
                "x": {"expression": "2 * x", "edges": [-2, 0, 2]},
            }
        },
        output=folder,
        **settings | {"training": TRAINING | {"folds": 2}},
    )


def thinned(folder: Any) -> omniflow.Study:
    """Run a study of members that are copies of a network, or that are stacked."""
    classifier = QUICK["classifier"] | {"dropout": 0.2}
    return omniflow.unfold(
        events(150, 0.3, 1, truth=False),
        events(200, 0.0, 2),
        methods={
            "copies": {"members": 3, "diversity": "dropout", "aggregate": "mean"},
            "stacked": {"members": 2, "aggregate": "stacking"},
        },
        passes=1,
        output=folder,
        **QUICK | {"classifier": classifier},
    )
