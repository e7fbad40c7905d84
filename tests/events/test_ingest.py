import hashlib
import shutil
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow import registry
from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.ingest import ingest
from omniflow.events.sample import Events
from omniflow.physics.dis import h1_file
from omniflow.physics.dis.h1 import H1
from omniflow.physics.dis.pythia import Pythia

DATA = Path(__file__).parents[1] / "data"


def _h1(*files, **options):
    return H1(source="h1", files=tuple(str(file) for file in files), **options)


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
        "strict": False,
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
        (_set("gen_event_features", (6, 0), -1), "event 6: particle/event: q2 is not positive"),
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


PYTHIA = Pythia(source="pythia", events=40, seed=3)


def _fake_physics(monkeypatch, make_sample):
    module = types.ModuleType("omniflow.physics.dis.sample")
    module.make_sample = make_sample
    monkeypatch.setitem(sys.modules, "omniflow.physics.dis.sample", module)


def test_pythia_samples_come_from_the_generator(tmp_path, monkeypatch):
    asked = []

    def make_sample(sample):
        asked.append(sample)
        return Events.joined(list(h1_file.read([DATA / "h1_nature.h5"], events=sample.events)))

    _fake_physics(monkeypatch, make_sample)
    ingest(PYTHIA, tmp_path / "store.h5", 2)
    assert asked == [PYTHIA]
    assert len(store.open_store(tmp_path / "store.h5")) == 40
    found = store.provenance(tmp_path / "store.h5")
    assert found["sample"]["seed"] == 3
    assert found["sample"]["shower"] == "simple"


def test_bad_generated_events_leave_nothing(tmp_path, monkeypatch):
    def make_sample(sample):
        events = Events.joined(list(h1_file.read([DATA / "h1_nature.h5"], events=sample.events)))
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


def _excerpt(path, rows, change=None, source="h1_simulation.h5"):
    """A file of chosen records of an excerpt."""
    with h5py.File(DATA / source) as old, h5py.File(path, "w") as new:
        for name, values in old.items():
            new[name] = values[:][rows]
            if change is not None and name == "reco_event_features":
                new[name][-1, 5] = change
    return path


def test_a_copy_under_another_name_is_refused(tmp_path):
    source, copy = DATA / "h1_simulation.h5", tmp_path / "copy.h5"
    shutil.copy(source, copy)
    with pytest.raises(InputError, match=rf"copy\.h5: is a copy of {source}.* leave one"):
        ingest(_h1(source, copy), tmp_path / "store.h5", 1)
    assert list(tmp_path.iterdir()) == [copy]


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_links_to_a_file_are_refused(tmp_path, link):
    shutil.copy(DATA / "h1_simulation.h5", tmp_path / "a.h5")
    getattr(tmp_path / "b.h5", link)(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"b\.h5: (the file is given twice|is a copy of)"):
        ingest(_h1(tmp_path / "a.h5", tmp_path / "b.h5"), tmp_path / "store.h5", 1)


@pytest.mark.parametrize("weight", [None, 7.0])
def test_records_that_two_files_share_are_refused_by_name(tmp_path, weight):
    one = _excerpt(tmp_path / "one.h5", np.arange(300))
    two = _excerpt(tmp_path / "two.h5", np.r_[300:500, 17], weight)
    with pytest.raises(
        InputError,
        match=r"two\.h5: event 200 \(id 500\): holds the same numbers as .*one\.h5: event 17: "
        r"it is the same event twice, as are 1 of 501 events.*leave the repeated events out",
    ):
        ingest(_h1(one, two), tmp_path / "store.h5", 1)
    ingest(_h1(one, two, events=500), tmp_path / "store.h5", 1)  # without the last one


def test_repeated_records_of_one_file_are_refused(tmp_path):
    path = _excerpt(tmp_path / "one.h5", np.r_[0:300, 0:300])
    with pytest.raises(InputError, match=r"event 300: holds .* event 0: .* 300 of 600 events"):
        ingest(_h1(path), tmp_path / "store.h5", 1)


def test_real_data_that_do_not_pass_are_not_the_same_event(tmp_path):
    path = _excerpt(tmp_path / "one.h5", np.arange(300), source="h1_nature.h5")
    with h5py.File(path, "r+") as file:
        _with_truth_removed(file)
        passes = file["reco_event_features"][:, 6] == 1
    ingest(_h1(path), tmp_path / "store.h5", 1)
    assert store.open_store(tmp_path / "store.h5").pass_detector.sum() == passes.sum() < 299


def _virtual(path, *files):
    """The datasets of several files as virtual ones."""
    with h5py.File(path, "w") as whole:
        with h5py.File(files[0]) as first:
            shapes = {name: data.shape for name, data in first.items()}
        for name, shape in shapes.items():
            rows = shape[0]
            layout = h5py.VirtualLayout((rows * len(files), *shape[1:]), "f4")
            for k, file in enumerate(files):
                layout[k * rows : (k + 1) * rows] = h5py.VirtualSource(file.name, name, shape)
            whole.create_virtual_dataset(name, layout)
    return path


def test_sources_of_virtual_files_are_needed_and_recorded(tmp_path):
    """Else the events of a source that is gone would not pass, silently."""
    parts = [_excerpt(tmp_path / f"{k}.h5", np.arange(300 * k, 300 * k + 300)) for k in range(2)]
    whole = _virtual(tmp_path / "whole.h5", *parts)
    ingest(_h1(whole), tmp_path / "virtual.h5", 1)
    ingest(_h1(*parts), tmp_path / "files.h5", 1)
    assert store.checksum(tmp_path / "virtual.h5") == store.checksum(tmp_path / "files.h5")
    (file,) = store.provenance(tmp_path / "virtual.h5")["files"]
    hashes = [hashlib.sha256(part.read_bytes()).hexdigest() for part in parts]
    assert [source["sha256"] for source in file["sources"]] == hashes
    assert [source["name"] for source in file["sources"]] == [str(part) for part in parts]
    parts[1].unlink()
    with pytest.raises(
        InputError, match=r"whole\.h5: reco_particle_features: takes its content from 1\.h5, which"
    ):
        ingest(_h1(whole), tmp_path / "again.h5", 1)


def test_a_refused_event_is_named_by_file_entry_and_ids(tmp_path):
    """Not by the hash of run and event, which nobody could look up."""
    arrays = {"pt": np.array([[3.0, 1], [2, -1], [1, 0]]), "run": np.array([7, 7, 8])}
    np.savez(tmp_path / "a.npz", event=np.array([4, 5, 4]), **arrays)
    sample = registry.find("source", "npz").model_validate(
        {
            "source": "npz",
            "files": str(tmp_path / "a.npz"),
            "padded": ["pt"],
            "detector": {"particles": ["pt"]},
            "id": ["run", "event"],
        }
    )
    message = r"a\.npz: entry 1 \(run 7, event 5\): detector/particles: pt of its particle 1 is -1"
    with pytest.raises(InputError, match=message):
        ingest(sample, tmp_path / "store.h5", 1)
