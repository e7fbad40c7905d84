"""What is histogrammed where nobody says what."""

import awkward as ak
import numpy as np

from omniflow import Events
from omniflow.api import values
from omniflow.config.observables import Observables
from omniflow.observables import Entries


def test_every_column_that_varies_and_that_all_samples_have():
    particles = ak.Array({"x": [[1.0, 2.0], [3.0]], "pt": [[1.0, 1.0], [1.0]]})
    event = {"x": [1, 2], "a b": [0, 1], "(m/GeV)": [3, 4], "same": [5, 5], "own": [1, 2]}
    simulation = Events.from_arrays(
        {"event": event, "particles": particles}, {"event": event, "particles": particles}
    )
    rest = {name: v for name, v in event.items() if name != "own"}
    data = Events.from_arrays({"event": rest, "particles": particles})
    found = values.default_observables(data, simulation)
    assert {name: entry["label"] for name, entry in found.items()} == {
        **{"x": "x", "a_b": "a b", "m_GeV": "(m/GeV)"},
        **{"own": "own", "particle_x": "x"},
    }
    # Data do not have it, and particle level is all of the simulation's.
    assert [name for name, entry in found.items() if "level" in entry] == ["own"]
    assert found["own"]["level"] == "particle"
    assert found["particle_x"]["expression"] == "column('particles.x')"
    assert Observables.model_validate({"define": found}).names == tuple(found)


def test_events_that_fail_do_not_make_a_column_vary():
    both = {"x": [1, 1, 2], "y": [1, 2, 3]}
    simulation = Events.from_arrays(both, both, pass_detector=[1, 1, 0])
    assert list(values.default_observables(simulation, simulation)) == ["y"]


def test_entries_in_another_order():
    entries = Entries(np.array([0, 0, 2, 3, 3, 3]), np.array([1.0, 2, 3, 4, 5, 6]))
    found = values.reordered(entries, np.array([3, 1, 0, 2]))
    np.testing.assert_array_equal(found.event_index, [0, 0, 0, 2, 2, 3])
    np.testing.assert_array_equal(found.value, [4, 5, 6, 1, 2, 3])
