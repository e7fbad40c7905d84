import ast
from pathlib import Path

import h5py
import numpy as np
import pytest

import omniflow
from omniflow import hdf5
from omniflow.errors import InputError


def test_create_h5_leaves_nothing_after_an_exception(tmp_path):
    with pytest.raises(KeyboardInterrupt), hdf5.create_h5(tmp_path / "a.h5") as h5file:  # noqa: PT012
        h5file["x"] = np.arange(10)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def _h5(path, **datasets):
    with hdf5.create_h5(path) as h5file:
        for name, value in datasets.items():
            h5file[name] = value
    return path


def test_open_h5_names_missing_files_and_folders(tmp_path):
    with (
        pytest.raises(InputError, match=r"none\.h5: no such file"),
        hdf5.open_h5(tmp_path / "none.h5"),
    ):
        pass
    with pytest.raises(InputError, match="is not a file"), hdf5.open_h5(tmp_path):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"event,weight\n1,1\n" * 99, "is not an HDF5 file")],
)
def test_open_h5_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.h5: {message}"), hdf5.open_h5(path):
        pass


@pytest.mark.parametrize("share", [0.999, 0.5, 0.1])
def test_open_h5_refuses_truncated_files(tmp_path, share):
    path = _h5(tmp_path / "a.h5", x=np.arange(10_000))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"a\.h5: is truncated"), hdf5.open_h5(path):
        pass


def test_open_h5_lets_errors_of_the_body_through(tmp_path):
    path = _h5(tmp_path / "a.h5", x=[1])
    with pytest.raises(OSError, match="mine"), hdf5.open_h5(path):
        raise OSError("mine")


def test_read_dataset_checks_name_shape_and_type(tmp_path):
    with hdf5.open_h5(_h5(tmp_path / "a.h5", x=np.eye(3), group=h5py.Empty("f"))) as h5file:
        np.testing.assert_array_equal(hdf5.read_dataset(h5file, "x", (None, 3), "f"), np.eye(3))
        np.testing.assert_array_equal(hdf5.read_dataset(h5file, "x", rows=slice(1, 2)), [[0, 1, 0]])
        for name, shape, kind, message in [
            ("y", None, None, r"a\.h5: y: no such dataset; the file has .*x"),
            ("x", (3, 4), None, r"a\.h5: x: has shape \(3, 3\) where \(3, 4\)"),
            ("x", (None,), None, r"a\.h5: x: has shape \(3, 3\) where \(any\)"),
            ("x", None, "iu", r"a\.h5: x: has type float64"),
        ]:
            with pytest.raises(InputError, match=message):
                hdf5.read_dataset(h5file, name, shape, kind)


def test_read_dataset_refuses_a_damaged_chunk(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5file:
        x = np.random.default_rng(1).integers(0, 9, 10_000)
        offset = h5file.create_dataset("x", data=x, compression="gzip").id.get_chunk_info(0)
        start = offset.byte_offset + 50
    content = bytearray(path.read_bytes())
    content[start : start + 500] = b"\xff" * 500
    path.write_bytes(content)
    with (
        hdf5.open_h5(path) as h5file,
        pytest.raises(InputError, match=r"a\.h5: x: cannot be read"),
    ):
        hdf5.read_dataset(h5file, "x")


def test_memory_map_is_the_dataset_read_only(tmp_path):
    x = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)
    # An odd number of bytes before it would leave an unaligned map without the alignment.
    path = _h5(tmp_path / "a.h5", a=np.zeros(7, np.uint8), x=x, z=np.arange(5.0))
    for source in (path, str(path)):
        mapped = hdf5.memory_map(source, "x", (None, 3), "f")
        assert isinstance(mapped.base.base, np.memmap)
        assert mapped.dtype == np.float32
        assert mapped.flags.aligned
        np.testing.assert_array_equal(mapped, x)
        with pytest.raises(ValueError, match="read-only"):
            mapped[0] = 1
    with hdf5.open_h5(path) as h5file:
        z = hdf5.memory_map(h5file, "z")
    np.testing.assert_array_equal(z, [0, 1, 2, 3, 4])


def test_memory_map_of_an_empty_dataset_is_empty(tmp_path):
    path = _h5(tmp_path / "a.h5", x=np.empty((0, 4), np.float32))
    mapped = hdf5.memory_map(path, "x", (None, 4))
    assert mapped.shape == (0, 4)
    assert mapped.dtype == np.float32


def test_memory_map_refuses_compressed_datasets(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5file:
        h5file.create_dataset("x", data=np.arange(10), compression="gzip")
    with pytest.raises(InputError, match=r"a\.h5: x: is not stored as one contiguous"):
        hdf5.memory_map(tmp_path / "a.h5", "x")


def test_memory_map_refuses_what_lies_in_another_file(tmp_path):
    """Its place there says nothing of this file, which would be read in its stead."""
    _h5(tmp_path / "other.h5", a=np.zeros(50), x=np.arange(10.0))
    with h5py.File(tmp_path / "a.h5", "w") as h5file:
        h5file["y"] = np.ones(1000)
        h5file["x"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(InputError, match=r"a\.h5: x: is a link to .*other\.h5"):
        hdf5.memory_map(tmp_path / "a.h5", "x")


def test_errors_of_h5py_name_the_file_and_others_stay_as_they_are(tmp_path):
    path = tmp_path / "a.h5"
    with hdf5.create_h5(path) as file:
        file["x"] = np.arange(3)
    message = r"a\.h5: cannot be read \(.*object 'y' doesn't exist"
    with pytest.raises(InputError, match=message), hdf5.open_h5(path) as file:
        file["y"]
    with pytest.raises(KeyError, match="ours"), hdf5.open_h5(path):
        raise KeyError("ours")


def test_records_need_their_keys(tmp_path):
    with hdf5.create_h5(tmp_path / "a.h5") as file:
        file.attrs["checks"] = '[{"lane": 1}, {"lan": 2}]'
    with hdf5.open_h5(tmp_path / "a.h5") as file:
        with pytest.raises(InputError, match=r"attribute checks: is not what was written.*lane"):
            hdf5.read_records(file, "checks", "lane")
        with pytest.raises(InputError, match="attribute other: is not what"):
            hdf5.read_records(file, "other")


def test_files_are_opened_without_locks():
    """Some file systems of clusters refuse locks; HDF5 asks for one unless it is told not to."""
    calls = []
    for path in Path(omniflow.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "h5py.File":
                calls.append((path.name, {word.arg: word.value for word in node.keywords}))
    assert len(calls) > 5
    unlocked = [
        name
        for name, words in calls
        if ast.unparse(words.get("locking", ast.Name("no"))) == "False"
    ]
    assert unlocked == [name for name, _ in calls]
