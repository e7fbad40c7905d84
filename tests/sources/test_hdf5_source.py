import shutil
from pathlib import Path

import h5py
import mapped_files
import numpy as np
import pytest
from mapped_files import lists, read, refused, same
from pydantic import ValidationError

from omniflow.sources.readers import array_reader, arrays
from omniflow.sources.readers.arrays import Array, Layout

DATA = Path(__file__).parents[1] / "data"
X = {"event": ["x"]}


def written(path, **content):
    """A file with datasets; `group__name` lies in a group."""
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name.replace("__", "/")] = values
    return path


# -- names of columns ------------------------------------------------------------------------


def test_columns_of_arrays():
    record = np.dtype([("pt", "f4"), ("cov", "f8", (2,)), ("name", "S3"), ("mat", "f4", (2, 2))])
    found = [
        Array("x", (9,), np.dtype("f8")),
        Array("two", (9, 2), np.dtype("i4")),
        Array("three", (9, 5, 2), np.dtype("f4")),
        Array("four", (9, 5, 2, 2), np.dtype("f4")),
        Array("record", (9,), record),
        Array("tracks", (9, 5), record),
        Array("flat", (30, 2), np.dtype("f4")),
        Array("pt", (9, 5), np.dtype("f4")),
        Array("text", (9,), np.dtype("S3")),
        Array("objects", (9,), np.dtype("O")),
        Array("one", (), np.dtype("f8")),
        Array("two_1", (9,), np.dtype("f4")),
    ]
    layout = Layout(padded=frozenset(["pt"]), counts={"flat": "x"})
    columns = arrays.columns({array.name: array for array in found}, layout)
    usable = {n: (c.array, c.kind, c.field, c.index) for n, c in columns.items() if not c.refusal}
    assert usable == {
        "x": ("x", "event", None, ()),
        "two_0": ("two", "event", None, (0,)),
        "two_1": ("two_1", "event", None, ()),
        "three_0": ("three", "padded", None, (0,)),
        "three_1": ("three", "padded", None, (1,)),
        "record.pt": ("record", "event", "pt", ()),
        "record.cov_0": ("record", "event", "cov", (0,)),
        "record.cov_1": ("record", "event", "cov", (1,)),
        "tracks.pt": ("tracks", "padded", "pt", ()),
        "tracks.cov_0": ("tracks", "padded", "cov", (0,)),
        "tracks.cov_1": ("tracks", "padded", "cov", (1,)),
        "flat_0": ("flat", "flat", None, (0,)),
        "flat_1": ("flat", "flat", None, (1,)),
        "pt": ("pt", "padded", None, ()),
    }
    assert "two[0] to two[1] (or two_0 to two_1); where they are" in columns["two"].refusal
    for name in ("four", "text", "objects", "one", "record.name", "tracks.mat"):
        assert columns[name].refusal, name


@pytest.mark.parametrize(
    ("values", "padding", "wanted"),
    [
        ([[1, 0, np.nan]], 0.0, [[True, False, False]]),
        ([[1, 0, np.nan]], None, [[True, True, False]]),
        ([[1, 0, -9]], -9.0, [[True, True, False]]),
        ([[[1, 0], [0, 0], [np.nan, 0], [0, -2]]], 0.0, [[True, False, False, True]]),
    ],
)
def test_padding(values, padding, wanted):
    for dtype in ("f4", "f8"):
        assert arrays.real(np.array(values, dtype), padding).tolist() == wanted


def test_padding_of_structured_arrays():
    tracks = np.zeros((1, 3), [("pt", "f4"), ("name", "S2"), ("valid", "?")])
    tracks["pt"][0, 0] = 2
    tracks["valid"][0, 1] = True
    tracks["name"] = b"x"  # text does not count
    assert arrays.real(tracks, 0.0).tolist() == [[True, True, False]]


