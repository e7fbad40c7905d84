"""Statistics of subtracted backgrounds: in replicas of the simulation, with draws of their own."""

import numpy as np
import pytest
from small_study import ROLE, sample

from omniflow.config import validate
from omniflow.events import slices, store
from omniflow.stages import inputs
from omniflow.stages.weights import setup
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import Variant, replica_weights

REPLICAS = 150
FACTORS = {"background-beam": 0.1, "background-photo": 0.1}


@pytest.fixture(autouse=True)
def several_slices(monkeypatch):
    """Every sample is several slices."""
    monkeypatch.setattr(slices, "EVENTS", 130)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    backgrounds = {
        role.removeprefix("background-"): {"sample": ROLE | {"seed": 5 + i}, "factor": factor}
        for i, (role, factor) in enumerate(FACTORS.items())
    }
    raw = {
        "study": {"name": "replicas", "seed": 3, "output": str(folder)},
        "samples": {"data": ROLE, "simulation": ROLE | {"seed": 4}, "backgrounds": backgrounds},
        "methods": {"none": {}},
        "uncertainties": {"data_replicas": 2, "simulation_replicas": REPLICAS},
    }
    plan = Plan(validate(raw))
    for role in plan.samples:
        # All but the data are the same events with the same ids.
        store.write(sample(500, 0, role == "data"), plan.store(role), {}, 7)
    return plan


def _passing(plan, role):
    events = store.open_store(plan.store(role))
    return np.asarray(events.weight)[np.asarray(events.pass_detector)]


def test_the_subtracted_yield_scatters_by_the_statistics_of_the_backgrounds(plan):
    names = plan.variants.of_kind("simulation")
    found = [setup(plan, name) for name in names]
    sums = np.array([each.sum_data for each in found])
    yields = {role: factor * _passing(plan, role) for role, factor in FACTORS.items()}
    mean = _passing(plan, "data").sum() - sum(each.sum() for each in yields.values())
    variance = sum(np.sum(each**2) for each in yields.values())
    assert setup(plan).sum_data == pytest.approx(mean)
    # The same numbers in both backgrounds would double the variance, none would make it vanish.
    assert abs(sums.mean() - mean) < 4 * np.sqrt(variance / REPLICAS)
    assert abs(sums.var(ddof=1) / variance - 1) < 4 * np.sqrt(2 / REPLICAS)
    simulated = np.array([each.sum_simulation for each in found])
    assert abs(np.corrcoef(sums, simulated)[0, 1]) < 4 / np.sqrt(REPLICAS)


def test_replicas_of_the_data_leave_backgrounds_alone(plan):
    for role in FACTORS:
        stored = store.open_store(plan.store(role)).weight
        assert np.array_equal(inputs.events(plan, role, "data-1").weight, stored)
        assert np.array_equal(inputs.events(plan, role).weight, stored)
        drawn = inputs.events(plan, role, "simulation-1").weight / stored
        assert set(np.unique(drawn.round(9))) <= set(range(9))
        assert 0.8 < drawn.mean() < 1.2


def test_replicas_of_a_background_scatter_as_new_samples_of_it():
    """Proof: contents of bins less f times a background, whose events are Poisson-distributed."""
    rng = np.random.default_rng(8)
    factor, expected, data = 0.3, 3000, np.array([900.0, 1500, 700])
    edges = [-9, -0.5, 0.5, 9]

    def produced(events):
        """Values and weights of that many events."""
        return rng.normal(0, 1, events), rng.lognormal(0, 0.5, events)

    def subtracted(values, weights):
        return data - factor * np.histogram(values, edges, weights=weights)[0]

    new = np.array([subtracted(*produced(rng.poisson(expected))) for _ in range(1500)])
    values, weights = produced(expected)
    ids = rng.permutation(10**6)[:expected].astype(np.uint64)
    numbers = range(1, 1501)
    drawn = (replica_weights(1, Variant("", "simulation", n), ids, "background-x") for n in numbers)
    replicas = np.array([subtracted(values, weights * draw) for draw in drawn])
    # Errors of variances are sqrt(2 / 1500) each; that of the one sample's sum w^2 adds 6%.
    ratio = replicas.var(axis=0) / new.var(axis=0)
    assert np.abs(ratio - 1).max() < 4 * np.sqrt(4 / 1500 + 0.06**2)
    # Replicas scatter around the sample's own content, bins independently of each other.
    nominal = subtracted(values, weights)
    error = np.sqrt(new.var(axis=0) / 1500)
    assert np.all(np.abs(replicas.mean(axis=0) - nominal) < 4 * error)
    for each in (replicas, new):
        correlation = np.corrcoef(each.T) - np.eye(3)
        assert np.abs(correlation).max() < 4 / np.sqrt(1500)
