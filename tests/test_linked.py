"""Datasets whose content lies in other files; what HDF5 reads as zeros is refused."""

import h5py
import numpy as np
import pytest

from omniflow import linked
from omniflow.errors import InputError
from omniflow.hdf5 import find_dataset, open_h5, read_dataset


def write(path, **datasets):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def virtual(path, *maps, length=None, name="x"):
    """A virtual dataset of (file, rows, dataset) after one another."""
    total = length or sum(rows for _, rows, _ in maps)
    layout, first = h5py.VirtualLayout((total,), "f8"), 0
    for file, rows, source in maps:
        layout[first : first + rows] = h5py.VirtualSource(file, source, (rows,))
        first += rows
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset(name, layout)
    return path


def read(path, name="x"):
    with open_h5(path) as file:
        return read_dataset(file, name)


def refused(path, *words, name="x"):
    """Whether reading is refused with file, dataset and words; what HDF5 alone does."""
    with open_h5(path) as file, pytest.raises(InputError) as caught:
        find_dataset(file, name)
    message = str(caught.value)
    assert message.startswith(f"{path}: {name}: ")
    assert all(word in message for word in words), message
    return message


@pytest.fixture
def two(tmp_path):
    first = write(tmp_path / "first.h5", x=np.arange(1.0, 4))
    second = write(tmp_path / "second.h5", x=np.arange(4.0, 9))
    return (
        virtual(tmp_path / "whole.h5", ("first.h5", 3, "x"), ("second.h5", 5, "x")),
        first,
        second,
    )


def test_a_virtual_dataset_is_read_from_its_sources(two):
    path, first, second = two
    np.testing.assert_array_equal(read(path), np.arange(1.0, 9))
    assert linked.of_file(path) == [first, second]
    assert linked.with_sources([str(path), str(first)]) == [str(path), str(first), str(second)]


def test_a_missing_source_is_refused_and_not_zeros(two):
    path, _, second = two
    second.unlink()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x"][3:], 0)  # what is wrong about it
    refused(path, "second.h5, which is missing", str(second), "put it back")
    assert linked.of_file(path) == []


def test_a_source_without_the_dataset_is_refused(two):
    path, _, second = two
    write(second, y=np.arange(4.0, 9))
    refused(path, f"from x in {second}, which has no such dataset")


def test_a_source_that_is_no_hdf5_is_refused(two):
    path, _, second = two
    second.write_text("nothing" * 100)
    refused(path, f"from {second}, which cannot be opened")


def test_a_source_that_is_too_short_is_refused(two):
    path, _, second = two
    write(second, x=np.arange(2.0))
    with open_h5(path) as file, pytest.raises(InputError, match=r"whole\.h5: x: cannot be read"):
        read_dataset(file, "x")


def test_sources_of_sources_count(two, tmp_path):
    path, first, second = two
    outer = virtual(tmp_path / "outer.h5", ("whole.h5", 8, "x"))
    np.testing.assert_array_equal(read(outer), np.arange(1.0, 9))
    assert linked.of_file(outer) == [path, first, second]
    first.unlink()
    refused(outer, "first.h5, which is missing")


def test_a_dataset_of_the_same_file_is_a_source(tmp_path):
    path = write(tmp_path / "same.h5", y=np.arange(3.0))
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(".", "y", (3,))
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("x", layout)
    np.testing.assert_array_equal(read(path), [0, 1, 2])
    assert linked.of_file(path) == []
    with h5py.File(path, "r+") as file:
        del file["y"]
    refused(path, "has no such dataset")


def test_what_no_source_fills_is_refused(two, tmp_path):
    path = virtual(tmp_path / "half.h5", ("first.h5", 3, "x"), length=5)
    refused(path, "only 3 of its 5 numbers have a source")


@pytest.mark.parametrize("where", ["beside", "working", "prefix", "absolute", "moved"])
def test_sources_are_looked_for_where_hdf5_does(tmp_path, monkeypatch, where):
    folders = {"beside": "files", "working": "working", "prefix": "prefix"}
    source = write(tmp_path / folders.get(where, "elsewhere") / "a.h5", x=np.arange(1.0, 4))
    (tmp_path / "files").mkdir(exist_ok=True)
    (tmp_path / "working").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "working")
    monkeypatch.setenv("HDF5_VDS_PREFIX", str(tmp_path / "prefix"))
    name = str(source) if where in ("absolute", "moved") else "a.h5"
    path = virtual(tmp_path / "files" / "whole.h5", (name, 3, "x"))
    if where == "moved":  # an absolute name that is gone is looked for beside the file
        source = source.rename(tmp_path / "files" / "a.h5")
    np.testing.assert_array_equal(read(path), [1, 2, 3])
    assert linked.of_file(path) == [source]
    source.unlink()
    refused(path, "a.h5, which is missing")


