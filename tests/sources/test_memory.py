"""Events of a program as a source, and sources of studies that have been run."""

import numpy as np
import pytest
import yaml

from omniflow import Events, registry
from omniflow.config import dump, validate
from omniflow.config.document import schema_text
from omniflow.errors import ConfigError, InputError
from omniflow.events import store
from omniflow.sources.memory import Memory
from omniflow.sources.recorded import Recorded
from omniflow.stages import samples
from omniflow.unfolding.plan import Plan

X = np.array([1.5, 2.5, -3.0])
EVENTS = Events.from_arrays({"x": X}, {"x": X + 1}, pass_detector=[1, 0, 1], event_id=[5, 9, 7])
DATA = Events.from_arrays({"x": X - 1})


def _raw(tmp_path, data=DATA, simulation=EVENTS):
    return {
        "study": {"name": "here", "output": str(tmp_path)},
        "samples": {"data": Memory.of(data), "simulation": Memory.of(simulation)},
        "methods": {"none": {}},
    }


def test_the_store_holds_the_events(tmp_path):
    plan = Plan(validate(_raw(tmp_path)))
    samples.make_store(plan, "simulation")
    found = store.open_store(plan.store("simulation"))
    order = np.argsort(found.event_id)
    np.testing.assert_array_equal(found.event_id[order], [5, 7, 9])
    np.testing.assert_array_equal(found.particle.event[order, 0], [2.5, -2, 3.5])
    np.testing.assert_array_equal(found.pass_detector[order], [True, True, False])
    assert plan.features_seen["particle"].event == {"x": 'column("event.x")'}


def test_it_knows_its_events():
    found = Memory.of(EVENTS)
    assert (found.records(), found.has_truth(), found.typical()) == (3, True, (0.0, 2 / 3))
    assert found.columns("detector") == (("x",), ())
    assert not Memory.of(DATA).has_truth()
    with pytest.raises(InputError, match=r"have none after them: uncertainties\.toys"):
        found.next(1)


def test_the_same_events_are_the_same_sample(tmp_path):
    again = Events.from_arrays({"x": X}, {"x": X + 1}, pass_detector=[1, 0, 1], event_id=[5, 9, 7])
    assert Memory.of(EVENTS) == Memory.of(again)
    assert hash(Memory.of(EVENTS)) == hash(Memory.of(again))
    assert Memory.of(EVENTS).shares(Memory.of(again))
    assert not Memory.of(EVENTS).shares(Memory.of(DATA))
    with pytest.raises(ConfigError, match="hold the same events"):
        validate(_raw(tmp_path, data=EVENTS, simulation=again))
    stores = [
        Plan(validate(_raw(tmp_path, data=d))).fingerprints.store("data") for d in (DATA, DATA)
    ]
    assert stores[0] == stores[1]
    heavier = Events.from_arrays({"x": X - 1}, weight=[1, 1, 2])
    assert Plan(validate(_raw(tmp_path, data=heavier))).fingerprints.store("data") != stores[0]


def test_no_configuration_offers_it():
    assert "memory" not in registry.names("source")
    assert '"memory"' not in schema_text()


def test_what_has_been_run_is_read_without_it(tmp_path):
    text = dump(validate(_raw(tmp_path)))
    with pytest.raises(ConfigError, match="source: memory stands for events of a program"):
        validate(yaml.safe_load(text))
    found = validate(yaml.safe_load(text), stand_in={"source": Recorded})
    assert isinstance(found.samples.data, Recorded)
    assert found.samples.data.events == 3
    assert Plan(found).roles == ["data", "simulation"]
    assert yaml.safe_load(dump(found))["samples"] == yaml.safe_load(text)["samples"]
