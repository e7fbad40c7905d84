import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omniflow import files, hdf5
from omniflow.errors import OutputError


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


WRITER = """
import sys, time
from pathlib import Path
import omniflow
from omniflow import files, hdf5
place = hdf5 if sys.argv[1] == "create_h5" else files
with getattr(place, sys.argv[1])(sys.argv[2]) as out:
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
    with getattr(hdf5 if place == "create_h5" else files, place)(path) as out:
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
