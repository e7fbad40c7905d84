import zipfile

import mapped_files
import numpy as np
import pytest
from mapped_files import read, refused, same

from omniflow.errors import InputError
from omniflow.sources.readers import array_reader

X = {"event": ["x"]}
SAVE = pytest.mark.parametrize("save", [np.savez, np.savez_compressed])


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


@SAVE
def test_z_jets(tmp_path, monkeypatch, save):
    """`{gen,sim}_jets` (N, 4), particles padded by zeros, and numbers of the jets."""
    rng = np.random.default_rng(2)
    arrays, counts = {}, {}
    for level, most in (("gen", 9), ("sim", 7)):
        particles = rng.uniform(0.01, 1, (50, most, 4))
        counts[level] = rng.integers(0, most + 1, 50)
        particles[np.arange(most) >= counts[level][:, None]] = 0
        arrays |= {
            f"{level}_particles": particles,
            f"{level}_jets": rng.uniform(100, 300, (50, 4)),
            f"{level}_mults": counts[level].astype("f8"),
            f"{level}_widths": rng.uniform(size=50).astype("f4"),
        }
    save(tmp_path / "a.npz", **arrays)

    def level(name):
        return {
            "event": {"pt": f"{name}_jets_0", "n": f"{name}_mults", "width": f"{name}_widths"},
            "particles": {"pt": f"{name}_particles_0 * 100", "code": f"{name}_particles_3"},
            "selection": f"{name}_jets_0 > 150",
        }

    settings = {"detector": level("sim"), "particle": level("gen")}
    whole = read("npz", tmp_path / "a.npz", **settings)
    passes = arrays["sim_jets"][:, 0] > 150
    assert np.array_equal(whole.pass_detector, passes)
    gen = arrays["gen_particles"]
    rows = np.arange(9) < counts["gen"][:, None]
    wanted = np.stack([gen[rows][:, 0] * 100, gen[rows][:, 3]], axis=1).astype("f4")
    assert np.array_equal(whole.particle.particles, wanted)
    assert np.array_equal(whole.particle.counts, counts["gen"])
    assert np.array_equal(whole.detector.counts, np.where(passes, counts["sim"], 0))
    assert np.array_equal(whole.detector.event[passes, 1], counts["sim"][passes])
    assert np.array_equal(whole.particle.event[:, 2], arrays["gen_widths"])
    for chunk in (1, 3000):
        monkeypatch.setattr(array_reader, "CHUNK_BYTES", chunk)
        same(read("npz", tmp_path / "a.npz", **settings), whole)
        part = read("npz", tmp_path / "a.npz", skip=13, events=20, **settings)
        same(part, whole.take(np.arange(13, 33)))


@SAVE
def test_equal_to_hdf5(tmp_path, save):
    """The same arrays give the same events, whatever their layout in memory."""
    import h5py

    rng = np.random.default_rng(4)
    jets = np.zeros(30, [("nr", "u8"), ("met", "f4"), ("cov", "f8", (2,))])
    jets["nr"], jets["met"], jets["cov"] = np.arange(30) * 5, rng.normal(size=30), 1
    counts = rng.integers(0, 4, 30)
    arrays = {
        "jets": jets,
        "by_column": np.asfortranarray(rng.normal(size=(30, 2))),
        "big": rng.normal(size=(30, 3)).astype(">f8"),
        "pt": rng.uniform(size=(30, 4)) * (np.arange(4) < counts[:, None]),
        "n": counts,
        "flat": rng.normal(size=(counts.sum(), 2)),
    }
    save(tmp_path / "a.npz", **arrays)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    settings = {
        "detector": {
            "event": {"met": "jets.met", "cov": "jets.cov_1", "x": "by_column_1", "y": "big_2"},
            "particles": ["pt"],
        },
        "particle": {"particles": {"pt": "flat_0"}},
        "padded": ["pt"],
        "counts": {"flat": "n"},
        "id": "jets.nr",
    }
    same(read("npz", tmp_path / "a.npz", **settings), read("hdf5", tmp_path / "a.h5", **settings))


