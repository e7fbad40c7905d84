import h5py
import numpy as np
import pytest
from toy_level import LEVEL

from omniflow.errors import ConfigError, InputError
from omniflow.events import slices
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


def objects(path, name):
    """Objects of an observable, which all lie in one slice."""
    ((_, found),) = cache.objects(path, [name], 3)
    return found[name]


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


@pytest.mark.parametrize("size", [1, 2, 100])
def test_slices_are_parts_of_the_whole(path, monkeypatch, size):
    cache.write(path, LEVEL, ALL)
    whole = cache.read(path, NAMES)
    every = {name: objects(path, name) for name in NAMES}
    monkeypatch.setattr(slices, "EVENTS", size)
    parts = list(cache.entries(path, NAMES, 3))
    same = list(cache.objects(path, NAMES, 3))
    assert [rows for rows, _ in parts] == [rows for rows, _ in same] == list(slices.slices(3))
    for name in NAMES:
        index = np.concatenate([found[name].event_index + rows.start for rows, found in parts])
        np.testing.assert_array_equal(index, whole[name].event_index)
        value = np.concatenate([found[name].value for _, found in parts])
        np.testing.assert_array_equal(value, whole[name].value)
        index = np.concatenate([found[name].event + rows.start for rows, found in same])
        np.testing.assert_array_equal(index, every[name].event)
        for part in ("value", "eta", "phi"):
            if getattr(every[name], part) is not None:
                joined = np.concatenate([getattr(found[name], part) for _, found in same])
                np.testing.assert_array_equal(joined, getattr(every[name], part))


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
    found = objects(path, "tau")
    assert found.event.tolist() == [0, 0, 2]
    # jets of one particle have no tau21, but are jets
    assert np.isnan(found.value).tolist() == [False, True, True]
    np.testing.assert_allclose(found.eta, [np.arcsinh(0.4 * np.sinh(0.3)), 2, -1], rtol=1e-6)
    np.testing.assert_allclose(found.phi, [0.0, 2.0, 3.0], atol=1e-6)
    # those of another definition have their own directions
    found = objects(path, "wide")
    assert found.event.tolist() == [0, 2]
    assert len(found.eta) == 2
    found = objects(path, "lead")
    assert found.event.tolist() == [0, 1, 2]
    assert np.isnan(found.value).tolist() == [False, True, False]
    found = objects(path, "pt")
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
        objects(path, "met")


def test_a_kind_that_changes_between_events_is_refused(path, monkeypatch):
    monkeypatch.setattr(computing, "CHUNK", 1)

    def now_and_then(chunk):
        met = chunk.columns["met"].array
        return met if met[0] < 15 else (np.arange(1), met)

    with pytest.raises(InputError, match="'event' in some events and 'entry' in others"):
        cache.write(path, LEVEL, [Observable("x", now_and_then)])


def test_the_plan_knows_the_version_of_the_files():
    assert fingerprints.OBSERVABLES_VERSION == cache.SCHEMA_VERSION