# -- layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [64 * 2**20, 1])
def test_padded_particles_by_hand(tmp_path, monkeypatch, chunk):
    """Event 1 has no particles, event 2 none at particle level; padding lies in between, too."""
    monkeypatch.setattr(array_reader, "CHUNK_BYTES", chunk)
    reco = np.zeros((4, 3, 2))
    reco[0, 0], reco[0, 2] = (5, 0.5), (7, -0.5)
    reco[2] = [(1, 0), (0, 1), (np.nan, 0)]
    reco[3, 1] = 9, 9
    gen = np.full((4, 2, 2), np.nan)
    gen[0], gen[1, 1], gen[3, 0] = [(6, 1), (8, 2)], (3, 3), (4, 4)
    path = written(
        tmp_path / "a.h5",
        reco=reco,
        gen=gen,
        info__met=[10.0, 20, 30, 40],
        info__pass=[1, 1, 1, 0],
        w=[1.0, 2, 3, 4],
    )
    events = read(
        "hdf5",
        path,
        detector={
            "particles": {"pt": "reco_0", "eta": "reco_1"},
            "event": {"met": "info.met"},
            "selection": 'column("info/pass") == 1',
        },
        particle={"particles": {"pt": "gen_0", "eta": "gen_1"}},
        weight="w",
    )
    assert events.weight.tolist() == [1, 2, 3, 4]
    assert events.event_id.tolist() == [0, 1, 2, 3]
    assert events.pass_detector.tolist() == [True, True, True, False]
    assert lists(events.detector, "pt") == [[5, 7], [], [1, 0], []]
    assert lists(events.detector, "eta") == [[0.5, -0.5], [], [0, 1], []]
    assert events.detector.event.tolist() == [[10], [20], [30], [0]]
    assert lists(events.particle, "pt") == [[6, 8], [3], [], [4]]
    assert lists(events.particle, "eta") == [[1, 2], [3], [], [4]]


def test_keep_sees_particles_only(tmp_path):
    values = np.zeros((2, 3, 2))
    values[0, :2], values[1, 0] = [(5, 1), (2, 1)], (1, 1)
    path = written(tmp_path / "a.h5", p=values)
    events = read(
        "hdf5", path, detector={"particles": {"pt": "p_0"}, "keep": "p_0 < 3 and count(p_0) == 2"}
    )
    assert lists(events.detector, "pt") == [[2], []]


def test_keras_arrays(tmp_path):
    """One array per quantity: a neutral particle at eta 0 is one, as its pt is not 0."""
    path = written(
        tmp_path / "a.h5",
        pt=[[3.0, 2, 0], [1, 0, 0]],
        eta=[[0.0, 1, 0], [0, 0, 0]],
        charge=[[0, -1, 0], [0, 0, 0]],
        gen_pt=[[4.0, 0, 0, 0], [1, 1, 1, 1]],
    )
    names = ["pt", "eta", "charge"]
    settings = {"detector": {"particles": names}, "padded": names}
    events = read("hdf5", path, **settings)
    assert lists(events.detector, "pt") == [[3, 2], [1]]
    assert lists(events.detector, "eta") == [[0, 1], [0]]
    assert lists(events.detector, "charge") == [[0, -1], [0]]
    one = read("hdf5", path, detector={"event": {"n": "count(eta)"}}, padded=["eta"])
    assert one.detector.event.tolist() == [[1], [0]]  # alone, 0 is padding
    two = read("hdf5", path, detector={"event": {"n": "count(eta)"}}, padded="eta", padding=None)
    assert two.detector.event.tolist() == [[3], [3]]
    refused(
        r"a\.h5: entry 0: detector\.particles: pt has 2 values and .* has 1; all columns",
        *("hdf5", path),
        detector={"particles": {"pt": "pt", "other": "gen_pt"}},
        padded=["pt", "gen_pt"],
    )


def test_padded_by_another_number(tmp_path):
    path = written(tmp_path / "a.h5", pt=[[3.0, -999], [0, 1]], m=[[-999, -999], [2, -999.0]])
    settings = {"detector": {"particles": ["pt", "m"]}, "padded": ["pt", "m"]}
    events = read("hdf5", path, padding=-999, **settings)
    assert lists(events.detector, "m") == [[-999], [2, -999]]
    refused(  # what is missing of one particle is no padding
        r"a\.h5: entry 0: detector\.particles\.m: is nan for its particle 0; leave such",
        *("hdf5", path),
        padding=-999,
        missing=[-999],
        **settings,
    )


