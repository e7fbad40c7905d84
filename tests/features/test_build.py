import json
import math
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniflow.errors import InputError
from omniflow.events.features import open_features
from omniflow.events.sample import Level
from omniflow.expressions import Values, parse
from omniflow.features import build
from omniflow.features.presets import columns
from omniflow.features.scaling import Scaling
from omniflow.physics.dis.features import DIS, DIS_SUMS
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE

PI = math.pi


def _wrap(angle):
    angle = np.asarray(angle, float)
    found = parse("wrap(angle)").evaluate({"angle": Values(angle.reshape(-1))}, angle.size)
    return found.array.reshape(angle.shape)


def _level(event, particles, counts, **columns):
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    particles = np.asarray(particles, np.float32) if len(particles) else np.zeros((0, 0), "f4")
    columns = {"event_columns": DIS_EVENT, "particle_columns": DIS_PARTICLE} | columns
    return Level(np.asarray(event, np.float32), particles, offsets, **columns)


def _random(n=60, seed=0):
    """Events of which every third fails at detector level (all-zero row, no particles)."""
    rng = np.random.default_rng(seed)
    passes = np.arange(n) % 3 != 0
    counts = np.where(passes, rng.integers(1, 9, n), 0)
    event = np.stack(
        [
            rng.uniform(150, 3000, n),
            rng.uniform(0.1, 0.7, n),
            *rng.normal(0, 20, (2, n)),
            rng.normal(-10, 10, n),
        ],
        axis=1,
    )
    event[~passes] = 0
    total = counts.sum()
    particles = np.stack(
        [
            rng.exponential(2, total) + 0.1,
            rng.uniform(-1.5, 2.75, total),
            rng.uniform(-PI, PI, total),
            rng.choice([-1, 0, 1], total),
        ],
        axis=1,
    )
    return _level(event, particles, counts), passes


def test_features_of_a_hand_made_event():
    # Electron with pt 5 in the direction (3, 4), at 45 degrees: eta = asinh(1); Q = 20.
    # Particle 1 is back to back in phi and has the electron's eta; particle 2 is 0.5 further
    # in phi and at eta 0.
    eta_e, phi_e = math.asinh(1.0), math.atan2(4, 3)
    level = _level(
        [[400, 0.25, 3, 4, 5]],
        [[2, eta_e, phi_e + PI - 2 * PI, 1], [10, 0, phi_e + PI + 0.5 - 2 * PI, -1]],
        [2],
    )
    particles, event, coordinates = build.compute(level, DIS)
    np.testing.assert_allclose(
        event, [[math.log(400), 0.25, 5 / 20, eta_e, phi_e]], rtol=1e-6, atol=1e-6
    )
    energy = 2 * math.sqrt(2)  # cosh(asinh(1)) = sqrt(2)
    expected = [
        [0, 0, math.log(2), math.log(0.1), math.log(energy / 20), math.log(energy), 0],
        [-eta_e, 0.5, math.log(10), math.log(0.5), math.log(0.5), math.log(10), 0],
    ]
    expected[1][6] = math.sqrt(eta_e**2 + 0.5**2)
    np.testing.assert_allclose(particles, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        coordinates, [[eta_e, phi_e - PI], [0, phi_e - PI + 0.5]], rtol=1e-6, atol=1e-6
    )
    assert particles.shape[1] == len(DIS.particles)
    assert event.shape[1] == len(DIS.event)


@pytest.mark.parametrize("delta", [-3.0, -1.2, -0.3, 0.0, 0.4, 1.7, 3.1])
def test_the_distance_is_to_the_point_opposite_the_electron(delta):
    """The formula of the paper's code, sqrt(deta^2 + (pi - |dphi|)^2), on both sides."""
    phi_e, eta_e = 2.9, math.asinh(0.5)
    electron = [4 * math.cos(phi_e), 4 * math.sin(phi_e), 2.0]
    phi = math.remainder(phi_e + delta, 2 * PI)
    level = _level([[200, 0.3, *electron]], [[1, 0.7, phi, 0]], [1])
    particles, _, _ = build.compute(level, DIS)
    expected = math.hypot(0.7 - eta_e, PI - abs(delta))
    np.testing.assert_allclose(particles[0, 6], expected, rtol=1e-5)
    np.testing.assert_allclose(math.cos(particles[0, 1]), -math.cos(delta), atol=1e-5)
    assert -PI < particles[0, 1] <= PI


@given(st.floats(-40, 40))
def test_wrap_stays_within_one_turn_and_keeps_the_direction(angle):
    wrapped = _wrap(np.array(angle))
    assert -PI <= wrapped <= PI
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * angle), atol=1e-12)


