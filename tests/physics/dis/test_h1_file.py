from pathlib import Path

import h5py
import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.events.checks import check
from omniflow.events.sample import Events
from omniflow.physics.dis import h1_file

DATA = Path(__file__).parents[2] / "data"


def _read(files, **options):
    return Events.joined(list(h1_file.read(files, **options)))


def _particles(counts, width, scale=1.0):
    """Return padded particles: particle k of event i has pt = scale (1 + i + k / 10)."""
    padded = np.zeros((len(counts), width, 4), np.float32)
    for i, count in enumerate(counts):
        for k in range(count):
            padded[i, k] = scale * (1 + i + k / 10), 0.1 * k, 0.2 * i, (-1) ** k
    return padded


def _arrays(truth=True, gen_width=5, reco_width=3):
    """Four events: matched, miss, fake, and one that passes nothing but has features."""
    electron = [10.0, 1.0, -20.0]
    arrays = {
        "reco_event_features": np.array(
            [[200 + i, 0.3, *electron, 0.5 + i, flag] for i, flag in enumerate([1, 0, 1, 0])],
            np.float32,
        ),
        "reco_particle_features": _particles([3, 0, 1, 0], reco_width),
    }
    if truth:
        arrays["gen_event_features"] = np.array(
            [[210 + i, 0.4, *electron, flag] for i, flag in enumerate([1, 1, 0, 0])], np.float32
        )
        arrays["gen_particle_features"] = _particles([4, 2, 1, 5], gen_width, 2.0)
    return arrays


def _write(path, arrays, **options):
    with h5py.File(path, "w") as h5file:
        for name, values in arrays.items():
            h5file.create_dataset(name, data=values, **options)
    return path


