import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import omniflow
from omniflow import files
from omniflow.errors import InputError, OutputError


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_atomic_path_leaves_nothing_after_an_exception(tmp_path, exception):
    path = tmp_path / "out.txt"
    with pytest.raises(exception), files.atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise exception
    assert list(tmp_path.iterdir()) == []


def test_atomic_path_keeps_the_old_file_after_an_exception(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_path_appears_only_at_the_end_and_keeps_the_suffix(tmp_path):
    path = tmp_path / "new folder" / "a.weights.h5"
    with files.atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith(".weights.h5")
        temporary.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_path_that_was_not_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "a"):
        pass


def test_write_json_knows_numpy_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": path, "d": "Q² < 1"}
    files.write_json(value, path)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "a": 0.5,
        "b": [0, 1, 2],
        "c": str(path),
        "d": "Q² < 1",
    }
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json({"a": float("nan")}, path)
    with pytest.raises(TypeError, match="set cannot be written"):
        files.write_json({"a": set()}, path)
    assert json.loads(path.read_text(encoding="utf-8"))["a"] == 0.5


def test_write_csv_leaves_missing_numbers_empty(tmp_path):
    path = tmp_path / "a.csv"
    files.write_csv(pd.DataFrame({"x": [1, 2], "y": [0.1, float("nan")]}), path)
    assert path.read_bytes() == b"x,y\n1,0.1\n2,\n"


def test_create_h5_leaves_nothing_after_an_exception(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.create_h5(tmp_path / "a.h5") as h5file:  # noqa: PT012
        h5file["x"] = np.arange(10)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def _h5(path, **datasets):
    with files.create_h5(path) as h5file:
        for name, value in datasets.items():
            h5file[name] = value
    return path


def test_open_h5_names_missing_files_and_folders(tmp_path):
    with (
        pytest.raises(InputError, match=r"none\.h5: no such file"),
        files.open_h5(tmp_path / "none.h5"),
    ):
        pass
    with pytest.raises(InputError, match="is not a file"), files.open_h5(tmp_path):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"event,weight\n1,1\n" * 99, "is not an HDF5 file")],
)
def test_open_h5_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.h5: {message}"), files.open_h5(path):
        pass


@pytest.mark.parametrize("share", [0.999, 0.5, 0.1])
def test_open_h5_refuses_truncated_files(tmp_path, share):
    path = _h5(tmp_path / "a.h5", x=np.arange(10_000))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"a\.h5: is truncated"), files.open_h5(path):
        pass


def test_open_h5_lets_errors_of_the_body_through(tmp_path):
    path = _h5(tmp_path / "a.h5", x=[1])
    with pytest.raises(OSError, match="mine"), files.open_h5(path):
        raise OSError("mine")


def test_read_dataset_checks_name_shape_and_type(tmp_path):
    with files.open_h5(_h5(tmp_path / "a.h5", x=np.eye(3), group=h5py.Empty("f"))) as h5file:
        np.testing.assert_array_equal(files.read_dataset(h5file, "x", (None, 3), "f"), np.eye(3))
        np.testing.assert_array_equal(
            files.read_dataset(h5file, "x", rows=slice(1, 2)), [[0, 1, 0]]
        )
        for name, shape, kind, message in [
            ("y", None, None, r"a\.h5: y: no such dataset; the file has .*x"),
            ("x", (3, 4), None, r"a\.h5: x: has shape \(3, 3\) where \(3, 4\)"),
            ("x", (None,), None, r"a\.h5: x: has shape \(3, 3\) where \(any\)"),
            ("x", None, "iu", r"a\.h5: x: has type float64"),
        ]:
            with pytest.raises(InputError, match=message):
                files.read_dataset(h5file, name, shape, kind)


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
        files.open_h5(path) as h5file,
        pytest.raises(InputError, match=r"a\.h5: x: cannot be read"),
    ):
        files.read_dataset(h5file, "x")


def test_memory_map_is_the_dataset_read_only(tmp_path):
    x = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)
    # An odd number of bytes before it would leave an unaligned map without the alignment.
    path = _h5(tmp_path / "a.h5", a=np.zeros(7, np.uint8), x=x, z=np.arange(5.0))
    for source in (path, str(path)):
        mapped = files.memory_map(source, "x", (None, 3), "f")
        assert isinstance(mapped.base, np.memmap)
        assert mapped.dtype == np.float32
        assert mapped.flags.aligned
        np.testing.assert_array_equal(mapped, x)
        with pytest.raises(ValueError, match="read-only"):
            mapped[0] = 1
    with files.open_h5(path) as h5file:
        z = files.memory_map(h5file, "z")
    np.testing.assert_array_equal(z, [0, 1, 2, 3, 4])


