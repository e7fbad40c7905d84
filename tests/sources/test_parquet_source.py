import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mapped_files import lists, read, refused, same, source

from omniflow.sources.readers import parquet

X = {"event": ["x"]}
JET = pa.struct([("pt", pa.float32()), ("eta", pa.float64())])
TABLE = pa.table(
    {
        "x": pa.array([1.5, None, 3, 4, 5], pa.float32()),
        "n": pa.array([1, 2, None, 4, 2**60], pa.int64()),
        "big": pa.array([1, 2, 3, 4, 2**63], pa.uint64()),
        "b": pa.array([True, False, True, None, True]),
        "pt": pa.array([[1.0, 2], [], None, [3], [4, None, 5]], pa.list_(pa.float32())),
        "large": pa.array([[1.0, 2], [], None, [3], [4]], pa.large_list(pa.int32())),
        "fixed": pa.array([[1.0, 2], None, [3, 4], [5, 6], [7, 8]], pa.list_(pa.float64(), 2)),
        "Jet": pa.array(
            [
                [{"pt": 1.0, "eta": -1.0}, {"pt": 2.0, "eta": -2.0}],
                [],
                None,
                [{"pt": 3.0, "eta": None}, None],
                [{"pt": 4.0, "eta": 0.5}],
            ],
            pa.list_(JET),
        ),
        "met": pa.array([{"sum": {"et": 1.0}, "phi": k} for k in range(4)] + [None]),
        "muon": pa.array([{"pt": [1.0, 2], "eta": [3.0, 4]}] * 4 + [None]),
        "text": ["a"] * 5,
        "category": pa.array(["a", "b"] * 2 + ["a"]).dictionary_encode(),
        "code": pa.array([7, 8, 7, 8, 7]).dictionary_encode(),
        "deep": pa.array([[[1.0]]] * 5),
        "when": pa.array([1] * 5, pa.timestamp("ns")),
        "nothing": pa.nulls(5),
        "money": pa.array([decimal.Decimal("1.5")] * 5, pa.decimal128(5, 2)),
        "half": pa.array(np.arange(5, dtype="f2")),
        "map": pa.array([[("k", 1.0)]] * 5, pa.map_(pa.string(), pa.float64())),
        "dotted.name": np.arange(5.0),
        "last": np.arange(5, dtype="i2"),
    }
)
NAN = np.nan


@pytest.fixture(params=[1, 2, 5])
def path(request, tmp_path):
    """The table, in groups of so many rows."""
    pq.write_table(TABLE, tmp_path / "a.parquet", row_group_size=request.param)
    return tmp_path / "a.parquet"


