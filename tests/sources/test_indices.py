"""Arrays of a fixed size per event or per particle, by an index, in all mapped sources."""

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from mapped_files import lists, read, refused, same

from omniflow import config
from omniflow.errors import ConfigError
from omniflow.expressions import ExpressionError, parse

RNG = np.random.default_rng(7)
COUNTS = np.array([2, 0, 3, 1, 0, 4])
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])
EVENTS, JETS = len(COUNTS), COUNTS.sum()
TAU = RNG.uniform(1, 2, (JETS, 5)).astype("f4")
COV = RNG.normal(size=(JETS, 2, 3)).astype("f4")
WEIGHTS = RNG.uniform(1, 2, (EVENTS, 103)).astype("f4")
MATRIX = RNG.uniform(1, 2, (EVENTS, 2, 3)).astype("f4")


def jagged(flat):
    """Numbers (M, ...) of jets, as lists of events."""
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(OFFSETS), ak.from_numpy(
        flat, regulararray=True).layout))  # fmt: skip


def tree(path):
    """A TTree as ROOT writes members of classes: `Jet.Tau[5]`, in the folder `Jet`."""
    flat = {"Jet/Jet.Tau[5]": TAU, "Jet/Jet.Cov[2][3]": COV}
    # uproot takes the lengths from the name, and lists of numbers as they lie in the file.
    content = {
        key: ak.unflatten(value.ravel(), COUNTS * value[0].size) for key, value in flat.items()
    }
    content |= {"weights": WEIGHTS, "m": MATRIX, "x": WEIGHTS[:, 0], "Jet.n": jagged(TAU[:, 0])}
    types = {
        key: value.type if isinstance(value, ak.Array) else np.dtype(("f4", value.shape[1:]))
        for key, value in content.items()
    }
    with uproot.recreate(path) as file:
        file.mktree("Events", types, counter_name=lambda name: f"n{abs(hash(name))}").extend(
            content
        )
    return "root"


def ntuple(path):
    arrays = {"weights": WEIGHTS, "m": MATRIX}
    content = {name: ak.from_numpy(array, regulararray=True) for name, array in arrays.items()}
    jets = {"Tau": jagged(TAU), "Cov": jagged(COV), "n": jagged(TAU[:, 0])}
    content |= {"x": WEIGHTS[:, 0], "Jet": ak.zip(jets, depth_limit=2)}
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", content)
    return "root"


def parquet(path):
    def fixed(array):
        kind, flat = pa.float32(), pa.array(array.ravel())
        for size in reversed(array.shape[1:]):
            kind = pa.list_(kind, size)
        for size in reversed(array.shape[1:]):
            flat = pa.FixedSizeListArray.from_arrays(flat, size)
        assert flat.type == kind
        return flat

    parts = [fixed(TAU), fixed(COV), pa.array(TAU[:, 0])]
    records = pa.StructArray.from_arrays(parts, ["Tau", "Cov", "n"])
    jets = pa.ListArray.from_arrays(pa.array(OFFSETS, pa.int32()), records)
    columns = {"weights": fixed(WEIGHTS), "m": fixed(MATRIX), "x": WEIGHTS[:, 0], "Jet": jets}
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return "parquet"


def padded(flat):
    """Numbers (M, ...) of jets, padded with zeros."""
    out = np.zeros((EVENTS, 4, *flat.shape[1:]), flat.dtype)
    for at, count in enumerate(COUNTS):
        out[at, :count] = flat[OFFSETS[at] : OFFSETS[at + 1]]
    return out


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["weights"], file["m"], file["x"] = WEIGHTS, MATRIX, WEIGHTS[:, 0]
        file["Jet/Tau"], file["Jet/Cov"] = padded(TAU), padded(COV)
    return "hdf5"


def npz(path):
    with open(path, "wb") as file:
        jets = {"Jet.Tau": padded(TAU), "Jet.Cov": padded(COV)}
        np.savez(file, weights=WEIGHTS, m=MATRIX, x=WEIGHTS[:, 0], **jets)
    return "npz"


KINDS = {kind.__name__: kind for kind in (tree, ntuple, parquet, hdf5, npz)}


@pytest.fixture(params=KINDS)
def file(request, tmp_path):
    path = tmp_path / "events"
    return KINDS[request.param](path), path


