import h5py
import numpy as np
import pytest
from small_study import ROLE, SIZES, sample

from omniflow.config import validate
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.stages import inputs
from omniflow.stages.weights import setup
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import replica_weights

RECORDS = 10 * SIZES["simulation"]  # event ids are below


@pytest.fixture
def plan(tmp_path):
    files = [str(tmp_path / name) for name in ("one.h5", "two.h5")]
    raw = {
        "study": {"name": "inputs", "output": str(tmp_path)},
        "samples": {"data": ROLE, "simulation": ROLE | {"seed": 4}},
        "methods": {"none": {}},
        "uncertainties": {
            "data_replicas": 2,
            "simulation_replicas": 2,
            "variations": {
                "scale": {"simulation_weights": {"files": files, "dataset": "factor"}},
                "model": {"simulation": ROLE | {"seed": 5}},
                "energy": {"data": ROLE | {"seed": 6}},
            },
        },
    }
    plan = Plan(validate(raw))
    factors = np.random.default_rng(1).uniform(0.5, 2, RECORDS)
    for path, part in zip(files, np.split(factors, [1234]), strict=True):
        with h5py.File(path, "w") as file:
            file["factor"] = part
    for i, role in enumerate(plan.samples):
        store.write(sample(500, 0, i), plan.store(role), {}, 7 + i)
    return plan


def test_nominal_events_are_those_of_the_store(plan):
    for role in ("data", "simulation"):
        expected = store.open_store(plan.store(role))
        assert np.array_equal(inputs.events(plan, role).weight, expected.weight)


def test_replicas_multiply_the_weights_of_their_sample_alone(plan):
    for kind, other in (("data", "simulation"), ("simulation", "data")):
        for number in (1, 2):
            name = f"{kind}-{number}"
            stored, same = (store.open_store(plan.store(role)) for role in (kind, other))
            drawn = replica_weights(plan.config.study.seed, plan.variants[name], stored.event_id)
            found = inputs.events(plan, kind, name)
            assert np.array_equal(found.weight, stored.weight * drawn)
            assert np.array_equal(inputs.events(plan, other, name).weight, same.weight)
            assert np.array_equal(found.event_id, stored.event_id)


def test_factors_belong_to_event_ids(plan):
    factors = []
    for path in plan.variants.weight_files("scale"):
        with h5py.File(path) as file:
            factors += list(file["factor"][:])
    stored = store.open_store(plan.store("simulation"))
    found = inputs.events(plan, "simulation", "scale").weight
    for event, weight, after in zip(stored.event_id, stored.weight, found, strict=True):
        assert after == weight * factors[event]


def test_a_varied_sample_takes_the_place_of_the_nominal_one(plan):
    expected = store.open_store(plan.store("model.simulation"))
    assert np.array_equal(inputs.events(plan, "simulation", "model").weight, expected.weight)
    common = setup(plan, "model")
    assert common.sum_simulation == pytest.approx(expected.weight[expected.pass_detector].sum())


def test_varied_data_take_the_place_of_the_nominal_ones(plan):
    varied, nominal = (store.open_store(plan.store(role)) for role in ("energy.data", "data"))
    assert not np.array_equal(varied.weight, nominal.weight)
    found = inputs.events(plan, "data", "energy")
    for name in ("event_id", "weight", "pass_detector"):
        assert np.array_equal(getattr(found, name), getattr(varied, name))
    assert np.array_equal(found.detector.event, varied.detector.event)
    simulation = store.open_store(plan.store("simulation"))
    assert np.array_equal(inputs.events(plan, "simulation", "energy").weight, simulation.weight)
    common = setup(plan, "energy")
    expected = varied.weight[varied.pass_detector].sum()
    assert common.sum_data == pytest.approx(expected)
    assert common.scale == pytest.approx(expected / setup(plan).sum_simulation)
    assert np.array_equal(common.data_weight, varied.weight)


def test_the_yield_of_a_replica_fluctuates(plan):
    data = inputs.events(plan, "data", "data-1")
    found = setup(plan, "data-1")
    assert found.sum_data == pytest.approx(data.weight[data.pass_detector].sum())
    assert found.scale == pytest.approx(found.sum_data / setup(plan).sum_simulation)


def _write(plan, index, values):
    with h5py.File(plan.variants.weight_files("scale")[index], "w") as file:
        file["factor"] = values


def test_too_few_factors_are_refused(plan):
    _write(plan, 1, np.ones(5))
    with pytest.raises(InputError, match="has 1239 factors, but the simulation has an event"):
        inputs.events(plan, "simulation", "scale")


def test_factors_that_are_no_numbers_are_refused(plan):
    _write(plan, 1, np.full(RECORDS, np.nan))
    with pytest.raises(InputError, match="not finite"):
        inputs.events(plan, "simulation", "scale")
