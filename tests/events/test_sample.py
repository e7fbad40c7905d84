import numpy as np

from omniflow.events.sample import Events, Level


def _level():
    # Events with 2, 0, 3 and 1 particles, numbered 0 to 5.
    particles = np.arange(6, dtype=np.float32)[:, None]
    offsets = np.array([0, 2, 2, 5, 6])
    return Level(np.eye(4, dtype=np.float32), particles, offsets, tuple("abcd"), ("x",))


def test_take_keeps_the_particles_of_each_event():
    taken = _level().take(np.array([2, 1, 0, 2]))
    np.testing.assert_array_equal(taken.offsets, [0, 3, 3, 5, 8])
    np.testing.assert_array_equal(taken.particles[:, 0], [2, 3, 4, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(taken.event.argmax(axis=1), [2, 1, 0, 2])
    assert taken.event_columns == tuple("abcd")
    assert taken.particle_columns == ("x",)


def test_take_accepts_a_mask_and_no_events():
    level = _level()
    masked = level.take(np.array([False, True, False, True]))
    np.testing.assert_array_equal(masked.counts, [0, 1])
    np.testing.assert_array_equal(masked.particles[:, 0], [5])
    assert len(level.take(np.array([], int))) == 0


def test_events_take_moves_all_arrays_alike():
    n = np.arange(4)
    events = Events(n.astype(np.uint64), n * 0.5, n > 1, n < 3, _level(), _level())
    taken = events.take(np.array([3, 0]))
    np.testing.assert_array_equal(taken.event_id, [3, 0])
    np.testing.assert_array_equal(taken.weight, [1.5, 0])
    np.testing.assert_array_equal(taken.pass_detector, [True, False])
    np.testing.assert_array_equal(taken.pass_particle, [False, True])
    np.testing.assert_array_equal(taken.detector.particles[:, 0], [5, 0, 1])
    np.testing.assert_array_equal(taken.particle.particles[:, 0], [5, 0, 1])


def test_events_without_particle_level():
    n = np.arange(4)
    taken = Events(n.astype(np.uint64), n * 1.0, n > 1, None, _level(), None).take(n[:2])
    assert taken.particle is None
    assert taken.pass_particle is None
    assert len(taken) == 2
