"""Bombs: small files that ask for more time, memory or depth than there is."""

import struct
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import seeds
from test_damaged_files import SECONDS, Reading

X = {"detector": {"event": ["x"]}}


@pytest.fixture(scope="module")
def reading():
    process = Reading()
    yield process
    process.close()


@pytest.fixture
def refused(reading, tmp_path):
    """Refuses a file with a message, soon and within the memory of `reading`."""

    def refused(message, reader, path, *arguments, **options):
        before = sorted(tmp_path.iterdir())
        found = reading(reader, *arguments, str(path), **options)
        assert found["end"] == "refused", found["text"]
        assert message in found["text"], found["text"]
        assert found["seconds"] < SECONDS
        assert sorted(tmp_path.iterdir()) == before

    return refused


def _npz(path, header, content, method=zipfile.ZIP_DEFLATED):
    """An npz file of one array with any header."""
    text = header.encode("latin1") + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text))
    with (
        zipfile.ZipFile(path, "w", method, compresslevel=1) as file,
        file.open("x.npy", "w") as member,
    ):
        member.write(start + text)
        for block in content:
            member.write(block)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (1, 9223372036854775807, 4), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 2000 + ")" * 2000 + ", }",
    ],
)
def test_shapes_that_npz_files_do_not_hold(tmp_path, refused, header):
    path = tmp_path / "x.npz"
    _npz(path, header, [bytes(800)])
    refused("x", "source", path, "npz", **X)


def test_zip_bomb_stored_column_by_column(tmp_path, refused):
    """Megabytes that would be a gigabyte, held as a whole."""
    path, rows = tmp_path / "x.npz", 2**26
    header = f"{{'descr': '<f8', 'fortran_order': True, 'shape': ({rows}, 3), }}"
    _npz(path, header, (bytes(2**24) for _ in range(rows * 24 // 2**24)))
    assert path.stat().st_size < 2**23
    refused("ascontiguousarray", "source", path, "npz", detector={"event": ["x_1"]})


def test_zip_member_larger_than_it_says(tmp_path, refused):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros(100_000))
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<I", 800_128))
    for _ in range(2):
        at = content.index(struct.pack("<I", 800_128), at)
        content[at : at + 4] = struct.pack("<I", 528)
    path.write_bytes(content)
    refused("x", "source", path, "npz", **X)


def test_hdf5_that_declares_more_than_it_holds(tmp_path, refused):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (10**15,), "f8", chunks=(1000,))
        file["x"][:1000] = 1
    refused("never written", "source", path, "hdf5", **X)


def test_hdf5_with_a_chunk_of_gigabytes(tmp_path, refused):
    path, size = tmp_path / "x.h5", 2**28
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (size,), "f8", chunks=(size,), compression="gzip")
        file["x"].id.write_direct_chunk((0,), b"\x00" * 1000)
    refused("h5repack", "source", path, "hdf5", **X)


def test_hdf5_groups_that_hold_themselves(tmp_path, refused):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        inner = file.create_group("a/b")
        for name in "xyz":
            inner[name] = file["a"]
    refused("hold themselves", "source", path, "hdf5", **X)


def test_hdf5_links_in_circles(tmp_path, refused):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = h5py.SoftLink("/y")
        file["y"] = h5py.SoftLink("/x")
    refused("x", "source", path, "hdf5", **X)


def test_tables_of_pandas_with_blocks_without_end(tmp_path, refused):
    path = tmp_path / "x.h5"
    path.write_bytes((seeds.DATA / "pandas_fixed.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        table = file[next(iter(file))]
        table.attrs["nblocks"] = 2**60
    refused("'x'", "source", path, "hdf5", **X)


def test_equal_numbers_without_end_are_read_in_parts(tmp_path, reading):
    """50 million equal numbers take some kilobytes of a Parquet file; they are no error."""
    from omniflow.sources.readers.parquet import ParquetReader

    path, rows = tmp_path / "x.parquet", 50_000_000
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([1.5]))
    pq.write_table(pa.table({"x": column.cast(pa.float64())}), path, row_group_size=rows)
    assert path.stat().st_size < 1e6
    with ParquetReader(str(path), None) as reader:
        size, _ = next(iter(reader.chunks(["x"], 0, rows)))
    assert size < 5_000_000


_LAUGHS = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))
_MERGES = "\n".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12))
_PAIRS = "\n".join(
    f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}, z: *a{i - 1}}}" for i in range(1, 20)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a0: &a0 [lol]\n{_LAUGHS}\n", "values"),
        (f"a0: &a0 {{b: 1}}\n{_MERGES}\n", "values"),
        (f"a0: &a0 {{b: 1}}\n{_PAIRS}\n", "values"),
        (f"study: {{name: x}}\na0: &a0 [lol]\n{_LAUGHS}\nsamples: *a11\n", "values"),
        ("study: &a [*a]\n", "values"),
        ("study: &a {name: *a}\n", "values"),
        ("study: " + "[" * 100_000, "not valid YAML"),
        ("study: " + "{a: " * 100_000, "not valid YAML"),
        ("? " * 50_000, "not valid YAML"),
        ("study: " + "9" * 100_000, "not of type int"),
        ("study: " + ":".join(["59"] * 20_000), "not of type int"),
        ("study: !!python/object/apply:os.system [echo]\n", "not valid YAML"),
        ("study: !!binary " + "A" * 7, "not valid YAML"),
        ("study: {output: !!timestamp x}\n", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("%YAML 9.9\n---\nstudy: {}\n", "not valid YAML"),
        ("--- {}\n--- {}\n", "not valid YAML"),
        ("", "must be a mapping"),
    ],
)
def test_configurations(tmp_path, refused, text, message):
    path = tmp_path / "bomb.yaml"
    path.write_text(text, encoding="utf-8")
    refused(message, "configuration", path)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"networks": ' + b"9" * 100_000 + b"}",
        b'{"networks": [{"network": {}}]}',
        b'{"networks": {"a": 1}}',
        b'{"schema": "omniflow-axes", "version": 1, "axes": [{"name": []}]}',
        b'{"axes": NaN}',
        b"\xff\xfe{}",
        b"null",
        b'"text"',
    ],
)
@pytest.mark.parametrize("kind", ["histories", "axes.json", "scaling", "study.json"])
def test_json(tmp_path_factory, study, refused, kind, content):
    pattern, part = seeds.STUDY[kind]
    path = min(study.glob(pattern))
    sound = path.read_bytes()
    path.write_bytes(content)
    try:
        refused("", "study", study, part)
    finally:
        path.write_bytes(sound)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "study"
    seeds.study(folder)
    return folder


def test_reading_tells_faults(tmp_path, reading):
    """What is no OmniflowError is none, and a process that dies is noticed."""
    assert reading("source", "unknown", "x")["end"] == "refused"
    assert reading("store", ["x"])["end"] == "fault"