@pytest.mark.parametrize("numbers", [[2, 0, 1], [0, 2, 2, 3], [2.0, 0, 1]])
@pytest.mark.parametrize("chunk", [64 * 2**20, 1])
def test_flat_with_counts_or_offsets(tmp_path, monkeypatch, numbers, chunk):
    monkeypatch.setattr(array_reader, "CHUNK_BYTES", chunk)
    path = written(
        tmp_path / "a.h5",
        n=numbers,
        jets__pt=[5.0, 4, 3],
        more=[[1, 2], [3, 4], [5, 6.0]],
        x=[7.0, 8, 9],
    )
    settings = {
        "detector": {"particles": {"pt": "jets.pt", "b": "more_1"}, "event": ["x"]},
        "counts": {"jets/pt": "n", "more": "n"},
    }
    events = read("hdf5", path, **settings)
    assert lists(events.detector, "pt") == [[5, 4], [], [3]]
    assert lists(events.detector, "b") == [[2, 4], [], [6]]
    part = read("hdf5", path, skip=2, **settings)
    assert (lists(part.detector, "pt"), part.detector.event.tolist()) == ([[3]], [[9]])
    assert part.event_id.tolist() == [2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"n": [1, 0, 1]}, r"counts of pt: 'n' adds up to 2 where pt has 3 rows; give the numbers"),
        ({"n": [4, 0, -1]}, r"counts of pt: 'n' adds up to 3"),
        ({"n": [0, 3, 2, 3]}, r"counts of pt: 'n' adds up to 8"),
        ({"n": [1.5, 0.5, 1]}, r"counts of pt: 'n' holds fractions"),
        ({"m": [2, 0, 1]}, r"a\.h5: has no column 'n'; did you mean m\?|has no column 'n'"),
        ({"n": [[2, 0, 1]]}, r"counts of pt: 'n' is no column of events"),
        ({"n": [2, 1]}, r"a\.h5: x has 3 records and pt has 2; all columns need one per event"),
    ],
)
def test_counts_that_do_not_fit(tmp_path, content, message):
    path = written(tmp_path / "a.h5", pt=[5.0, 4, 3], x=[7.0, 8, 9], **content)
    refused(
        message, "hdf5", path, detector={"particles": ["pt"], "event": ["x"]}, counts={"pt": "n"}
    )


def test_structured_datasets(tmp_path):
    """Fields are columns; (N, P) ones, as of jet taggers, are particles."""
    event = np.array([(1, 2.5), (2, -1)], [("nr", "u8"), ("met", "f4")])
    tracks = np.zeros((2, 3), [("pt", "f4"), ("valid", "?")])
    tracks[0, 0], tracks[0, 1], tracks[1, 0] = (4, True), (3, True), (2, True)
    path = written(tmp_path / "a.h5", event=event, tracks=tracks)
    settings = {"detector": {"particles": {"pt": "tracks.pt"}, "event": {"met": "event.met"}}}
    events = read("hdf5", path, id="event.nr", **settings)
    assert events.event_id.tolist() == [1, 2]
    assert events.detector.event.tolist() == [[2.5], [-1]]
    assert lists(events.detector, "pt") == [[4, 3], [2]]
    alone = read("hdf5", path, table="event", detector={"event": ["met"]}, id="nr")
    assert alone.detector.event.tolist() == [[2.5], [-1]]


def test_tables_are_groups(tmp_path):
    path = written(tmp_path / "a.h5", one__x=[1.0, 2], one__deep__y=[3.0, 4], two__x=[5.0, 6, 7])
    deep = read("hdf5", path, table="one", detector={"event": {"x": "x", "y": "deep.y"}})
    assert deep.detector.event.tolist() == [[1, 3], [2, 4]]
    inner = read("hdf5", path, table="one/deep", detector={"event": ["y"]})
    assert inner.detector.event.tolist() == [[3], [4]]
    same(inner, read("hdf5", path, table="one.deep", detector={"event": ["y"]}))
    refused(r"a\.h5: has no table 'onee'; did you mean 'one'\? it has one, one/deep, two$",
            "hdf5", path, table="onee", detector=X)  # fmt: skip