def test_read_takes_out_the_padding(tmp_path):
    events = _read([_write(tmp_path / "a.h5", _arrays())])
    check(events, "a.h5")
    np.testing.assert_array_equal(events.event_id, [0, 1, 2, 3])
    np.testing.assert_array_equal(events.weight, [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(events.pass_detector, [True, False, True, False])
    np.testing.assert_array_equal(events.pass_particle, [True, True, False, False])
    np.testing.assert_array_equal(events.detector.counts, [3, 0, 1, 0])
    np.testing.assert_array_equal(events.particle.counts, [4, 2, 1, 5])
    np.testing.assert_allclose(events.detector.particles[:, 0], [1, 1.1, 1.2, 3], rtol=1e-6)
    np.testing.assert_allclose(events.particle.particles[4:6, 0], [4, 4.2], rtol=1e-6)
    np.testing.assert_array_equal(events.detector.particles[:, 3], [1, -1, 1, 1])
    np.testing.assert_array_equal(events.detector.event[:, 0], [200, 0, 202, 0])
    np.testing.assert_array_equal(events.particle.event[:, 0], [210, 211, 212, 213])
    assert not events.detector.event[[1, 3]].any()


def test_particles_of_events_that_fail_are_left_out(tmp_path):
    arrays = _arrays()
    arrays["reco_particle_features"] = _particles([3, 2, 1, 1], 3)
    events = _read([_write(tmp_path / "a.h5", arrays)])
    np.testing.assert_array_equal(events.detector.counts, [3, 0, 1, 0])
    np.testing.assert_allclose(events.detector.particles[:, 0], [1, 1.1, 1.2, 3], rtol=1e-6)


def test_files_of_different_padding_make_one_sample(tmp_path):
    first = _write(tmp_path / "a.h5", _arrays())
    second = _write(tmp_path / "b.h5", _arrays(gen_width=9, reco_width=7))
    events = _read([first, second])
    assert len(events) == 8
    np.testing.assert_array_equal(events.event_id, np.arange(8))
    np.testing.assert_array_equal(events.detector.counts, [3, 0, 1, 0] * 2)
    np.testing.assert_array_equal(events.particle.counts, [4, 2, 1, 5] * 2)


def test_skip_and_events_count_over_all_files(tmp_path):
    paths = [_write(tmp_path / name, _arrays()) for name in ("a.h5", "b.h5", "c.h5")]
    events = _read(paths, events=6, skip=3)
    np.testing.assert_array_equal(events.event_id, [3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(events.weight, [3.5, 0.5, 1.5, 2.5, 3.5, 0.5])
    np.testing.assert_array_equal(events.particle.counts, [5, 4, 2, 1, 5, 4])
    for events, skip in ((13, 0), (4, 9), (None, 12)):
        with pytest.raises(InputError, match=r"a\.h5 and others: records .* there are 12"):
            _read(paths, events=events, skip=skip)


@pytest.mark.parametrize("options", [{}, {"chunks": True}, {"compression": "gzip"}])
def test_blocks_change_nothing(tmp_path, monkeypatch, options):
    path = _write(tmp_path / "a.h5", _arrays(), **options)
    whole = _read([path])
    monkeypatch.setattr(h1_file, "_BLOCK_BYTES", 1)
    parts = _read([path])
    np.testing.assert_array_equal(parts.event_id, whole.event_id)
    np.testing.assert_array_equal(parts.detector.particles, whole.detector.particles)
    np.testing.assert_array_equal(parts.particle.offsets, whole.particle.offsets)


def test_blocks_end_where_chunks_end(tmp_path, monkeypatch):
    arrays = {name: np.repeat(values, 5, axis=0) for name, values in _arrays().items()}
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5file:
        for name, values in arrays.items():
            h5file.create_dataset(name, data=values, chunks=(6, *values.shape[1:]))
        monkeypatch.setattr(h1_file, "_BLOCK_BYTES", 8 * 5 * 4 * 4)
        blocks = list(h1_file._blocks(h5file, True, 4, 20))
    assert [(rows.start, rows.stop) for rows in blocks] == [(4, 6), (6, 12), (12, 18), (18, 20)]


def test_real_data_have_no_particle_level(tmp_path):
    events = _read([_write(tmp_path / "a.h5", _arrays(truth=False))])
    assert events.particle is None
    assert events.pass_particle is None
    assert len(events) == 4
    check(events, "a.h5")


def test_excerpt_of_simulation():
    events = _read([DATA / "h1_simulation.h5"])
    check(events, "h1_simulation.h5")
    with h5py.File(DATA / "h1_simulation.h5") as h5file:
        reco, gen = h5file["reco_event_features"][:], h5file["gen_event_features"][:]
        pt = h5file["gen_particle_features"][:, :, 0]
        reco_pt = h5file["reco_particle_features"][:, :, 0]
    assert len(events) == 1000
    assert events.pass_detector.sum() == (reco[:, 6] == 1).sum()
    assert events.pass_particle.sum() == (gen[:, 5] == 1).sum()
    assert len(events.particle.particles) == (pt > 0).sum()
    np.testing.assert_array_equal(events.particle.particles[:, 0], pt[pt > 0])
    np.testing.assert_array_equal(events.detector.particles[:, 0], reco_pt[reco_pt > 0])


def _refused(tmp_path, arrays, message, **options):
    path = _write(tmp_path / "bad.h5", arrays, **options)
    with pytest.raises(InputError, match=message):
        _read([path])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "index", "column"),
    [
        ("reco_event_features", (2, 0), "q2"),
        ("reco_event_features", (2, 5), "weight"),
        ("gen_event_features", (2, 4), "e_pz"),
        ("reco_particle_features", (2, 0, 1), "eta"),
        ("gen_particle_features", (2, 4, 0), "pt"),
    ],
)
def test_nan_and_infinity_are_refused(tmp_path, value, name, index, column):
    arrays = _arrays()
    arrays[name][index] = value
    _refused(tmp_path, arrays, rf"bad\.h5: {name}, event 2: {column} is -?(nan|inf); remove")


def test_numbers_beyond_float32_are_refused(tmp_path):
    arrays = _arrays()
    arrays["gen_event_features"] = arrays["gen_event_features"].astype(np.float64)
    arrays["gen_event_features"][1, 0] = 1e300
    _refused(tmp_path, arrays, "gen_event_features, event 1: q2 is inf")


def test_the_event_is_named_by_record_in_its_file_and_by_id(tmp_path):
    arrays = _arrays()
    arrays["gen_event_features"][2, 0] = np.nan
    first = _write(tmp_path / "a.h5", _arrays())
    second = _write(tmp_path / "b.h5", arrays)
    with pytest.raises(InputError, match=r"b\.h5: gen_event_features, event 2 \(id 6\): q2"):
        _read([first, second])


@pytest.mark.parametrize("value", [2, -1, 0.5])
@pytest.mark.parametrize(
    ("name", "flag"), [("reco_event_features", "pass_reco"), ("gen_event_features", "pass_gen")]
)
def test_flags_other_than_0_and_1_are_refused(tmp_path, value, name, flag):
    arrays = _arrays()
    arrays[name][3, -1] = value
    _refused(tmp_path, arrays, rf"{name}, event 3: {flag} is {value}.*; flags must be 0 or 1")


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        ((2, 0, 0), -1, "row 0 has a negative pt"),
        ((2, 2, 0), 1, "row 2 is a particle after padding"),
        ((2, 2, 1), 0.5, "row 2 has pt = 0 but is not zero"),
    ],
)
def test_wrong_padding_is_refused(tmp_path, index, value, message):
    arrays = _arrays()
    arrays["reco_particle_features"][index] = value
    _refused(tmp_path, arrays, f"bad.h5: reco_particle_features, event 2: {message}; mend")


