"""Several weights in one event file, for systematic variations."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omniflow.config import validate
from omniflow.errors import ConfigError, InputError
from omniflow.events import store
from omniflow.events.ingest import ingest
from omniflow.stages import inputs
from omniflow.unfolding.plan import Plan

EVENTS = 50


@pytest.fixture
def columns(tmp_path):
    """A file with a weight and two variations of it; returned as written."""
    rng = np.random.default_rng(3)
    names = ("x", "z", "weight_mc", "pileup", "muon")
    found = {name: rng.uniform(0.5, 2, EVENTS) for name in names}
    pq.write_table(pa.table(found), tmp_path / "simulation.parquet")
    pq.write_table(pa.table({"x": rng.uniform(0.5, 2, EVENTS)}), tmp_path / "data.parquet")
    return found


def _raw(folder, weights, variations, **changes):
    data = {
        "source": "parquet",
        "files": str(folder / "data.parquet"),
        "detector": {"event": ["x"]},
    }
    simulation = data | {
        "files": str(folder / "simulation.parquet"),
        "particle": {"event": {"x": "z"}},
        "weight": "weight_mc",
        "weights": weights,
    }
    return {
        "study": {"name": "s", "output": str(folder)},
        "samples": {"data": data, "simulation": simulation | changes},
        "classifier": {"kind": "mlp"},
        "methods": {"none": {}},
        "uncertainties": {"variations": variations},
    }


WEIGHTS = {"pileup": "weight_mc * pileup", "muon": "muon"}
VARIATIONS = {
    "pileup_up": {"simulation_weights": "pileup"},
    "muon": {"simulation_weights": "muon"},
}


def test_each_takes_the_place_of_the_weight_in_its_variation(tmp_path, columns):
    plan = Plan(validate(_raw(tmp_path, WEIGHTS, VARIATIONS)))
    for role in plan.samples:
        ingest(plan.samples[role], plan.store(role), 1)
    store.verify(plan.store("simulation"))
    nominal = inputs.events(plan, "simulation")
    order = np.asarray(nominal.event_id).astype(int)
    np.testing.assert_array_equal(nominal.weight, columns["weight_mc"][order])
    for variant, expected in (
        ("pileup_up", columns["weight_mc"] * columns["pileup"]),
        ("muon", columns["muon"]),
    ):
        found = inputs.events(plan, "simulation", variant)
        np.testing.assert_array_equal(found.weight, expected[order])
        data = inputs.events(plan, "data", variant)
        np.testing.assert_array_equal(data.weight, np.ones(EVENTS))
    part = nominal.take(np.array([4, 2]))
    np.testing.assert_array_equal(part.weights["muon"], columns["muon"][order[[4, 2]]])


def test_they_are_joined_with_their_events(tmp_path, columns):
    """Levels in files of their own, with weights in both."""
    ids = np.arange(EVENTS)
    for name in ("simulation", "truth"):
        pq.write_table(pa.table(columns | {"id": ids[::-1]}), tmp_path / f"{name}.parquet")
    truth = {"event": {"x": "z"}, "files": [str(tmp_path / "truth.parquet")]}
    raw = _raw(tmp_path, WEIGHTS, VARIATIONS, id="id", particle=truth)
    (events,) = validate(raw).samples.simulation.read()
    order = EVENTS - 1 - events.event_id.astype(int)
    np.testing.assert_array_equal(events.weight, columns["weight_mc"][order])
    np.testing.assert_array_equal(events.weights["muon"], columns["muon"][order])


def test_a_name_that_is_not_there_is_told(tmp_path, columns):
    wrong = {"a": {"simulation_weights": "pile_up"}}
    with pytest.raises(ConfigError, match="no weights 'pile_up'; it has pileup, muon"):
        validate(_raw(tmp_path, WEIGHTS, wrong))


def test_a_weight_that_is_no_number_is_told_with_its_event(tmp_path, columns):
    sample = validate(_raw(tmp_path, {"bad": "log(pileup - 10)"}, {})).samples.simulation
    with pytest.raises(InputError, match=r"entry 0: weights\.bad: .* is nan; leave such records"):
        ingest(sample, tmp_path / "store.h5", 1)


def test_editing_one_changes_the_store_and_choosing_another_the_training(tmp_path, columns):
    def fingerprints(weights, variations):
        plan = Plan(validate(_raw(tmp_path, weights, variations)))
        group = next(g for g, _, _ in plan.stages() if g.variant == "muon")
        (block, *_) = plan.blocks(group, 1, 1)
        return plan.fingerprints.store("simulation"), plan.fingerprints.training(block.networks)

    before = fingerprints(WEIGHTS, VARIATIONS)
    assert fingerprints(WEIGHTS | {"muon": "muon * 2"}, VARIATIONS)[0] != before[0]
    other = VARIATIONS | {"muon": {"simulation_weights": "pileup"}}
    assert fingerprints(WEIGHTS, other)[1] != before[1]


def test_given_weights_of_replicas_take_the_place_of_drawn_ones(tmp_path, columns):
    replicas = ["weight_mc * pileup", "weight_mc * muon"]
    raw = _raw(tmp_path, {}, {}, replicas=replicas)
    raw["uncertainties"] = {"data_replicas": 2, "simulation_replicas": 2}
    plan = Plan(validate(raw))
    for role in plan.samples:
        ingest(plan.samples[role], plan.store(role), 1)
    for number, name in ((1, "pileup"), (2, "muon")):
        found = inputs.events(plan, "simulation", f"simulation-{number}")
        order = np.asarray(found.event_id).astype(int)
        expected = columns["weight_mc"] * columns[name]
        np.testing.assert_array_equal(found.weight, expected[order])
        drawn = inputs.events(plan, "data", f"data-{number}").weight
        assert set(drawn) <= set(range(10))  # Poisson: the data have none
    raw["uncertainties"]["simulation_replicas"] = 3
    with pytest.raises(ConfigError, match=r"simulation_replicas is 3, but .* has 2 weights"):
        validate(raw)
    with pytest.raises(ConfigError, match=r"replica-1 is what weights of `replicas` are called"):
        validate(_raw(tmp_path, {"replica-1": "muon"}, {}))
