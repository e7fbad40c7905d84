import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.sample import Events, Level
from omniflow.physics.dis import h1_file
from omniflow.physics.dis.kinematics import UNITS

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def excerpt():
    return Events.joined(list(h1_file.read([DATA / "h1_simulation.h5"], events=300)))


@pytest.fixture
def path(tmp_path, excerpt):
    store.write(excerpt, tmp_path / "events.h5", {"source": "test"}, 1, UNITS)
    return tmp_path / "events.h5"


def _plain(n=50, truth=True):
    """Return feature vectors without particles: detector level is particle level + 100."""
    x = np.random.default_rng(5).normal(size=(n, 2)).astype(np.float32)
    none, offsets = np.empty((0, 0), np.float32), np.zeros(n + 1, np.int64)
    return Events(
        event_id=np.arange(n, dtype=np.uint64) + 1000,
        weight=np.linspace(0.5, 1.5, n),
        pass_detector=np.ones(n, bool),
        pass_particle=np.ones(n, bool) if truth else None,
        detector=Level(x + 100, none, offsets, ("a", "b"), ()),
        particle=Level(x, none, offsets, ("a", "b"), ()) if truth else None,
    )


def _arrays(events):
    arrays = [events.event_id, events.weight, events.pass_detector, events.pass_particle]
    for level in (events.detector, events.particle):
        if level is not None:
            arrays += [level.event, level.particles, level.offsets]
    return [array for array in arrays if array is not None]


