import h5py
import numpy as np
import pytest
from toy_level import LEVEL

from omniflow.errors import ConfigError, InputError
from omniflow.observables import JetDefinition, Observable, cache, from_expression
from omniflow.observables import compute as computing
from omniflow.observables.compute import compute
from omniflow.observables.observable import from_jets
from omniflow.unfolding import fingerprints

ANTIKT, WIDE = JetDefinition("antikt", 0.4, 5.0), JetDefinition("antikt", 1.0, 10.0)
MET = from_expression("met", "met")
LEAD = from_expression("lead", "first(sort(pt))")
PT = from_expression("pt", "pt")
TAU = from_jets("tau", "tau21", ANTIKT)
ALL = [MET, LEAD, PT, TAU, from_jets("mass", "mass", ANTIKT), from_jets("wide", "pt", WIDE)]
NAMES = [observable.name for observable in ALL]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "observables.h5"


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_returns_what_was_computed(path, monkeypatch, chunk):
    expected = compute(LEVEL, ALL)
    monkeypatch.setattr(computing, "CHUNK", chunk)
    cache.write(path, LEVEL, ALL)
    found = cache.read(path, NAMES)
    assert list(found) == NAMES
    for name, entries in expected.items():
        assert found[name].event_index.dtype == np.int64
        np.testing.assert_array_equal(found[name].event_index, entries.event_index)
        np.testing.assert_array_equal(found[name].value, entries.value)
    assert list(cache.read(path, ["met"])) == ["met"]
    assert [file.name for file in path.parent.iterdir()] == ["observables.h5"]


def test_kinds_are_kept(path):
    cache.write(path, LEVEL, ALL)
    kinds = cache.kinds(path, NAMES)
    assert list(kinds.values()) == ["event", "event", "particle", "jet", "jet", "jet"]
    with pytest.raises(InputError, match="eta: no such observable"):
        cache.kinds(path, ["eta"])


def test_nothing_is_left_of_a_failed_write(path):
    with pytest.raises(ConfigError, match="'ptt'"):
        cache.write(path, LEVEL, [MET, from_expression("x", "ptt")])
    assert list(path.parent.iterdir()) == []


def test_bad_files_are_refused(path):
    path.write_text("no")
    with pytest.raises(InputError, match="is not an HDF5 file"):
        cache.read(path, ["met"])
    cache.write(path, LEVEL, [MET])
    with pytest.raises(InputError, match="of 3 events, but the sample has 5"):
        cache.read(path, ["met"], events=5)
    assert len(cache.read(path, ["met"], events=3)["met"]) == 3
    with pytest.raises(InputError, match="values/pt"):
        cache.read(path, ["pt"])
    with h5py.File(path, "r+") as file:
        file["values/met/count"][0] = 2
    with pytest.raises(InputError, match="values/met/value"):
        cache.read(path, ["met"])
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(InputError, match="version of observables is 99, expected 3"):
        cache.read(path, ["met"])


def test_objects_are_every_jet_every_event_or_every_particle(path):
    cache.write(path, LEVEL, ALL)
    found = cache.read_objects(path, "tau", 3)
    assert found.event.tolist() == [0, 0, 2]
    # jets of one particle have no tau21, but are jets
    assert np.isnan(found.value).tolist() == [False, True, True]
    np.testing.assert_allclose(found.eta, [np.arcsinh(0.4 * np.sinh(0.3)), 2, -1], rtol=1e-6)
    np.testing.assert_allclose(found.phi, [0.0, 2.0, 3.0], atol=1e-6)
    # those of another definition have their own directions
    found = cache.read_objects(path, "wide", 3)
    assert found.event.tolist() == [0, 2]
    assert len(found.eta) == 2
    found = cache.read_objects(path, "lead", 3)
    assert found.event.tolist() == [0, 1, 2]
    assert np.isnan(found.value).tolist() == [False, True, False]
    found = cache.read_objects(path, "pt", 3)
    assert found.event.tolist() == [0, 0, 0, 2]
    assert found.eta is None


def test_without_observables_of_jets_none_are_stored(path):
    cache.write(path, LEVEL, [MET, PT])
    with h5py.File(path) as file:
        assert set(file) == {"values"}
        assert set(file["values"]) == {"met", "pt"}


def test_two_entries_of_an_event_are_refused(path):
    cache.write(path, LEVEL, [MET])
    with h5py.File(path, "r+") as file:
        file["values/met/count"][:] = [1, 0, 2]
    with pytest.raises(InputError, match="met: event 2 has several entries"):
        cache.read_objects(path, "met", 3)


def test_a_kind_that_changes_between_events_is_refused(path, monkeypatch):
    monkeypatch.setattr(computing, "CHUNK", 1)

    def now_and_then(chunk):
        met = chunk.columns["met"].array
        return met if met[0] < 15 else (np.arange(1), met)

    with pytest.raises(InputError, match="'event' in some events and 'entry' in others"):
        cache.write(path, LEVEL, [Observable("x", now_and_then)])


def test_the_plan_knows_the_version_of_the_files():
    assert fingerprints.OBSERVABLES_VERSION == cache.SCHEMA_VERSION