def numbered(path, count):
    """A virtual dataset of any number of files part-0.h5, part-1.h5 and so on."""
    for number in range(count):
        write(path.parent / f"part-{number}.h5", x=np.full(4, number + 1.0))
    unlimited = h5py.h5s.UNLIMITED
    whole, part = (h5py.h5s.create_simple((4,), most) for most in ((unlimited,), (4,)))
    whole.select_hyperslab((0,), (unlimited,), (4,), (4,))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(whole, b"part-%b.h5", b"x", part)
    space = h5py.h5s.create_simple((4,), (unlimited,))
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, properties)
    return path


def test_numbered_sources(tmp_path):
    path = numbered(tmp_path / "whole.h5", 3)
    np.testing.assert_array_equal(read(path), np.repeat([1.0, 2, 3], 4))
    assert [p.name for p in linked.of_file(path)] == ["part-0.h5", "part-1.h5", "part-2.h5"]
    (tmp_path / "part-1.h5").unlink()
    with h5py.File(path) as file:
        assert file["x"].shape == (4,)  # HDF5 stops at the gap, silently
    refused(path, "part-1.h5, which is missing")
    for number in (0, 2):
        (tmp_path / f"part-{number}.h5").unlink()
    refused(path, "part-0.h5, which is missing")


def external(path, raw, size=h5py.h5f.UNLIMITED):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (10,), "f8", external=[(str(raw), 16, size)])
        file["x"][:] = np.arange(10.0)
    return path


def test_external_storage(tmp_path):
    raw = tmp_path / "raw.bin"
    path = external(tmp_path / "a.h5", raw)
    np.testing.assert_array_equal(read(path), np.arange(10))
    assert linked.of_file(path) == [raw]
    content = raw.read_bytes()
    raw.write_bytes(content[:-8])
    with h5py.File(path) as file:
        assert file["x"][9] == 0  # what is wrong about it
    refused(path, f"lies in {raw}, which is too short")
    raw.unlink()
    refused(path, f"lies in {raw}, which is missing")


def test_external_links(two, tmp_path):
    whole, first, second = two
    path = tmp_path / "link.h5"
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink("whole.h5", "x")
        file["group"] = h5py.ExternalLink("first.h5", "/")
    np.testing.assert_array_equal(read(path), np.arange(1.0, 9))
    np.testing.assert_array_equal(read(path, "group/x"), [1, 2, 3])
    assert sorted(linked.of_file(path)) == [first, second, whole]
    second.unlink()
    refused(path, "second.h5, which is missing")
    first.unlink()
    refused(path, "is a link to / in first.h5, which is missing", name="group/x")
    whole.unlink()
    refused(path, "is a link to x in whole.h5, which is missing")


@pytest.mark.parametrize("options", [{}, {"chunks": (3,)}, {"chunks": (3,), "compression": "gzip"}])
def test_what_was_never_written_is_refused(tmp_path, options):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (10,), "f8", **options)
        file.create_dataset("whole", data=np.zeros(10), **options)
        file.create_dataset("nothing", (0,), "f8", maxshape=(None,), chunks=(3,))
    refused(path, "never written", "fill value 0.0")
    np.testing.assert_array_equal(read(path, "whole"), 0)
    assert read(path, "nothing").shape == (0,)
    if options:
        with h5py.File(path, "r+") as file:
            file["x"][:6] = 1
        refused(path, "2 of its 4 chunks were never written")
        with h5py.File(path, "r+") as file:
            file["x"][6:] = 1
        np.testing.assert_array_equal(read(path), 1)


def test_a_dataset_that_has_shrunk_is_whole(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.ones(10), chunks=(3,), maxshape=(None,))
        file["x"].resize((4,))
    np.testing.assert_array_equal(read(path), np.ones(4))
    with h5py.File(path, "r+") as file:
        file["x"].resize((10,))
    refused(path, "2 of its 4 chunks were never written")


def test_files_that_cannot_be_opened_have_no_sources(tmp_path):
    path = tmp_path / "a.h5"
    path.write_text("nothing")
    assert linked.with_sources([path, tmp_path / "b.h5"]) == [str(path), str(tmp_path / "b.h5")]