@pytest.mark.parametrize("chunk", [60, 2**20])
def test_numbers_by_index(file, monkeypatch, chunk):
    kind, path = file
    for module in ("reader", "root", "parquet", "array_reader"):
        monkeypatch.setattr(f"omniflow.sources.readers.{module}.CHUNK_BYTES", chunk)
    level = {
        "event": {"w": "weights[102] / weights[0]", "m": "m[1][2]", "n": "count(Jet.Tau[0])"},
        "particles": {
            "tau": "Jet.Tau[1]",
            "ratio": "Jet.Tau[4] / Jet.Tau[0]",
            "c": "Jet.Cov[1][0]",
        },
        "keep": "Jet.Tau[1] > 1.2",
        "selection": "weights[5] > 0 and any(Jet.Tau[0] > 0) or x > 0",
    }
    found = read(kind, path, detector=level, weight="weights[7]")
    assert found.weight.tolist() == WEIGHTS[:, 7].tolist()
    ratio = (WEIGHTS[:, 102].astype(float) / WEIGHTS[:, 0]).astype("f4")
    wanted = np.stack([ratio, MATRIX[:, 1, 2], COUNTS], axis=1)
    assert np.array_equal(found.detector.event, wanted.astype("f4"))
    keep = TAU[:, 1] > 1.2
    rows = np.stack([TAU[:, 1], TAU[:, 4].astype(float) / TAU[:, 0], COV[:, 1, 0]], axis=1)
    assert np.array_equal(found.detector.particles, rows[keep].astype("f4"))
    owner = np.repeat(np.arange(EVENTS), COUNTS)[keep]
    assert found.detector.counts.tolist() == np.bincount(owner, minlength=EVENTS).tolist()
    part = read(kind, path, detector=level, weight="weights[7]", skip=2, events=3)
    same(part, found.take(np.arange(2, 5)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights[103]", r"weights\[103\]: holds 103 numbers per event, which are counted from 0: "
                         r"weights\[0\] to weights\[102\]"),
        ("weights[-1]", r"weights\[-1\]: holds 103 numbers per event, which are counted from 0"),
        ("weights[0][0]", r"weights\[0\]\[0\]: holds 103 numbers per event, so that there are no "
                          r"more than 1 indices: weights\[0\] to weights\[102\]"),
        ("m[2][0]", r"m\[2\]\[0\]: holds 2 x 3 numbers per .*: m\[0\]\[0\] to m\[1\]\[2\]"),
        ("x[0]", r"x\[0\]: is one number per event, which has no index; leave it out"),
        ("y[0]", r"has no column 'y'"),
        ("Weights[0]", r"has no column 'Weights'; did you mean weights"),
        ("max(Jet.Tau[5])", r"Jet\.Tau\[5\]: holds 5 numbers per particle, which are counted from "
                            r"0: Jet\.Tau\[0\] to Jet\.Tau\[4\]"),
        ("max(Jet.Tau[-1])", r"Jet\.Tau\[-1\]: holds 5 numbers per particle"),
        ("max(Jet.Cov[1])", r"Jet\.Cov\[1\]: holds 2 x 3 numbers per particle: take one by its "
                            r"index, Jet\.Cov\[0\]\[0\] to Jet\.Cov\[1\]\[2\]"),
        ("max(Jet.Cov[0][3])", r"Jet\.Cov\[0\]\[3\]: holds 2 x 3 numbers per particle"),
        ("max(Jet.Tau)", r"Jet\.Tau: (holds 5 numbers per particle: take one by its index, |has "
                         r"shape \(6, 4, 5\): its columns are )Jet\.Tau\[0\] to Jet\.Tau\[4\]"),
        ("max(Jet.Tau[Jet.Tau > 1])", r"Jet\.Tau: .* Jet\.Tau\[0\] to Jet\.Tau\[4\]"),
    ],
)  # fmt: skip
def test_indices_that_are_none(file, text, message):
    kind, path = file
    refused(rf"events.*: {message}", kind, path, detector={"event": {"x": text}})


def test_one_particle_is_no_index(tmp_path):
    for kind in (tree, ntuple, parquet):
        name = kind(tmp_path / "events")
        refused(
            r"Jet\.n\[1\]: is a list of particles, as many as the event has, and no array of a "
            r"fixed size; one of them is nth\(Jet\.n, 1\)",
            name, tmp_path / "events", detector={"event": {"x": "Jet.n[1]"}},
        )  # fmt: skip


def test_arrays_of_events_may_be_particles(tmp_path):
    for kind in (tree, ntuple, parquet):
        name = kind(tmp_path / "events")
        found = read(
            name,
            tmp_path / "events",
            detector={"particles": {"w": "weights", "x": "x + 0 * weights"}},
        )
        assert np.array_equal(found.detector.particles[:, 0], WEIGHTS.ravel())


