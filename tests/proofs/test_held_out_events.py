"""Proof: networks that learn noise by heart look good, but not on events that they never met."""

import numpy as np
import pytest
from proof_chain import make_plan

from omniflow.api import run
from omniflow.evaluation import scores as evaluation
from omniflow.events.sample import Events, Level
from omniflow.stages import scores

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

EVENTS, COLUMNS = 500, 15


def _level(values):
    none = np.zeros((0, 0), np.float32)
    columns = tuple(f"x{i}" for i in range(COLUMNS))
    offsets = np.zeros(EVENTS + 1, np.int64)
    return Level(values.astype(np.float32), none, offsets, columns, ())


def _events(rng, truth):
    """Independent normal columns; all events are alike at particle level."""
    detector = _level(rng.normal(0, 1, (EVENTS, COLUMNS)))
    particle = _level(np.zeros((EVENTS, COLUMNS))) if truth else None
    yes, ids = np.ones(EVENTS, bool), np.arange(EVENTS, dtype=np.uint64)
    return Events(ids, np.ones(EVENTS), yes, yes if truth else None, detector, particle)


def areas(folder, iterations, **training):
    """Return areas under the ROC curve of step 1, and errors: (iteration, network, part) each.

    Data and simulation have the same density, and step 2 can learn nothing: the true area is one
    half in all iterations. The first part is held out, the second trained.
    """
    rng = np.random.default_rng(4)
    plan = make_plan(
        folder,
        {"data": _events(rng, False), "simulation": _events(rng, True)},
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
            "epochs": 20,
            "validation": 0.02,  # too few events to stop in time
            **training,
        },
        unfolding={"iterations": iterations},  # warm, with fresh splits
        methods={"none": {}},
    )
    run(plan)
    found = []
    (group,) = plan.groups("scratch-1", 1)
    for iteration in plan.iterations:
        blocks = plan.blocks(group, iteration, 1)
        own = [s for b in blocks for s in scores.of_block(plan.networks_folder(b), b).values()]
        found.append([[evaluation.auc(s[part]) for part in evaluation.PARTS] for s in own])
    return np.moveaxis(np.array(found), -1, 0)


def test_reserved_events_show_what_a_warm_chain_learned_by_heart(tmp_path):
    area, error = areas(tmp_path, 2, reserved=0.3)
    reserved, trained = area[..., 0], area[..., 1]
    assert np.all(trained > 0.65)
    assert np.all(np.abs(reserved - 0.5) < 3 * error[..., 0])


def test_folds_show_what_networks_learned_by_heart(tmp_path):
    area, error = areas(tmp_path, 1, folds=2)
    own_fold, trained = area[..., 0], area[..., 1]
    assert area.shape == (1, 2, 2)
    # A network whose training never lowered its held-out loss is kept as it was, and knows nothing.
    assert np.all((trained > 0.65) | (trained == 0.5))
    assert np.any(trained > 0.65)
    assert np.all(np.abs(own_fold - 0.5) <= 3 * error[..., 0])