# -- real layouts ----------------------------------------------------------------------------


def test_h5_derivative_of_z_jets(tmp_path):
    """`reco`, `gen` (N, P, 13), `reco_jets`, `gen_jets` (N, 4); passes by the jet's pt."""
    rng = np.random.default_rng(3)
    content, counts = {}, {}
    for level in ("reco", "gen"):
        values = rng.normal(size=(40, 11, 13)).astype("f4")
        counts[level] = rng.integers(0, 12, 40)
        values[np.arange(11) >= counts[level][:, None]] = 0
        content |= {level: values, f"{level}_jets": rng.uniform(100, 300, (40, 4)).astype("f4")}
    path = written(tmp_path / "train.h5", **content)

    def level(name):
        return {
            "event": {"pt": f"{name}_jets_0", "mass": f"{name}_jets_3"},
            "particles": {"eta": f"{name}_0", "phi": f"{name}_1", "log_pt": f"{name}_2"},
            "selection": f"{name}_jets_0 > 150",
        }

    events = read("hdf5", path, detector=level("reco"), particle=level("gen"))
    passes = content["reco_jets"][:, 0] > 150
    assert np.array_equal(events.pass_detector, passes)
    assert np.array_equal(events.pass_particle, content["gen_jets"][:, 0] > 150)
    assert np.array_equal(events.particle.event, content["gen_jets"][:, [0, 3]])
    for name, passing, found in (
        ("reco", passes, events.detector),
        ("gen", np.ones(40, bool), events.particle),
    ):
        wanted = [
            values[:n].tolist() if ok else []
            for values, n, ok in zip(content[name][:, :, :3], counts[name], passing, strict=True)
        ]
        borders = zip(found.offsets, found.offsets[1:], strict=False)
        assert [found.particles[a:b].tolist() for a, b in borders] == wanted


FRAME = {
    "pT_ll": [200, 210, 220, 230, 240],
    "eta_l1": [0.5, -1, 1.5, -2, 2.5],
    "weights_nominal": [1, 2, 0.5, -1, 1],
    "weights_ensemble_0": [1.1, 2.1, 0.6, -0.9, 1.1],
    "Ntracks_trackj1": [3, 0, 7, 1, 2],
}
ATLAS = {
    "detector": {"event": ["pT_ll", "eta_l1", "Ntracks_trackj1"]},
    "weight": "weights_nominal",
    "id": "index",
}


@pytest.mark.parametrize("name", ["pandas_fixed.h5", "pandas_data_columns.h5"])
@pytest.mark.parametrize("table", [None, "df"])
def test_tables_of_pandas(name, table):
    """Files that pandas 2.3 wrote by to_hdf, as those of ATLAS's 24-dimensional measurement."""
    events = read("hdf5", DATA / name, table=table, **ATLAS)
    columns = [FRAME["pT_ll"], FRAME["eta_l1"], FRAME["Ntracks_trackj1"]]
    assert events.detector.event.T.tolist() == columns
    assert events.weight.tolist() == FRAME["weights_nominal"]
    assert events.event_id.tolist() == [1, 3, 5, 7, 9]
    part = read("hdf5", DATA / name, table=table, skip=1, events=2, **ATLAS)
    assert part.event_id.tolist() == [3, 5]


def test_table_of_pandas_with_pickled_names():
    refused(
        r"pandas_table\.h5:df: has no column 'Ntracks.*pickled, which is not read; write it with "
        r'to_hdf\(..., format="table", data_columns=True\), with format="fixed", or as Parquet',
        *("hdf5", DATA / "pandas_table.h5"),
        table="df",
        **ATLAS,
    )