def test_names_in_quotes(tmp_path):
    kind = hdf5(tmp_path / "events")
    level = {"particles": {"a": 'column("Jet/Tau")[3]', "b": "Jet.Tau_3"}}
    found = read(kind, tmp_path / "events", detector=level).detector.particles
    assert found[:, 0].tolist() == found[:, 1].tolist() == TAU[:, 3].tolist()
    kind = tree(tmp_path / "events")
    level = {"particles": {"a": 'column("Jet/Jet.Tau")[3]'}}
    assert lists(read(kind, tmp_path / "events", detector=level).detector, "a")[3] == [TAU[5, 3]]
    refused(
        r"Jet\.Tau\[5\]: holds 5 numbers per particle, which are counted from 0",
        kind, tmp_path / "events", detector={"particles": {"a": 'column("Jet.Tau[5]")'}},
    )  # fmt: skip


def test_flat_arrays_and_structured_ones(tmp_path):
    kind = np.dtype([("tau", "f4", 5), ("pt", "f4")])
    jets = np.zeros((EVENTS, 4), kind)
    jets["tau"], jets["pt"] = padded(TAU), padded(TAU[:, 0])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["flat/tau"], file["n"], file["jets"] = TAU, COUNTS, jets
    level = {"particles": {"a": "flat.tau[2]", "b": "flat.tau_2", "c": "jets.tau[2]"}}
    counts = {"flat/tau": "n"}
    found = read("hdf5", tmp_path / "a.h5", detector=level, counts=counts).detector.particles
    assert found.tolist() == np.repeat(TAU[:, 2:3], 3, axis=1).tolist()
    message = r"a\.h5: flat\.tau\[5\]: holds 5 numbers per particle"
    level = {"particles": {"a": "flat.tau[5]"}}
    refused(message, "hdf5", tmp_path / "a.h5", detector=level, counts=counts)
    # A place of padding is no particle: of declared ones there is no first by an index.
    refused(
        r"jets\.pt\[0\]: is a list of particles.* nth\(jets\.pt, 0\)",
        "hdf5", tmp_path / "a.h5", detector={"event": {"a": "jets.pt[0]"}},
    )  # fmt: skip


def test_missing_values_in_arrays(tmp_path):
    column = pa.array([[1.0, None], None, [-9.0, 4.0]], pa.list_(pa.float64(), 2))
    pq.write_table(pa.table({"a": column}), tmp_path / "a.parquet")
    level = {"event": {"a": "where(isnan(a[0]), -1, a[0])", "b": "where(isnan(a[1]), -1, a[1])"}}
    found = read("parquet", tmp_path / "a.parquet", detector=level, missing=[-9])
    assert found.detector.event.tolist() == [[1, -1], [-1, -1], [-1, 4]]


def test_arrays_of_friends(tmp_path):
    kind = parquet(tmp_path / "events")
    ids = np.arange(EVENTS)
    pq.write_table(pa.table({"id": ids}), tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "events").append_column("id", pa.array(ids))
    pq.write_table(table.take(ids[::-1]), tmp_path / "b.parquet")
    friends = [{"files": tmp_path / "b.parquet"}]
    level = {"event": {"w": "weights[3]"}, "particles": {"t": "Jet.Tau[2]"}}
    found = read(kind, tmp_path / "a.parquet", detector=level, friends=friends, id="id")
    assert found.detector.event[:, 0].tolist() == WEIGHTS[:, 3].tolist()
    assert found.detector.particles[:, 0].tolist() == TAU[:, 2].tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tau[1.5]", "takes a condition"),
        ("sqrt(tau)[0]", "an index stands right behind a name"),
        ("tau[tau > 1][0]", "an index stands right behind a name"),
        ("pi[0]", "takes a condition"),
        ("tau[0, 1]", "a list separated by commas"),
        ("tau[0:2]", "a slice"),
        ("tau[]", "not an expression"),
        ("_tau[0]", "names that begin with _"),
        ("column(1)[0]", "column takes one name in quotes"),
    ],
)
def test_what_is_no_index(text, message):
    with pytest.raises(ExpressionError, match=message):
        parse(text, indices=True)


def test_names_have_their_indices():
    names = {"Jet.Tau[0]", "a/b[1][-2]", "w[-3]", "x", "Jet.Tau[4]"}
    text = 'Jet.Tau[0][x > 1] + column("a/b")[1][-2] * w[-3] - Jet.Tau[4]'
    assert parse(text, indices=True).names == names


def test_columns_of_samples_have_none(tmp_path):
    kind = parquet(tmp_path / "events")
    sample = {"source": kind, "files": str(tmp_path / "events"), "detector": {"event": ["x"]}}
    section = {
        "study": {"name": "a"},
        "samples": {"data": sample, "simulation": sample},
        "methods": {"none": {}},
        "observables": {"define": {"first": {"expression": "x[0]"}}},
    }
    with pytest.raises(ConfigError, match=r"write nth\(x, 0\) for one particle"):
        config.validate(section)
