"""Small samples to train on."""

from __future__ import annotations

import numpy as np

from omniflow.config.training import Classifier, Training
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.events.neighbours import nearest


def features(n: int, seed: int, shift: float = 0.0, longest: int = 6) -> Features:
    """Events with 0 to `longest` particles of 3 features and 2 event features, moved by `shift`."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, longest + 1, n)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    particles = rng.normal(size=(offsets[-1], 3)) + shift
    return Features(
        particles.astype(np.float32),
        nearest(particles[:, :2], offsets, 2),
        offsets,
        (rng.normal(size=(n, 2)) + shift).astype(np.float32),
    )


def two_classes(n: int = 600, shift: float = 1.0, scale: float = 1.0, seed: int = 0):
    """Data moved by `shift` against simulation, as in step 1; data weights times `scale`."""
    rng = np.random.default_rng(seed + 50)
    yes = np.ones(n, bool)
    a, b = scale * rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, n)
    data = Source(features(n, seed, shift), np.arange(n).astype(np.uint64), yes, (a,), ())
    simulation = Source(features(n, seed + 1), np.arange(n).astype(np.uint64), yes, (), (b,))
    return data, simulation


def twins(n: int = 600, seed: int = 0) -> Source:
    """Simulation against itself with other weights, as in step 2."""
    inputs = features(n, seed)
    weight = np.random.default_rng(seed + 60).uniform(0.5, 1.5, n)
    pull = np.exp(0.7 * inputs.event[:, 0])
    ids = np.arange(n).astype(np.uint64)
    return Source(inputs, ids, np.ones(n, bool), (weight, pull), (weight,))


def classifier(kind: str = "mlp", **changes: object) -> Classifier:
    sizes = {"width": 8, "heads": 2, "blocks": 1, "class_blocks": 1, "neighbours": 2}
    return Classifier(kind=kind, **(sizes | changes))


def settings(**changes: object) -> Training:
    values = {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "beta_1": 0.9,
        "beta_2": 0.99,
        "warmup_epochs": 0.0,
        "schedule": "constant",
        "batch_size": 64,
        "epochs": 3,
        "min_updates": 1,
        "ema": 0.9,
    }
    return Training(**(values | changes))