@pytest.mark.parametrize(
    ("angle", "expected"), [(PI, PI), (-PI, PI), (3 * PI, PI), (0.0, 0.0), (-0.5, -0.5)]
)
def test_wrap_gives_plus_pi_at_the_edge(angle, expected):
    np.testing.assert_allclose(_wrap(np.array(angle)), expected, atol=1e-12)


def test_events_that_failed_get_zeros():
    level, passes = _random()
    _, event, _ = build.compute(level, DIS)
    assert np.all(event[~passes] == 0)
    assert np.all(np.abs(event[passes]).sum(axis=1) > 0)


def test_dis_features_need_dis_columns():
    level = _level([[1.0, 2.0]], [], [0], event_columns=("x", "z"), particle_columns=())
    with pytest.raises(InputError, match=r"there is no column.*q2|q2"):
        build.compute(level, DIS)


def test_scaling_comes_from_the_selected_events_alone():
    level, passes = _random(200)
    scaling = build.fit_scaling(level, passes, DIS)
    particles, event, _ = build.compute(level.take(passes), DIS)
    np.testing.assert_allclose(scaling.particle_mean, particles.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(scaling.particle_std, particles.std(axis=0), rtol=1e-8)
    np.testing.assert_allclose(scaling.event_mean, event.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(scaling.event_std, event.std(axis=0), rtol=1e-8)
    everything = build.fit_scaling(level, np.ones(200, bool), DIS)
    assert abs(everything.event_mean[0] - scaling.event_mean[0]) > 1  # zeros of failed events


def test_scaled_features_have_mean_0_and_deviation_1():
    level, passes = _random(300)
    scaling = build.fit_scaling(level, passes, DIS)
    built = build.build(level.take(passes), scaling, DIS, 3)
    for array in (built.particles, built.event):
        assert array.dtype == np.float32
        np.testing.assert_allclose(array.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(array.std(axis=0), 1, atol=1e-5)


def test_scaling_of_chunks_is_that_of_the_whole(monkeypatch):
    level, passes = _random(100)
    whole = build.fit_scaling(level, passes, DIS)
    monkeypatch.setattr(build, "_CHUNK", 7)
    parts = build.fit_scaling(level, passes, DIS)
    for a, b in zip(vars(whole).values(), vars(parts).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_constant_feature_becomes_zero():
    level = _level(
        [[7.0, i] for i in range(10)], [], [0] * 10, event_columns=("c", "x"), particle_columns=()
    )
    scaling = build.fit_scaling(
        level, np.ones(10, bool), columns(level.event_columns, level.particle_columns)
    )
    event = build.build(
        level, scaling, columns(level.event_columns, level.particle_columns), 2
    ).event
    np.testing.assert_array_equal(event[:, 0], 0)
    np.testing.assert_allclose(event[:, 1].std(), 1, rtol=1e-6)


def test_scaling_survives_json():
    scaling = Scaling(np.array([0.1, 1 / 3]), np.ones(2), np.zeros(0), np.zeros(0))
    again = Scaling.from_json(scaling.to_json())
    for a, b in zip(vars(scaling).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert set(json.loads(scaling.to_json())) == set(vars(scaling))


def test_the_file_holds_the_same_features(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_CHUNK", 13)
    level, passes = _random(50)
    scaling = build.fit_scaling(level, passes, DIS)
    built = build.build(level, scaling, DIS, 4)
    build.write(tmp_path / "f.h5", level, scaling, DIS, 4)
    read = open_features(tmp_path / "f.h5")
    assert len(read) == 50
    for name, array in vars(built).items():
        found = getattr(read, name)
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert isinstance(found.base.base, np.memmap)
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]


def test_neighbours_use_unscaled_eta_and_phi():
    # In eta alone 1 is nearest to 0; across the seam in phi it is 2.
    particles = [[1, 0.0, 3.1, 0], [1, 0.3, 0.0, 0], [1, 0.4, -3.1, 0]]
    level = _level([[400, 0.3, 3, 4, 5]], particles, [3])
    scaling = Scaling(np.zeros(7), np.full(7, 1e-3), np.zeros(5), np.ones(5))
    built = build.build(level, scaling, DIS, 1)
    np.testing.assert_array_equal(built.neighbours[:, 0], [2, 2, 0])


def test_samples_without_particles(tmp_path):
    level = _level(
        np.random.default_rng(0).normal(3, 2, (20, 1)),
        [],
        [0] * 20,
        event_columns=("x",),
        particle_columns=(),
    )
    scaling = build.fit_scaling(
        level, np.ones(20, bool), columns(level.event_columns, level.particle_columns)
    )
    scaling = Scaling.from_json(scaling.to_json())
    build.write(
        tmp_path / "f.h5", level, scaling, columns(level.event_columns, level.particle_columns), 5
    )
    read = open_features(tmp_path / "f.h5")
    assert read.particles.shape == (0, 0)
    assert read.neighbours.shape == (0, 5)
    np.testing.assert_allclose(read.event.std(), 1, rtol=1e-5)


def test_plain_features_are_the_columns():
    level = _level(
        [[1.0, 2.0], [3.0, 5.0]],
        [[0.5, 1, 0.1], [0.7, 2, 0.2], [0.9, 3, 3.0]],
        [3, 0],
        event_columns=("a", "b"),
        particle_columns=("z", "eta", "phi"),
    )
    particles, event, coordinates = build.compute(
        level, columns(level.event_columns, level.particle_columns)
    )
    np.testing.assert_array_equal(particles, level.particles)
    np.testing.assert_array_equal(event, level.event)
    np.testing.assert_array_equal(coordinates, level.particles[:, 1:])


@pytest.mark.parametrize("attribute", ["schema", "version"])
def test_another_schema_or_version_is_refused(tmp_path, attribute):
    level, passes = _random(6)
    path = tmp_path / "f.h5"
    build.write(path, level, build.fit_scaling(level, passes, DIS), DIS, 2)
    with h5py.File(path, "a") as file:
        file.attrs[attribute] = 99
    with pytest.raises(InputError, match=r"f\.h5"):
        open_features(path)


@pytest.mark.parametrize("name", ["particles", "neighbours", "offsets", "event"])
def test_datasets_that_do_not_fit_together_are_refused(tmp_path, name):
    level, passes = _random(6)
    path = tmp_path / "f.h5"
    build.write(path, level, build.fit_scaling(level, passes, DIS), DIS, 2)
    with h5py.File(path, "a") as file:
        shorter = file[name][:-1]
        del file[name]
        file.create_dataset(name, data=shorter)
    with pytest.raises(InputError, match=r"f\.h5"):
        open_features(path)


def test_files_that_are_not_features_are_refused(tmp_path):
    with pytest.raises(InputError, match="absent"):
        open_features(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputError, match="text"):
        open_features(tmp_path / "text.h5")


def test_a_failed_write_leaves_nothing(tmp_path):
    level, _ = _random(6)
    wrong = Scaling(np.zeros(3), np.ones(3), np.zeros(5), np.ones(5))
    with pytest.raises(ValueError, match="broadcast"):
        build.write(tmp_path / "f.h5", level, wrong, DIS, 2)
    assert list(tmp_path.iterdir()) == []


def test_sums_over_the_particles_of_a_hand_made_event():
    # The hadronic system is a 3-4-5 triangle, the electron points along -x.
    particles = np.array([[3, 0, 0, 1], [4, 0, np.pi / 2, 0]], np.float32)
    event = np.array([[400, 0.3, -10, 0, -5], [400, 0.3, -10, 0, -5]], np.float32)
    level = Level(event, particles, np.array([0, 2, 2]), DIS_EVENT, DIS_PARTICLE)
    _, base, _ = build.compute(level, DIS)
    _, found, _ = build.compute(level, DIS_SUMS)
    assert np.array_equal(found[:, :4], base[:, :4])
    angle = np.arctan2(4, 3)
    assert found[0, 4:] == pytest.approx([np.log(3), np.log(0.5), angle, 0, np.log(7)], abs=1e-6)
    assert np.all(np.isfinite(found[1]))  # an event without particles


def test_rotated_and_mirrored_events_have_the_same_inputs():
    """And events whose particles lie on the other side of the summed momentum have not."""
    level, _ = _random(50)
    before = build.compute(level, DIS_SUMS)
    phi = np.arctan2(level.event[:, 3], level.event[:, 2])
    for mirror, turn in ((1, 0.7), (-1, 0.0), (-1, 2.1)):
        event, particles = np.array(level.event, float), np.array(level.particles, float)
        pt = np.hypot(event[:, 2], event[:, 3])
        event[:, 2], event[:, 3] = (
            pt * np.cos(mirror * phi + turn),
            pt * np.sin(mirror * phi + turn),
        )
        particles[:, 2] = _wrap(mirror * particles[:, 2] + turn)
        after = build.compute(replace(level, event=event, particles=particles), DIS_SUMS)
        np.testing.assert_allclose(after[0], before[0], atol=1e-5)
        np.testing.assert_allclose(after[1], before[1], atol=1e-5)
    event, particles = np.array(level.event), np.array(level.particles)
    particles[::2, 2] = _wrap(particles[::2, 2] + 0.5)
    other, *_ = build.compute(replace(level, event=event, particles=particles), DIS_SUMS)
    assert np.abs(other - before[0])[:, 1].max() > 0.1