def values(path, name):
    """A column of a file as lists, NaN for what is missing."""
    with source("parquet", path, detector=X).reader(str(path), None) as found:
        parts = list(found.chunks([name], 0, found.count()))
    out = []
    for _, columns in parts:
        part = columns[name]
        if part.offsets is None:
            out += part.array.tolist()
        else:
            borders = zip(part.offsets, part.offsets[1:], strict=False)
            out += [part.array[a:b].tolist() for a, b in borders]
    return out


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("x", [1.5, NAN, 3, 4, 5]),
        ("n", [1, 2, NAN, 4, 2**60]),
        ("big", [1, 2, 3, 4, 2**63]),
        ("b", [1, 0, 1, NAN, 1]),
        ("pt", [[1, 2], [], [], [3], [4, NAN, 5]]),
        ("large", [[1, 2], [], [], [3], [4]]),
        ("fixed", [[1, 2], [], [3, 4], [5, 6], [7, 8]]),
        ("Jet.pt", [[1, 2], [], [], [3, NAN], [4]]),
        ("Jet.eta", [[-1, -2], [], [], [NAN, NAN], [0.5]]),
        ("met.sum.et", [1, 1, 1, 1, NAN]),
        ("met.phi", [0, 1, 2, 3, NAN]),
        ("muon.pt", [[1, 2]] * 4 + [[]]),
        ("muon.eta", [[3, 4]] * 4 + [[]]),
        ("code", [7, 8, 7, 8, 7]),
        ("nothing", [NAN] * 5),
        ("money", [1.5] * 5),
        ("half", [0, 1, 2, 3, 4]),
        ("dotted.name", [0, 1, 2, 3, 4]),
        ("last", [0, 1, 2, 3, 4]),
    ],
)
@pytest.mark.parametrize("chunk", [64 * 2**20, 1])
def test_columns_of_every_type(path, monkeypatch, name, wanted, chunk):
    monkeypatch.setattr(parquet, "CHUNK_BYTES", chunk)
    found = values(path, name)
    assert [np.size(each) for each in found] == [np.size(each) for each in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_whole_numbers_keep_their_type(path):
    assert values(path, "big")[-1] == 2**63
    events = read("parquet", path, detector={"event": ["last"]}, id="big")
    assert events.event_id.tolist() == [1, 2, 3, 4, 2**63]


def test_lists_of_records_are_collections(path):
    events = read(
        "parquet",
        path,
        detector={
            "event": {"n": "count(Jet.pt)"},
            "particles": {"pt": "Jet.pt", "eta": "Jet.eta"},
            "keep": "isfinite(Jet.eta)",
        },
    )
    assert lists(events.detector, "pt") == [[1, 2], [], [], [], [4]]
    assert lists(events.detector, "eta") == [[-1, -2], [], [], [], [0.5]]
    assert events.detector.event.tolist() == [[2], [0], [0], [2], [1]]


def test_nulls_are_missing(path):
    events = read("parquet", path, detector={"event": ["x", "n"]})
    assert events.pass_detector.tolist() == [True, False, False, True, True]
    refused(
        r"a\.parquet: entry 1: detector\.event\.x: 'x' is missing; make detector\.selection fail",
        *("parquet", path),
        detector=X | {"selection": "last >= 0"},
    )
    refused(
        r"a\.parquet: entry 4: detector\.particles\.pt: is nan for its particle 1; leave such",
        *("parquet", path),
        detector={"particles": ["pt"]},
    )


def test_records_over_borders_of_groups_and_files(tmp_path, monkeypatch):
    rng = np.random.default_rng(7)
    counts = rng.integers(0, 4, 60)
    flat = np.split(rng.normal(size=counts.sum()), np.cumsum(counts)[:-1])
    whole = pa.table({"x": np.arange(60.0), "pt": [each.tolist() for each in flat]})
    for k in range(3):
        pq.write_table(whole[20 * k : 20 * k + 20], tmp_path / f"{k}.parquet", row_group_size=7)
    settings = {"detector": {"event": ["x"], "particles": ["pt"]}}
    for chunk in (64 * 2**20, 200, 1):
        monkeypatch.setattr(parquet, "CHUNK_BYTES", chunk)
        events = read("parquet", tmp_path / "*.parquet", **settings)
        assert events.detector.event[:, 0].tolist() == list(range(60))
        assert np.array_equal(events.detector.particles[:, 0], np.float32(np.concatenate(flat)))
        assert events.detector.counts.tolist() == counts.tolist()
        for skip, number in ((0, 5), (7, 7), (6, 40), (20, 20), (59, 1)):
            part = read("parquet", tmp_path / "*.parquet", skip=skip, events=number, **settings)
            same(part, events.take(np.arange(skip, skip + number)))


def test_rows_before_the_first_are_not_read(tmp_path, monkeypatch):
    pq.write_table(TABLE, tmp_path / "a.parquet", row_group_size=1)
    asked = []
    true = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda self, size, groups, columns: (
            asked.append((groups, columns)) or true(self, size, groups, columns)
        ),
    )
    read("parquet", tmp_path / "a.parquet", skip=2, events=2, detector={"event": ["last"]})
    read("parquet", tmp_path / "a.parquet", skip=4, detector={"particles": {"pt": "Jet.pt"}})
    groups, columns = zip(*asked, strict=True)
    assert groups == ([2, 3], [4])
    assert columns[0] == ["last"]
    assert columns[1][0].startswith("Jet.list.")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("xx", r"a\.parquet: has no column 'xx'; did you mean x\?"),
        ("Jet.ptt", r"a\.parquet: has no column 'Jet\.ptt'; did you mean Jet\.pt"),
        ("text", r"a\.parquet: text: is of type string; columns are numbers, or lists of numbers"),
        ("category", r"a\.parquet: category: is of type dictionary<values=string"),
        ("deep", r"a\.parquet: deep: holds lists in lists \(2 levels"),
        ("when", r"a\.parquet: when: is of type timestamp\[ns\]"),
        ("map", r"a\.parquet: map: is of type map<string, double"),
        ("pt", r"a\.parquet: detector\.event\.c: 'column\(\"pt\"\)' has one value per particle"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, column, message):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    refused(message, "parquet", tmp_path / "a.parquet",
            detector={"event": {"c": f'column("{column}")'}})  # fmt: skip


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"x": np.random.default_rng(1).normal(size=20_000)})
    pq.write_table(table, path, compression="gzip")
    whole = path.read_bytes()
    footer = r"a\.parquet: cannot be opened as Parquet \(.*cut off before its footer: copy or write"
    path.write_bytes(whole[:-1000])
    refused(footer, "parquet", path, detector=X)
    path.write_bytes(b"x")
    refused(footer, "parquet", path, detector=X)
    path.write_bytes(whole[:5000] + b"\0" * 3000 + whole[8000:])
    refused(r"a\.parquet: rows from 0 on of x cannot be read \(.*damaged", "parquet", path,
            detector=X)  # fmt: skip
    refused(r"b\.parquet: no such file", "parquet", tmp_path / "b.parquet", detector=X)
    refused(r"is a folder; give its files, by a pattern", "parquet", tmp_path, detector=X)
    pq.write_table(table[:0], path)
    refused(r"there are no records", "parquet", path, detector=X)
    pq.write_table(table, path)
    refused(r"a\.parquet: Parquet files hold one table; leave `table` out", "parquet", path,
            detector=X, table="Events")  # fmt: skip


def test_types_of_columns(path):
    with source("parquet", path, detector=X).reader(str(path), None) as found:
        types = found.types()
    assert types["x"] == "float"
    assert types["Jet.pt"] == "list<item: float>"
    assert types["muon.pt"].startswith("list<")
