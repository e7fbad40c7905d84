import json

import numpy as np
import pytest
import small_study

from omniflow.events import store
from omniflow.stages import oracle, samples
from omniflow.training import trainer

SHIFT = 0.5


@pytest.fixture(scope="module")
def moved(folder):
    """Pseudo-data whose truth is moved, with features for the oracle alone."""
    training = {"epochs": 8, "min_updates": 100}
    plan = small_study.make_plan(folder, "oracle", {"none": {}}, {}, 1, particle_level="all")
    config = plan.config
    config = config.model_copy(update={"training": config.training.model_copy(update=training)})
    plan = type(plan)(config)
    for role, size, mean in (("data", 4000, SHIFT), ("simulation", 8000, 0.0)):
        events = small_study.sample(size, mean, 1 if role == "data" else 2)
        store.write(events, plan.store(role), {}, 3)
    samples.make_scaling(plan)
    samples.make_features(plan, "simulation", "particle")
    return plan


def test_its_weights_turn_the_simulation_into_truth(moved):
    oracle.train(moved)
    ratio = oracle.ratio(moved)
    data, simulation = (store.open_store(moved.store(role)) for role in ("data", "simulation"))
    truth, prior = (np.asarray(e.particle.event)[:, 0] for e in (data, simulation))
    assert ratio.shape == (8000,)
    exact = np.exp(SHIFT * prior - SHIFT**2 / 2)
    assert np.corrcoef(np.log(ratio), np.log(exact))[0, 1] > 0.97
    weight = simulation.weight * ratio
    error = 1 / np.sqrt(4000)
    means = np.average(truth, weights=data.weight), np.average(prior, weights=weight)
    assert means[1] == pytest.approx(means[0], abs=4 * error)
    # Absolute: the yield is that of truth, whatever the scale of the simulation.
    detector = [e.weight[e.pass_detector].sum() for e in (data, simulation)]
    assert weight.sum() * detector[0] / detector[1] == pytest.approx(data.weight.sum(), rel=0.05)
    (record,) = json.loads((moved.oracle / "history.json").read_text())["networks"]
    assert record["network"]["step"] == 7
    assert (moved.oracle / "network.weights.h5").is_file()
    assert oracle.notes(moved) == []


def test_it_repeats_itself(moved):
    oracle.train(moved)
    first = np.array(oracle.ratio(moved))
    oracle.train(moved)
    np.testing.assert_array_equal(oracle.ratio(moved), first)


def test_events_outside_of_the_fiducial_region_keep_their_weight(moved):
    unfolding = moved.config.unfolding.model_copy(update={"particle_level": "pass_gen"})
    plan = type(moved)(moved.config.model_copy(update={"unfolding": unfolding}))
    oracle.train(plan)
    inside = store.open_store(plan.store("simulation")).pass_particle
    ratio = oracle.ratio(plan)
    assert (ratio[~inside] == 1).all()
    assert (ratio[inside] != 1).mean() > 0.99


def test_a_network_that_fails_is_noted(moved, monkeypatch):
    fail = trainer.TrainingError("diverges")
    monkeypatch.setattr(trainer.Trainer, "fit", lambda self, tasks: [fail] * len(tasks))
    oracle.train(moved)
    assert oracle.ratio(moved) is None
    (note,) = oracle.notes(moved)
    assert note.startswith("The oracle could not be trained: diverges")


def test_real_data_have_none(warm):
    oracle.train(warm)
    assert oracle.ratio(warm) is None
    assert oracle.notes(warm) == []


def test_switched_off_nothing_is_read(moved):
    diagnostics = moved.config.diagnostics.model_copy(update={"oracle": False})
    plan = type(moved)(moved.config.model_copy(update={"diagnostics": diagnostics}))
    assert oracle.ratio(plan) is None
    assert oracle.notes(plan) == []
