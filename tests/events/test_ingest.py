import hashlib
import shutil
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.config.samples import H1Sample, PythiaSample
from omniflow.errors import InputError
from omniflow.events import h1, store
from omniflow.events.ingest import ingest

DATA = Path(__file__).parents[1] / "data"


def _h1(*files, **options):
    return H1Sample(source="h1", files=tuple(str(file) for file in files), **options)


def test_h1_files_become_a_store(tmp_path):
    path = tmp_path / "out" / "simulation.h5"
    source = DATA / "h1_simulation.h5"
    ingest(_h1(source, events=200, skip=100), path, 7)
    assert list(path.parent.iterdir()) == [path]
    events = store.open_store(path)
    np.testing.assert_array_equal(np.sort(events.event_id), np.arange(100, 300))
    assert not np.array_equal(events.event_id, np.sort(events.event_id))
    found = store.provenance(path)
    assert found["source"] == "h1"
    assert found["sample"] == {
        "source": "h1",
        "files": [str(source)],
        "events": 200,
        "skip": 100,
    }
    assert found["files"][0]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert found["shuffle_seed"] == 7
    store.verify(path)


def _with_truth_removed(h5file):
    del h5file["gen_particle_features"], h5file["gen_event_features"]


def test_real_data_become_a_store(tmp_path):
    source = tmp_path / "data.h5"
    shutil.copy(DATA / "h1_nature.h5", source)
    with h5py.File(source, "r+") as h5file:
        _with_truth_removed(h5file)
    ingest(_h1(source), tmp_path / "store.h5", 1)
    events = store.open_store(tmp_path / "store.h5")
    assert events.particle is None
    assert events.pass_particle is None
    assert len(events) == 1000


def _set(name, index, value):
    def edit(h5file):
        h5file[name][index] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_set("reco_event_features", (3, 0), np.nan), "reco_event_features, event 3: q2 is nan"),
        (_set("gen_particle_features", (4, 0, 1), np.inf), "gen_particle_features, event 4: eta"),
        (_set("reco_event_features", (5, 6), 2), "reco_event_features, event 5: pass_reco is 2"),
        (_set("reco_event_features", (slice(None), 5), 0), "weight: all weights are zero"),
        (_set("reco_event_features", (slice(None), 6), 0), "pass_detector: no event passes"),
        (_set("gen_event_features", (6, 0), -1), "particle/event, event 6: q2 is not positive"),
        (lambda h5file: h5file.__delitem__("reco_event_features"), "reco_event_features: no such"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tmp_path, edit, message):
    source = tmp_path / "bad.h5"
    shutil.copy(DATA / "h1_nature.h5", source)
    with h5py.File(source, "r+") as h5file:
        edit(h5file)
    with pytest.raises(InputError, match=rf"bad\.h5: {message}"):
        ingest(_h1(source), tmp_path / "store.h5", 1)
    assert list(tmp_path.iterdir()) == [source]


def test_an_existing_store_survives_bad_input(tmp_path):
    path, cut = tmp_path / "store.h5", tmp_path / "cut.h5"
    ingest(_h1(DATA / "h1_nature.h5", events=50), path, 1)
    before = path.read_bytes()
    cut.write_bytes((DATA / "h1_nature.h5").read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"cut\.h5: is truncated"):
        ingest(_h1(cut), path, 1)
    assert path.read_bytes() == before


PYTHIA = PythiaSample(source="pythia", events=40, seed=3)


def _fake_physics(monkeypatch, make_sample):
    module = types.ModuleType("omniflow.physics.dis")
    module.make_sample = make_sample
    monkeypatch.setitem(sys.modules, "omniflow.physics.dis", module)


def test_pythia_samples_come_from_the_generator(tmp_path, monkeypatch):
    asked = []

    def make_sample(sample):
        asked.append(sample)
        return h1.read([DATA / "h1_nature.h5"], events=sample.events)

    _fake_physics(monkeypatch, make_sample)
    ingest(PYTHIA, tmp_path / "store.h5", 2)
    assert asked == [PYTHIA]
    assert len(store.open_store(tmp_path / "store.h5")) == 40
    found = store.provenance(tmp_path / "store.h5")
    assert found["sample"]["seed"] == 3
    assert found["sample"]["shower"] == "simple"


def test_bad_generated_events_leave_nothing(tmp_path, monkeypatch):
    def make_sample(sample):
        events = h1.read([DATA / "h1_nature.h5"], events=sample.events)
        events.weight[:] = 0
        return events

    _fake_physics(monkeypatch, make_sample)
    with pytest.raises(InputError, match=r"pythia sample \(seed 3\): weight: all weights"):
        ingest(PYTHIA, tmp_path / "store.h5", 2)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    def make_sample(sample):
        raise ModuleNotFoundError("No module named 'pythia8mc'", name="pythia8mc")

    _fake_physics(monkeypatch, make_sample)
    with pytest.raises(InputError, match=r"pythia8mc.*pip install 'omniflow\[physics\]'"):
        ingest(PYTHIA, tmp_path / "store.h5", 2)
    _fake_physics(monkeypatch, lambda sample: __import__("no_such_module_of_ours"))
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_ours"):
        ingest(PYTHIA, tmp_path / "store.h5", 2)
    assert list(tmp_path.iterdir()) == []