@pytest.mark.parametrize("name", sorted(_arrays()))
def test_missing_datasets_are_refused(tmp_path, name):
    arrays = _arrays()
    del arrays[name]
    _refused(tmp_path, arrays, rf"bad\.h5: {name}: no such dataset")


@pytest.mark.parametrize("name", sorted(_arrays()))
def test_counts_that_disagree_are_refused(tmp_path, name):
    arrays = _arrays()
    arrays[name] = arrays[name][:3]
    _refused(tmp_path, arrays, r"bad\.h5: \w+: has \d events but \w+ has \d; all datasets")


@pytest.mark.parametrize("name", sorted(_arrays()))
def test_wrong_shapes_are_refused(tmp_path, name):
    arrays = _arrays()
    arrays[name] = arrays[name][..., :-1]
    _refused(tmp_path, arrays, rf"bad\.h5: {name}: has shape .* is needed")
    arrays[name] = arrays[name][0]
    _refused(tmp_path, arrays, rf"bad\.h5: {name}: has shape .* is needed")


def test_wrong_types_are_refused(tmp_path):
    arrays = _arrays()
    arrays["gen_event_features"] = arrays["gen_event_features"].astype("S8")
    _refused(tmp_path, arrays, "gen_event_features: has type")


def test_the_preprocessed_layout_is_named(tmp_path):
    arrays = _arrays()
    arrays["reco_particle_features"] = np.zeros((4, 3, 7), np.float32)
    _refused(tmp_path, arrays, "reco_particle_features: has 7 columns.*before it")


def test_truth_in_some_files_only_is_refused(tmp_path):
    paths = [
        _write(tmp_path / "a.h5", _arrays()),
        _write(tmp_path / "b.h5", _arrays(truth=False)),
    ]
    for order in (paths, paths[::-1]):
        with pytest.raises(
            InputError, match=r"b\.h5: gen_event_features: no such dataset, but .*a"
        ):
            _read(order)


def test_files_given_twice_missing_or_none_are_refused(tmp_path):
    path = _write(tmp_path / "a.h5", _arrays())
    with pytest.raises(InputError, match=r"a\.h5: the file is given twice"):
        _read([path, tmp_path / "." / "a.h5"])
    with pytest.raises(InputError, match=r"b\.h5: no such file"):
        _read([path, tmp_path / "b.h5"])
    with pytest.raises(InputError, match="no files are given"):
        _read([])


def test_truncated_and_foreign_files_are_refused(tmp_path):
    content = (DATA / "h1_nature.h5").read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.h5: is truncated"):
        _read([path])
    path.write_text("not HDF5\n" * 100)
    with pytest.raises(InputError, match=r"cut\.h5: is not an HDF5 file"):
        _read([path])