def test_memory_map_of_an_empty_dataset_is_empty(tmp_path):
    path = _h5(tmp_path / "a.h5", x=np.empty((0, 4), np.float32))
    mapped = files.memory_map(path, "x", (None, 4))
    assert mapped.shape == (0, 4)
    assert mapped.dtype == np.float32


def test_memory_map_refuses_compressed_datasets(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5file:
        h5file.create_dataset("x", data=np.arange(10), compression="gzip")
    with pytest.raises(InputError, match=r"a\.h5: x: is not stored as one contiguous"):
        files.memory_map(tmp_path / "a.h5", "x")


WRITER = """
import sys, time
from pathlib import Path
import omniflow
from omniflow import files
with getattr(files, sys.argv[1])(sys.argv[2]) as out:
    if sys.argv[1] == "create_h5":
        out["x"] = [1.0]
    elif out.is_dir():
        Path(out, "part").write_text("half")
    else:
        out.write_text("half")
    print("writing", flush=True)
    time.sleep(100)
"""


def _killed(place, path):
    """A process that was killed while it wrote `path`."""
    command = [sys.executable, "-c", WRITER, place, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.kill()


@pytest.mark.parametrize("place", ["atomic_path", "create_h5", "replace_folder"])
def test_what_killed_writers_left_goes_with_the_next_one(tmp_path, place):
    path, other = tmp_path / "out", tmp_path / "other-out"
    _killed(place, path)
    _killed(place, other)
    (left,), kept = files.left_over(path), files.left_over(other)
    assert not path.exists()
    with getattr(files, place)(path) as out:
        assert not left.exists()
        if place == "atomic_path":
            out.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])
    assert len(kept) == 1  # that of another file, which may be written right now


def test_nothing_is_left_over_where_nothing_is(tmp_path):
    assert files.left_over(tmp_path / "missing" / "out") == []
    (tmp_path / ".tmp-mine-out").write_text("a user's own")
    assert files.left_over(tmp_path / "out") == []


def test_nothing_is_left_over_in_a_folder_that_goes(tmp_path, monkeypatch):
    folder, listdir = tmp_path / "folder", os.listdir
    folder.mkdir()

    def listed(path):
        folder.rmdir()
        return listdir(path)

    monkeypatch.setattr(os, "listdir", listed)
    assert files.left_over(folder / "out") == []
    monkeypatch.undo()
    folder.write_text("a file", encoding="utf-8")
    assert files.left_over(folder / "out") == []


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []

    def fsync(handle):
        assert not (tmp_path / "out").exists()
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))

    monkeypatch.setattr("os.fsync", fsync)
    with files.replace_folder(tmp_path / "out") as folder:
        (folder / "deep").mkdir()
        for name in ("a", "deep/b"):
            (folder / name).write_text("x")
    assert set(synced) == {folder, *(folder / name for name in ("a", "deep", "deep/b"))}


HDF5_TEXT = "Can't write data (file write failed: time = 1, errno = 28, error message = 'No space')"


@pytest.mark.parametrize("error", [OSError(28, "No space"), RuntimeError(HDF5_TEXT)])
@pytest.mark.parametrize("place", [files.atomic_path, files.replace_folder])
def test_a_full_disk_names_file_and_remedy(tmp_path, place, error):
    message = r"out: cannot be written: no space.*start again"
    with pytest.raises(OutputError, match=message), place(tmp_path / "out"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_a_folder_is_named_by_its_final_place(tmp_path):
    with (
        pytest.raises(OutputError, match="/folder/file: cannot be written"),
        files.replace_folder(tmp_path / "folder") as folder,
        files.atomic_path(folder / "file"),
    ):
        raise OSError(30, "Read-only file system")


def test_errors_of_other_files_are_no_errors_of_writing(tmp_path):
    with pytest.raises(PermissionError), files.atomic_path(tmp_path / "out"):
        raise PermissionError(13, "Permission denied", "/some/input")


def test_errors_of_h5py_name_the_file_and_others_stay_as_they_are(tmp_path):
    path = tmp_path / "a.h5"
    with files.create_h5(path) as file:
        file["x"] = np.arange(3)
    message = r"a\.h5: cannot be read \(.*object 'y' doesn't exist"
    with pytest.raises(InputError, match=message), files.open_h5(path) as file:
        file["y"]
    with pytest.raises(KeyError, match="ours"), files.open_h5(path):
        raise KeyError("ours")


def test_records_need_their_keys(tmp_path):
    with files.create_h5(tmp_path / "a.h5") as file:
        file.attrs["checks"] = '[{"lane": 1}, {"lan": 2}]'
    with files.open_h5(tmp_path / "a.h5") as file:
        with pytest.raises(InputError, match=r"attribute checks: is not what was written.*lane"):
            files.read_records(file, "checks", "lane")
        with pytest.raises(InputError, match="attribute other: is not what"):
            files.read_records(file, "other")


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
