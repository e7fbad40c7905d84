"""Notes of given files change with the bytes of the files and with nothing else."""

import hashlib
import json
import os
import shutil

import pytest

from omniflow import checksums
from omniflow.checksums import notes, update
from omniflow.errors import InputError


@pytest.fixture
def file(tmp_path):
    """A file that is some hours old."""
    path = tmp_path / "data" / "events.h5"
    path.parent.mkdir()
    path.write_bytes(b"events")
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are read for their checksums."""
    found, digest = [], hashlib.file_digest

    def counted(opened, name):
        found.append(opened.name)
        return digest(opened, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return found


def _never(text):
    pytest.fail(f"nothing is to be said: {text}")


def _note(tmp_path, file):
    found = notes([file], tmp_path / "checksums")
    update(found, _never)
    return found[file]


def _state(note):
    return note.read_bytes(), note.stat().st_mtime_ns


def test_a_first_note_is_as_old_as_its_file(tmp_path, file):
    note = _note(tmp_path, file)
    assert json.loads(note.read_text()) == {
        "file": str(file),
        "bytes": 6,
        "sha256": hashlib.sha256(b"events").hexdigest(),
    }
    assert note.stat().st_mtime_ns == 10**18


def test_what_is_known_is_not_read_again(tmp_path, file, read):
    for _ in range(3):
        _note(tmp_path, file)
    assert read == [str(file)]


@pytest.mark.parametrize("how", ["touched", "copied", "replaced", "older"])
def test_the_same_bytes_change_nothing(tmp_path, file, read, how):
    before = _state(_note(tmp_path, file))
    if how == "touched":
        os.utime(file)
    elif how == "older":
        os.utime(file, ns=(10**17, 10**17))
    else:
        shutil.copy(file, tmp_path / "copy")
        if how == "replaced":
            os.replace(tmp_path / "copy", file)
        else:
            shutil.copy(tmp_path / "copy", file)
    for _ in range(2):
        assert _state(_note(tmp_path, file)) == before
    assert len(read) == 2  # once before, once after


def test_other_bytes_are_seen_even_with_the_same_size_and_time(tmp_path, file):
    before = _state(_note(tmp_path, file))
    file.write_bytes(b"EVENTS")
    os.utime(file, ns=(10**18, 10**18))
    changed = _state(_note(tmp_path, file))
    assert changed[0] != before[0]
    assert changed[1] > 1.5e18  # now: newer than all that was made of the file
    # And back again: newer, but the same as what anything was made of.
    file.write_bytes(b"events")
    back = _state(_note(tmp_path, file))
    assert back[0] == before[0]
    assert back[1] >= changed[1]


def test_a_file_that_is_gone_is_what_it_was(tmp_path, file):
    before = _state(_note(tmp_path, file))
    file.unlink()
    assert _state(_note(tmp_path, file)) == before


def test_a_note_that_was_lost_is_made_again(tmp_path, file):
    note = _note(tmp_path, file)
    text = note.read_bytes()
    for path in note.parent.iterdir():
        content = path.read_bytes()
        path.unlink()
        assert _note(tmp_path, file).read_bytes() == text
        assert path.read_bytes() == content
    note.with_suffix(".seen.json").write_text("{")
    assert _note(tmp_path, file).read_bytes() == text


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.h5: no such file"):
        _note(tmp_path, tmp_path / "absent.h5")
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(InputError, match=r"folder\.h5: cannot be read"):
        _note(tmp_path, tmp_path / "folder.h5")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"x\.h5: cannot be read"):
        _note(tmp_path, tmp_path / "file" / "x.h5")


def test_files_of_the_same_name_have_notes_of_their_own(tmp_path, file):
    other = tmp_path / "events.h5"
    other.write_bytes(b"other")
    found = notes([file, other], tmp_path / "checksums")
    update(found, _never)
    assert json.loads(found[file].read_text())["file"] == str(file)
    assert json.loads(found[other].read_text())["file"] == str(other)


def test_large_files_are_announced(tmp_path, file, monkeypatch):
    said = []
    monkeypatch.setattr(checksums, "_LARGE", 5)
    found = notes([file], tmp_path / "checksums")
    for _ in range(2):
        update(found, said.append)
    assert len(said) == 1
    assert said[0].startswith("Reading 1 new file(s)")
