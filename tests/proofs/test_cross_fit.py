"""Proof: cross-fitted ratios of a small sample are free of the bias that overfitting leaves."""

import numpy as np
import pytest
from proof_chain import make_plan
from scipy.stats import multivariate_normal

from omniflow.api import run
from omniflow.events import store
from omniflow.events.sample import Events, Level
from omniflow.hdf5 import open_h5

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

EVENTS, COLUMNS = 400, 15  # per class; independent normal columns
SHIFT = 1.0  # of the first column in the data: every network finds it and is trained
FOLDS = 4


def _events(mean, rng, truth):
    values = rng.normal(0, 1, (EVENTS, COLUMNS)).astype(np.float32)
    values[:, 0] += mean
    none = np.zeros((0, 0), np.float32)
    columns = tuple(f"x{i}" for i in range(COLUMNS))
    level = Level(values, none, np.zeros(EVENTS + 1, np.int64), columns, ())
    yes = np.ones(EVENTS, bool)
    ids = np.arange(EVENTS, dtype=np.uint64)
    return Events(
        ids, np.ones(EVENTS), yes, yes if truth else None, level, level if truth else None
    )


def differences(folder, folds):
    """Return learned less true logarithm of the ratio, of the simulated events in step 1 (n,)."""
    rng = np.random.default_rng(8)
    plan = make_plan(
        folder,
        {"data": _events(SHIFT, rng, False), "simulation": _events(0, rng, True)},
        study={"seed": 3},
        classifier={"kind": "mlp", "features": "columns", "width": 64, "blocks": 2},
        training={
            "optimizer": "adam",
            "learning_rate": 5e-3,
            "warmup_epochs": 0,
            "schedule": "constant",
            "ema": 0,
            "batch_size": 50,
            "micro_batches": 1,
            "epochs": 12,
            "validation": 0.03,  # too few events to stop in time
            "folds": folds,
        },
        unfolding={"iterations": 1},
        methods={"step": {"members": 2}},
    )
    run(plan)
    (group,) = plan.groups("scratch-2-mean", 1)
    with open_h5(plan.weights(group, 1, 1)) as file:
        (ratio,) = file["ratio"][:].astype(float)
    x = store.open_store(plan.store("simulation")).detector.event
    mean = np.zeros(COLUMNS)
    data, simulation = (
        multivariate_normal(mean + s * (np.arange(COLUMNS) == 0)) for s in (SHIFT, 0)
    )
    return np.log(ratio) - data.logpdf(x) + simulation.logpdf(x)


def test_cross_fitted_ratios_do_not_follow_their_own_event(tmp_path):
    own, crossed = (differences(tmp_path / str(k), k) for k in (1, FOLDS))
    # Simulated events are of class B: networks that know them say so.
    assert own.mean() < -0.2
    assert abs(crossed.mean()) < abs(own.mean()) / 3
