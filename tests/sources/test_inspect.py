from pathlib import Path

import h5py
import numpy as np
import pytest
from rich.console import Console

from omniflow.errors import InputError
from omniflow.events import store
from omniflow.events.ingest import ingest
from omniflow.events.sample import Events, Level
from omniflow.sources.h1 import H1
from omniflow.sources.inspect import describe, render

SOURCE = Path(__file__).parents[1] / "data" / "h1_nature.h5"


def _text(description):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render(description))
    return capture.get()


@pytest.fixture(scope="module")
def raw():
    with h5py.File(SOURCE) as h5file:
        return {name: data[:] for name, data in h5file.items()}


@pytest.fixture(params=["store", "h1"])
def path(request, tmp_path):
    if request.param == "h1":
        return SOURCE
    ingest(H1(source="h1", files=(str(SOURCE),)), tmp_path / "store.h5", 1)
    return tmp_path / "store.h5"


def test_numbers_are_those_of_the_arrays(path, raw):
    found = describe(path)
    detector = raw["reco_event_features"][:, 6] == 1
    particle = raw["gen_event_features"][:, 5] == 1
    assert found.events == 1000
    assert [row.events for row in found.selections] == [
        1000,
        detector.sum(),
        particle.sum(),
        (detector & particle).sum(),
        (particle & ~detector).sum(),
        (detector & ~particle).sum(),
    ]
    assert found.selections[1].fraction == pytest.approx(detector.mean())
    assert found.selections[1].sum_of_weights == pytest.approx(detector.sum())  # all weights are 1

    counts = (raw["gen_particle_features"][:, :, 0] > 0).sum(axis=1)
    row = next(row for row in found.multiplicities if row.level == "particle")
    assert (row.mean, row.maximum) == (pytest.approx(counts.mean()), counts.max())
    assert row.quantile_99 == pytest.approx(np.quantile(counts, 0.99))
    counts = (raw["reco_particle_features"][detector][:, :, 0] > 0).sum(axis=1)
    row = next(row for row in found.multiplicities if row.level == "detector")
    assert (row.mean, row.maximum) == (pytest.approx(counts.mean()), counts.max())

    columns = {(row.dataset, row.name): row for row in found.columns}
    q2 = raw["reco_event_features"][detector, 0]
    row = columns["detector/event", "q2"]
    assert (row.minimum, row.maximum, row.unit) == (q2.min(), q2.max(), "GeV^2")
    assert row.mean == pytest.approx(q2.mean(dtype=float))
    pt = raw["gen_particle_features"][:, :, 0]
    row = columns["particle/particles", "pt"]
    assert (row.minimum, row.maximum) == (pt[pt > 0].min(), pt.max())


def test_kind_and_provenance_are_shown(path):
    found = describe(path)
    text = _text(found)
    if path == SOURCE:
        assert found.kind == "padded HDF5 of the H1 layout"
        assert "Vincia:ewMode" in text
    else:
        assert found.kind == "event store"
        assert found.provenance["files"][0]["name"] == str(SOURCE)
    for word in ("1,000 events", "pass detector level", "misses", "GeV^2", "Provenance"):
        assert word in text


def test_real_data_without_particles(tmp_path):
    x = np.array([[1.0], [2.0], [6.0]], np.float32)
    level = Level(x, np.empty((0, 0), np.float32), np.zeros(4, np.int64), ("x",), ())
    weight = np.array([1.0, 2.0, 3.0])
    events = Events(np.arange(3, dtype=np.uint64), weight, np.ones(3, bool), None, level, None)
    store.write(events, tmp_path / "a.h5", {"note": "[bold] is no markup"}, 1)
    found = describe(tmp_path / "a.h5")
    assert found.kind == "event store, without particle level (real data)"
    assert [(row.name, row.events, row.sum_of_weights) for row in found.selections] == [
        ("all records", 3, 6),
        ("pass detector level", 3, 6),
    ]
    assert found.multiplicities == ()
    assert (found.columns[1].minimum, found.columns[1].mean, found.columns[1].maximum) == (1, 3, 6)
    assert "[bold] is no markup" in _text(found)


def test_other_hdf5_is_listed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5file:
        h5file["group/[x]"] = np.zeros((3, 2), np.int32)
        h5file.attrs["who"] = "someone"
    found = describe(tmp_path / "a.h5")
    assert found.kind == "HDF5 in no layout of events"
    assert found.events is None
    text = _text(found)
    for word in ("group/[x]", "(3, 2)", "int32", "someone"):
        assert word in text


def test_files_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "a.h5").write_text("x")
    with pytest.raises(InputError, match=r"a\.h5: is not an HDF5 file"):
        describe(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"b\.h5: no such file"):
        describe(tmp_path / "b.h5")