def _same(first, second):
    for one, other in zip(_arrays(first), _arrays(second), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_round_trip_up_to_the_order(path, excerpt):
    stored = store.open_store(path)
    _same(stored.take(np.argsort(stored.event_id)), excerpt)
    assert stored.detector.event_columns == ("q2", "y", "e_px", "e_py", "e_pz")
    assert stored.particle.particle_columns == ("pt", "eta", "phi", "charge")


def test_blocks_change_nothing(path, excerpt, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_BLOCK", 7)
    store.write(excerpt, tmp_path / "blocks.h5", {"source": "test"}, 1)
    _same(store.open_store(tmp_path / "blocks.h5"), store.open_store(path))
    assert store.verify(tmp_path / "blocks.h5") == store.verify(path)


def test_order_is_random_and_follows_the_seed(path, excerpt, tmp_path):
    first = np.array(store.open_store(path).event_id)
    assert abs(np.corrcoef(first, np.arange(len(first)))[0, 1]) < 0.25  # 4 standard deviations
    for seed, same in ((1, True), (2, False)):
        store.write(excerpt, tmp_path / "again.h5", {}, seed)
        again = np.array(store.open_store(tmp_path / "again.h5").event_id)
        assert np.array_equal(first, again) == same
        assert np.array_equal(np.sort(again), np.sort(first))


def test_arrays_are_memory_maps_that_cannot_be_changed(path):
    events = store.open_store(path)
    for array in _arrays(events):
        owner = array.base if isinstance(array.base, np.memmap) else array.base.base  # of a view
        assert isinstance(owner, np.memmap)
        assert array.flags.aligned
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_datasets_are_contiguous_and_jagged(path, excerpt):
    with h5py.File(path) as h5file:
        names = []
        h5file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        assert all(h5file[name].chunks is None for name in names)
        particles = h5file["particle/particles"]
        assert particles.shape == (int(excerpt.particle.counts.sum()), 4)
        assert json.loads(particles.attrs["columns"]) == ["pt", "eta", "phi", "charge"]
        assert json.loads(particles.attrs["units"]) == ["GeV", "1", "rad", "1"]
        assert json.loads(h5file["detector/event"].attrs["units"])[0] == "GeV^2"
        digest = hashlib.sha256(particles[:].tobytes()).hexdigest()
        assert particles.attrs["sha256"] == digest


@pytest.mark.parametrize("truth", [True, False])
def test_samples_without_particles(tmp_path, truth):
    path = tmp_path / "plain.h5"
    plain = _plain(truth=truth)
    store.write(plain, path, {}, 3)
    stored = store.open_store(path)
    store.verify(path)
    assert stored.detector.particles.shape == (0, 0)
    assert (stored.particle is None) == (stored.pass_particle is None) == (not truth)
    _same(stored.take(np.argsort(stored.event_id)), plain)
    if truth:
        np.testing.assert_allclose(stored.detector.event, stored.particle.event + 100, atol=1e-5)


def test_real_data_with_particles(tmp_path, excerpt):
    data = Events(
        excerpt.event_id, excerpt.weight, excerpt.pass_detector, None, excerpt.detector, None
    )
    store.write(data, tmp_path / "data.h5", {}, 3)
    stored = store.open_store(tmp_path / "data.h5")
    assert stored.particle is None
    _same(stored.take(np.argsort(stored.event_id)), data)
    store.verify(tmp_path / "data.h5")


def test_provenance_is_kept_and_completed(path):
    found = store.provenance(path)
    assert found["source"] == "test"
    assert found["shuffle_seed"] == 1
    assert found["events"] == 300
    assert {"omniflow", "created"} <= set(found)


@dataclass(frozen=True)
class _Interrupted(Level):
    def take(self, index):
        raise KeyboardInterrupt


def test_interrupted_writing_leaves_nothing(tmp_path, path, excerpt):
    before = path.read_bytes()
    level = excerpt.particle
    bad = Events(
        excerpt.event_id,
        excerpt.weight,
        excerpt.pass_detector,
        excerpt.pass_particle,
        excerpt.detector,
        _Interrupted(**vars(level)),
    )
    for name in ("new.h5", path.name):
        with pytest.raises(KeyboardInterrupt):
            store.write(bad, tmp_path / name, {}, 1)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_verify_names_the_changed_dataset(path):
    store.verify(path)
    with h5py.File(path, "r+") as h5file:
        h5file["detector/particles"][5, 1] += 1
    with pytest.raises(InputError, match=r"events\.h5: detector/particles: its checksum"):
        store.verify(path)
    with h5py.File(path, "r+") as h5file:
        dataset = h5file["detector/particles"]
        dataset.attrs["sha256"] = hashlib.sha256(dataset[:].tobytes()).hexdigest()
    with pytest.raises(InputError, match=r"events\.h5: attribute checksum: is not"):
        store.verify(path)


def _replace(name, change):
    def edit(h5file):
        values, attributes = h5file[name][:], dict(h5file[name].attrs)
        del h5file[name]
        dataset = h5file.create_dataset(name, data=change(values))
        dataset.attrs.update(attributes)

    return edit


def _set(key, value):
    return lambda h5file: h5file.attrs.__setitem__(key, value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_set("schema", "other"), "attribute schema: is 'other' where 'omniflow-events'"),
        (_set("schema_version", 2), "attribute schema_version: is 2 where 1 is needed; ingest"),
        (lambda h5file: h5file.attrs.__delitem__("schema"), "attribute schema: is None"),
        (lambda h5file: h5file.__delitem__("weight"), "weight: no such dataset"),
        (lambda h5file: h5file.__delitem__("pass_particle"), "pass_particle: no such dataset"),
        (lambda h5file: h5file.__delitem__("particle/offsets"), "particle/offsets: no such"),
        (_replace("weight", lambda v: v[:-1]), r"weight: has shape \(299,\) where \(300\)"),
        (_replace("detector/event", lambda v: v[:, 1:]), r"detector/event: has shape \(300, 4\)"),
        (_replace("particle/event", lambda v: v[1:]), r"particle/event: has shape \(299, 5\)"),
        (_replace("detector/particles", lambda v: v[1:]), "detector/offsets: run from 0 to"),
        (_replace("pass_detector", lambda v: v + 1), r"pass_detector, event \d+: .* is 2; flags"),
        (_replace("event_id", lambda v: v.astype(float)), "event_id: has type float64"),
        (
            lambda h5file: h5file["particle/event"].attrs.__setitem__("columns", "q2, y"),
            "particle/event: attribute columns: missing or not",
        ),
    ],
)
def test_open_store_refuses_what_it_does_not_know(path, edit, message):
    with h5py.File(path, "r+") as h5file:
        edit(h5file)
    with pytest.raises(InputError, match=rf"events\.h5: {message}"):
        store.open_store(path)


def test_a_store_is_checked_once_until_it_is_written_again(path, excerpt, monkeypatch):
    first = np.array(store.open_store(path).event_id)
    with monkeypatch.context() as patched:
        patched.setattr(store, "open_h5", None)
        np.testing.assert_array_equal(store.open_store(path).event_id, first)
    store.write(excerpt, path, {}, seed=5)
    again = np.array(store.open_store(path).event_id)
    np.testing.assert_array_equal(np.sort(again), np.sort(first))
    assert not np.array_equal(again, first)
    path.unlink()
    with pytest.raises(InputError, match=r"events\.h5: no such file"):
        store.open_store(path)


def test_truncated_stores_are_refused(path):
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(InputError, match=r"events\.h5: is truncated"):
        store.open_store(path)


def test_provenance_that_is_not_json_is_refused(path):
    with h5py.File(path, "r+") as h5file:
        h5file.attrs["provenance"] = "{"
    with pytest.raises(InputError, match=r"events\.h5: attribute provenance"):
        store.provenance(path)
