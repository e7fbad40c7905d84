"""Events of a program as a source, and sources of studies that have been run."""

import awkward as ak
import numpy as np
import pytest
import yaml

from omniflow import Events, registry
from omniflow.config import dump, validate
from omniflow.config.document import schema_text
from omniflow.errors import ConfigError, InputError
from omniflow.events import store
from omniflow.observables import cache
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


def test_every_column_that_the_samples_share_is_compared(tmp_path):
    """Under names that observables may have, which tell columns of one name apart."""
    long = "transverse momentum of the system that recoils against the jet"
    event = {"x": X, "a b": X, "a_b": X, "(m/GeV)": X, long: X, "own": X, 'say "x"': X}
    particles = ak.Array({"x": [[1.0, 2.0], [3.0], []], "pt": [[1.0, 1.0], [1.0], []]})

    def sample(shift, **more):
        level = {"event": {k: v + shift for k, v in event.items()} | more, "particles": particles}
        del level["event"]["own"]
        return level

    simulation = sample(0, own=X)
    raw = _raw(
        tmp_path,
        Events.from_arrays(sample(1)),
        Events.from_arrays(simulation, simulation),
    )
    raw["classifier"] = {"features": {"event": ["x"]}}
    plan = Plan(validate(raw))
    found = plan.config.observables.define
    assert {name: entry.label for name, entry in found.items()} == {
        **{"x": "x", "a_b": "a b", "a_b_2": "a_b", "m_GeV": "(m/GeV)"},
        **{long.replace(" ", "_")[:40]: long, "say_x": 'say "x"'},
        **{"particle_x": "x", "pt": "pt"},
    }
    assert found["particle_x"].expression == 'column("particles.x")'
    samples.make_store(plan, "simulation")
    samples.make_observables(plan, "simulation")
    entries = cache.read(plan.observables("simulation") / "particle.h5", ["say_x", "x"], 3)
    np.testing.assert_array_equal(np.sort(entries["say_x"].value), np.sort(X))
    raw["classifier"] = {"features": {"event": ["1"]}}
    raw["samples"]["data"] = Memory.of(Events.from_arrays({"z": X}))
    assert {entry.level for entry in validate(raw).observables.define.values()} == {"particle"}
    raw["samples"]["data"] = Memory.of(Events.from_arrays({"z": X}, {"z": X}))
    with pytest.raises(ConfigError, match="have no column in common; say by observables"):
        validate(raw)


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