def test_text_columns_of_pandas_are_skipped(tmp_path):
    path = tmp_path / "a.h5"
    shutil.copy(DATA / "pandas_fixed.h5", path)
    with h5py.File(path, "r+") as file:
        file["df"].attrs["nblocks"] = 4
        file["df/block3_items"] = np.array([b"name"])
        pickled = file.create_dataset("df/block3_values", (1,), h5py.vlen_dtype("u1"))
        pickled[0] = np.zeros(9, "u1")
    assert len(read("hdf5", path, **ATLAS)) == 5
    refused(
        r"a\.h5: name: holds Python objects", "hdf5", path, detector={"event": {"name": "name"}}
    )


def test_empty_table_of_pandas(tmp_path):
    """pandas writes one number, and its type, where a block is empty."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_group("df").attrs.update(
            {"pandas_type": b"frame", "axis0_variety": b"regular", "nblocks": 1}
        )
        file["df/block0_items"] = np.array([b"x"])
        for name in ("block0_values", "axis1"):
            file[f"df/{name}"] = np.zeros((1, 1))
            file[f"df/{name}"].attrs["shape"] = b"(I1\nI0\ntp0\n."
    refused(r"there are no records", "hdf5", path, detector=X)


def test_names_of_several_levels_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_group("df").attrs.update({"pandas_type": b"frame", "axis0_variety": b"multi"})
    message = (
        r"a\.h5: has no column 'x'; there are: none \(columns of a table .* several levels; give"
    )
    refused(message, "hdf5", path, detector=X)


def test_t2k_tables_are_joined(tmp_path):
    """Separate reco and truth tables; -1e6 stands for what is missing."""
    reco = np.array([(7, 1.5, 1.0), (3, -1e6, 2.0), (9, 2.5, 3.0)],
                    [("evt_id", "i8"), ("p", "f8"), ("w", "f8")])  # fmt: skip
    truth = np.array([(3, 30, 2.0), (7, 70, 1.0), (4, 40, 5.0)], reco.dtype)
    throws = np.arange(9.0).reshape(3, 3)
    path = written(tmp_path / "a.h5", reco=reco, truth=truth, throws=throws)
    settings = {
        "detector": {"table": "reco", "event": ["p"]},
        "particle": {"table": "truth", "event": ["p"], "selection": "p < 50"},
        "missing": [-1e6],
        "id": "evt_id",
        "weight": "w",
    }
    events = read("hdf5", path, **settings)
    assert events.event_id.tolist() == [3, 7, 4, 9]
    assert events.weight.tolist() == [2, 1, 5, 3]
    assert events.pass_detector.tolist() == [False, True, False, True]
    assert events.pass_particle.tolist() == [True, False, True, False]
    assert events.detector.event.tolist() == [[0], [1.5], [0], [2.5]]
    assert events.particle.event.tolist() == [[30], [70], [40], [0]]
    weights = read("hdf5", path, detector={"event": {"t": "throws_2"}}, weight="throws_1")
    assert weights.weight.tolist() == [1, 4, 7]


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": {"event": ["xx"]}}, r"a\.h5: has no column 'xx'; did you mean x\? there are"),
        (
            {"detector": {"event": {"x": "v"}}},
            r"a\.h5: v: has shape \(3, 2\): its columns are v\[0\] to v\[1\] \(or v_0 to v_1\)",
        ),
        ({"detector": {"event": {"x": "s"}}}, r"a\.h5: s: is of type \|S2; columns are numbers"),
        ({"detector": X, "weight": "k"}, r"a\.h5: x has 3 records and k has 4; all columns need"),
        ({"detector": {"particles": ["x"]}}, r"a\.h5: detector\.particles\.x: 'x' has one value"),
        (
            {"detector": X, "padded": "x"},
            r"a\.h5: padded: 'x' has shape \(3,\) where \(events, par",
        ),
    ],
)
def test_columns_that_do_not_fit(tmp_path, settings, message):
    path = written(
        tmp_path / "a.h5",
        x=[1.0, 2, 3],
        v=np.ones((3, 2)),
        s=np.array([b"aa"] * 3),
        k=np.ones(4),
    )
    refused(message, "hdf5", path, **settings)


def test_files_that_do_not_fit(tmp_path):
    path = written(tmp_path / "a.h5", x=np.arange(1000.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    refused(r"a\.h5: is truncated", "hdf5", path, detector=X)
    path.write_bytes(b"no such thing")
    refused(r"a\.h5: is not an HDF5 file", "hdf5", path, detector=X)
    refused(r"b\.h5: no such file", "hdf5", tmp_path / "b.h5", detector=X)


def test_damaged_content_is_named(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", data=np.arange(999.0), chunks=(100,), compression="gzip")
        offset = data.id.get_chunk_info(3).byte_offset
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = b"\0" * 20
    path.write_bytes(content)
    refused(
        r"a\.h5: x: cannot be read \(.*damaged or needs a compression", "hdf5", path, detector=X
    )


def test_what_lies_in_a_missing_file_is_named(tmp_path):
    written(tmp_path / "part.h5", x=np.arange(4.0))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource("part.h5", "x", (4,))
        file.create_virtual_dataset("x", layout)
    events = mapped_files.source("hdf5", tmp_path / "a.h5", detector=X)
    assert len(next(iter(events.read()))) == 4
    (file,) = events.provenance()["files"]
    assert [Path(each["name"]).name for each in file["sources"]] == ["part.h5"]
    (tmp_path / "part.h5").unlink()
    refused(r"a\.h5: /x: takes its content from part\.h5, which is", "hdf5", tmp_path / "a.h5",
            detector=X)  # fmt: skip


def test_names_of_arrays_that_nothing_uses_are_refused(tmp_path):
    for settings in ({"padded": ["ptt"]}, {"counts": {"ptt": "n"}}):
        with pytest.raises(ValidationError, match=r"no expression names 'ptt'"):
            mapped_files.source(
                "hdf5", tmp_path / "a.h5", detector={"particles": ["pt"]}, **settings
            )


def test_several_files_and_chunks_of_the_file(tmp_path, monkeypatch):
    """Skipped and chosen records over the borders of files and chunks, against whole arrays."""
    rng = np.random.default_rng(1)
    values, numbers = rng.normal(size=(60, 4, 2)), np.arange(60)
    values[rng.random((60, 4)) < 0.4] = 0
    for k in range(3):
        with h5py.File(tmp_path / f"{k}.h5", "w") as file:
            rows = slice(20 * k, 20 * k + 20)
            file.create_dataset("p", data=values[rows], chunks=(7, 4, 2), compression="gzip")
            file["n"] = numbers[rows]
    settings = {"detector": {"particles": {"a": "p_0", "b": "p_1"}, "event": {"n": "n"}}}
    whole = read("hdf5", tmp_path / "*.h5", **settings)
    keep = (values != 0).any(axis=2)
    assert np.array_equal(whole.detector.particles, values[keep].astype("f4"))
    assert np.array_equal(whole.detector.counts, keep.sum(axis=1))
    for chunk in (1, 300, 2000):
        monkeypatch.setattr(array_reader, "CHUNK_BYTES", chunk)
        same(read("hdf5", tmp_path / "*.h5", **settings), whole)
        for skip, count in ((0, 3), (5, 40), (19, 2), (20, 20), (39, 21)):
            part = read("hdf5", tmp_path / "*.h5", skip=skip, events=count, **settings)
            same(part, whole.take(np.arange(skip, skip + count)))
    refused(
        r"0\.h5 and others: records 50 to 69 are asked for but there are 60",
        *("hdf5", tmp_path / "*.h5"),
        skip=50,
        events=20,
        **settings,
    )


def test_types_of_arrays(tmp_path):
    path = written(tmp_path / "a.h5", x=np.ones((3, 2), "f4"), s=np.zeros(2, [("a", "i4")]))
    with mapped_files.source("hdf5", path, detector={"event": ["x_0"]}).reader(
        str(path), None
    ) as found:
        assert found.types() == {"s": "{a: int32} (2,)", "x": "float32 (3, 2)"}
        assert {"x_0", "x_1", "s.a"} <= set(found.names())
