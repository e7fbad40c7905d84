import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from rich.console import Console

from omniflow.errors import ConfigError, InputError
from omniflow.events import store
from omniflow.events.ingest import ingest
from omniflow.events.sample import Events, Level
from omniflow.physics.dis.h1 import H1
from omniflow.physics.dis.pythia import Pythia
from omniflow.sources.description import Description
from omniflow.sources.inspect import describe, of_samples, render
from omniflow.sources.judgement import GRADES
from omniflow.sources.root import Root

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
    """By the names that expressions call columns by."""
    with h5py.File(tmp_path / "a.h5", "w") as h5file:
        h5file["group/[x]"] = np.zeros((3, 2), np.int32)
        h5file.attrs["who"] = "someone"
    found = describe(tmp_path / "a.h5")
    assert found.kind == "HDF5"
    assert found.events is None
    text = _text(found)
    for word in ("group.[x]", "(3, 2)", "int32", "someone", "3 entries"):
        assert word in text


TABLES = {
    "nano_dy.root": ("ROOT", "Events", 40, ("Jet_pt", "float[]")),
    "nano_dy.parquet": ("Parquet", "", 40, ("Jet_pt", "large_list<element: float not null>")),
    "pandas_fixed.h5": ("HDF5", "", 5, ("eta_l1", "float32 (5,)")),
    "pandas_data_columns.h5": ("HDF5", "", 5, None),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_files(name):
    kind, table, entries, column = TABLES[name]
    found = describe(SOURCE.parent / name)
    assert (found.kind, found.bytes) == (kind, (SOURCE.parent / name).stat().st_size)
    assert [(each.name, each.entries) for each in found.tables] == [(table, entries)]
    assert column is None or column in found.tables[0].columns
    text = _text(found)
    assert f"{entries} entries" in text
    assert column is None or column[0] in text


def test_npz_and_several_trees(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(4), jets=np.ones((4, 3), "f4"))
    (table,) = describe(tmp_path / "a.npz").tables
    assert (table.entries, table.columns) == (
        4,
        (("x", "float64 (4,)"), ("jets", "float32 (4, 3)")),
    )
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("Events", {"x": "f4"}).extend({"x": np.ones(3, "f4")})
        file.mkrntuple("folder/Runs", {"y": np.ones(2)})
        file["text"] = "not a tree"
    found = describe(tmp_path / "a.root").tables
    assert [(each.name, each.entries, each.columns) for each in found] == [
        ("Events", 3, (("x", "float"),)),
        ("folder/Runs", 2, (("y", "double"),)),
    ]


def test_files_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "a.h5").write_text("x")
    message = r"a\.h5: is neither an event store nor of a kind that a source reads \(root, parquet"
    with pytest.raises(InputError, match=message):
        describe(tmp_path / "a.h5")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.txt", "x")
    with pytest.raises(InputError, match=r"a\.zip: is neither"):
        describe(tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"b\.h5: no such file"):
        describe(tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("h1_nature.h5", r"cut: is truncated"),
        ("nano_dy.parquet", r"cut: cannot be opened as Parquet .* before its footer"),
        ("nano_dy.root", r"cut: (cannot be opened|Events cannot be read|.*cannot be read)"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, message):
    (tmp_path / "cut").write_bytes((SOURCE.parent / name).read_bytes()[:300])
    with pytest.raises(InputError, match=message):
        describe(tmp_path / "cut")


def test_sources_of_others_are_asked(monkeypatch, tmp_path):
    class Own:
        @classmethod
        def describe(cls, path):
            return Description(path, "my own")

    def find(room, name):
        if name != "own":
            raise ConfigError("fails when it is imported")
        return Own

    (tmp_path / "a.own").write_text("x")
    monkeypatch.setattr("omniflow.registry.names", lambda room: ["broken", "own"])
    monkeypatch.setattr("omniflow.registry.find", find)
    assert describe(tmp_path / "a.own").kind == "my own"


# -- samples of a configuration --------------------------------------------------------------


def _samples():
    jets = {"event": {"met": "MET_pt"}, "particles": {"pt": "Jet_pt", "phi": "Jet_phi"}}
    data = Root.model_validate(
        {
            "source": "root",
            "files": SOURCE.parent / "nano_dy.root",
            "detector": jets | {"selection": "MET_pt > 10"},
            "weight": "genWeight",
            "id": ["run", "luminosityBlock", "event"],
        }
    )
    return {
        "data": data,
        "simulation": H1(source="h1", files=(str(SOURCE),)),
        "background-other": Pythia(source="pythia", events=10, seed=1),
    }


def test_samples_are_described_as_they_would_be_read(raw):
    data, simulation, background = of_samples(_samples())
    assert data.kind.endswith("nano_dy.root, without particle level (real data)")
    assert data.events == 40
    rows = pq.read_table(SOURCE.parent / "nano_dy.parquet").to_pylist()
    passing = [row for row in rows if row["MET_pt"] > 10]
    selections = {row.name: row.events for row in data.selections}
    assert selections["pass detector level"] == len(passing) < 40
    assert selections["have a negative weight"] == sum(row["genWeight"] < 0 for row in rows) > 0
    (multiplicity,) = data.multiplicities
    assert multiplicity.maximum == max(len(row["Jet_pt"]) for row in passing)
    columns = {(row.dataset, row.name): row for row in data.columns}
    met = [row["MET_pt"] for row in passing]
    found = columns["detector/event", "met"]
    assert (found.minimum, found.maximum) == (min(met), max(met))
    assert found.mean == pytest.approx(np.mean(met))
    assert [r.grade for r in data.remarks] == sorted(
        (r.grade for r in data.remarks), key=GRADES.index
    )
    assert any("are negative" in r.text for r in data.remarks)
    assert simulation.events == 1000
    assert simulation.bytes == SOURCE.stat().st_size
    assert background.kind == "pythia sample (seed 1), generated when the study runs (--events)"
    assert background.events is None


def test_parts_change_nothing(monkeypatch):
    samples = {"data": _samples()["data"]}
    (whole,) = of_samples(samples)
    monkeypatch.setattr("omniflow.sources.readers.root.CHUNK_BYTES", 1000)
    assert len(list(samples["data"].read())) > 3
    (parts,) = of_samples(samples)
    assert parts.selections == whole.selections
    assert parts.multiplicities == whole.multiplicities
    for one, other in zip(parts.columns, whole.columns, strict=True):
        assert (one.name, one.minimum, one.maximum) == (other.name, other.minimum, other.maximum)
        assert one.mean == pytest.approx(other.mean)


def test_the_first_records_of_samples():
    samples = {name: sample for name, sample in _samples().items() if name != "background-other"}
    data, simulation = of_samples(samples, events=70)
    assert (data.events, simulation.events) == (40, 70)


def test_doubtful_and_refused_samples():
    sample = _samples()["data"]
    columns = {"event": {"phi": "MET_phi * 60", "met": "MET_pt"}}
    doubtful = sample.model_validate(sample.model_dump() | {"detector": columns})
    (found,) = of_samples({"data": doubtful})
    warning = next(r.text for r in found.remarks if r.text.startswith("phi"))
    assert warning.startswith("phi at detector level is ")
    assert "nano_dy.root:Events: entry " in warning
    assert "Verdict" in _text(found)
    assert f"doubtful: {warning[:30]}" in _text(found)
    twice = doubtful.model_validate(sample.model_dump() | {"id": "run"})
    with pytest.raises(
        InputError, match=r"root:Events: entry 0 \(run 1\) and .*entry 1 \(run 1\): have one id"
    ):
        list(of_samples({"data": twice}))