def test_folders_of_names(tmp_path):
    path = written(tmp_path / "a.npz", **{"one/x": np.ones(2), "plain": np.zeros(2)})
    events = read("npz", path, detector={"event": {"a": "one.x", "b": 'column("one/x")'}})
    assert events.detector.event.tolist() == [[1, 1], [1, 1]]


def test_several_files(tmp_path):
    for k in range(3):
        written(tmp_path / f"{k}.npz", x=np.arange(4 * k, 4 * k + 4))
    whole = read("npz", tmp_path / "*.npz", detector=X)
    assert whole.detector.event[:, 0].tolist() == whole.event_id.tolist() == list(range(12))
    part = read("npz", tmp_path / "*.npz", detector=X, skip=3, events=6)
    assert part.event_id.tolist() == list(range(3, 9))


def test_objects_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("unpickled",))

    path = tmp_path / "a.npz"
    np.savez(path, x=np.ones(1), o=np.array([Trap()], dtype=object))
    assert len(read("npz", path, detector=X)) == 1
    refused(
        r"a\.npz: o: holds Python objects, .* which are not read; write numbers: padded arrays",
        *("npz", path),
        detector={"event": ["o"]},
    )


@SAVE
def test_damaged_files_are_named(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, x=np.random.default_rng(1).normal(size=5000), y=np.ones(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    refused(r"a\.npz: cannot be opened as \.npz \(.*cut off: write it by numpy\.savez",
            "npz", path, detector=X)  # fmt: skip
    path.write_bytes(whole[:20000] + b"\xff" * 50 + whole[20050:])
    refused(r"a\.npz: x: cannot be read \(.*the file is damaged", "npz", path, detector=X)


def test_headers_that_do_not_fit_are_named(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(4))
    content = (tmp_path / "x.npy").read_bytes()
    for broken, message in (
        (b"nothing", r"a\.npz: x: cannot be read \(.*magic"),
        (content[:-8], r"a\.npz: x: cannot be read \(has 24 bytes where .* says 32\)"),
        (content + b"12345678", r"a\.npz: x: cannot be read \(has 40 bytes where .* says 32\)"),
    ):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
            file.writestr("x.npy", broken)
            file.writestr("readme.txt", "text")
        refused(message, "npz", tmp_path / "a.npz", detector=X)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"detector": {"event": ["y"]}},
            r"a\.npz: has no column 'y'; .*there are: v_0, v_1, v, x$",
        ),
        ({"detector": X, "table": "t"}, r"a\.npz: npz files hold arrays and no tables; leave"),
        ({"detector": {"event": {"v": "v"}}}, r"a\.npz: v: has shape \(2, 2\): its columns are"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, settings, message):
    path = written(tmp_path / "a.npz", v=np.ones((2, 2)), x=np.ones(2))
    refused(message, "npz", path, **settings)


def test_missing_files_are_named(tmp_path):
    refused(r"b\.npz: no such file", "npz", tmp_path / "b.npz", detector=X)
    (tmp_path / "c.npz").write_bytes(b"")
    refused(r"c\.npz: cannot be opened", "npz", tmp_path / "c.npz", detector=X)


def test_members_are_read_once(tmp_path, monkeypatch):
    path = written(tmp_path / "a.npz", x=np.arange(100.0), y=np.arange(100.0))
    monkeypatch.setattr(array_reader, "CHUNK_BYTES", 160)
    opened = []
    true = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile, "open", lambda self, name, *a: opened.append(name) or true(self, name, *a)
    )
    source = mapped_files.source("npz", path, detector={"event": ["x", "y"]})
    assert len(list(source.read())) == 10
    names = [info.filename for info in opened]
    assert sorted(names) == ["x.npy"] * 2 + ["y.npy"] * 2  # header, content
    with pytest.raises(InputError, match="ask"):
        list(source.model_copy(update={"skip": 200}).read())
