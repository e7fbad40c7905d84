import numpy as np
import pytest

from omniflow.events import duplicates
from omniflow.events.sample import Events, Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE


def sample(n=200, seed=1, particle=True):
    """Events with 0 to 4 particles at each level, half of which pass."""
    rng = np.random.default_rng(seed)
    passes = np.arange(n) % 2 == 0

    def level(there):
        counts = np.where(there, rng.integers(0, 5, n), 0)
        event = rng.normal(0, 1, (n, 5)).astype(np.float32) * there[:, None]
        particles = rng.normal(0, 1, (counts.sum(), 4)).astype(np.float32)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Level(event, particles, offsets, DIS_EVENT, DIS_PARTICLE)

    detector = level(passes)
    truth = level(np.ones(n, bool)) if particle else None
    flag = None if truth is None else passes
    return Events(np.arange(n, dtype=np.uint64), np.ones(n), passes, flag, detector, truth)


def test_different_events_are_no_duplicates():
    for particle in (True, False):
        found = duplicates.find(sample(particle=particle))
        assert found.number == 0
        assert found.pairs.shape == (0,)


@pytest.mark.parametrize("block", [7, 64, 50_000])
def test_repeated_events_are_found_in_any_place(monkeypatch, block):
    monkeypatch.setattr(duplicates, "_BLOCK", block)
    events = sample().take(np.r_[0:200, 11, 150, 4])
    found = duplicates.find(events)
    assert found.number == 3
    assert found.pairs.tolist() == [[11, 200], [150, 201], [4, 202]]


def test_weights_and_flags_do_not_count():
    events = sample().take(np.r_[0:200, 10])
    events.weight[200] = 7
    events.pass_particle[200] = not events.pass_particle[10]
    assert duplicates.find(events).pairs.tolist() == [[10, 200]]


@pytest.mark.parametrize(
    "change",
    [
        lambda level: level.event.__setitem__((-1, 3), 0.5),
        lambda level: level.particles.__setitem__((-1, 3), 0.5),
        lambda level: level.particles.__setitem__(slice(-2, None), level.particles[-2:][::-1]),
        lambda level: level.event.__setitem__(-1, np.roll(level.event[-1], 1)),
    ],
)
@pytest.mark.parametrize("name", ["detector", "particle"])
def test_one_number_or_another_order_makes_another_event(name, change):
    events = sample()
    both = (events.detector.counts >= 2) & (events.particle.counts >= 2)
    again = events.take(np.r_[0:200, np.flatnonzero(both)[0]])
    change(getattr(again, name))
    assert duplicates.find(again).number == 0


def test_another_number_of_particles_makes_another_event():
    """Also where the lost one is all 0, as a sum of its numbers would have it."""
    level = Level(
        np.full((2, 5), 0.5, np.float32),
        np.zeros((3, 4), np.float32),
        np.array([0, 1, 3], np.int64),
        DIS_EVENT,
        DIS_PARTICLE,
    )
    first, second = duplicates.hashes([level])
    assert first != second


def _columns(columns, repeated=0):
    """2,000 events of so many normal columns, the last ones again."""
    values = np.random.default_rng(3).normal(size=(2000 - repeated, columns))
    values = np.concatenate([values, values[len(values) - repeated :]])
    return Events.from_arrays(values.astype(np.float32))


def test_few_columns_agree_by_chance():
    values = np.random.default_rng(1).normal(size=(30_000, 1)).astype(np.float32)
    assert len(np.unique(values)) < len(values)
    assert duplicates.find(Events.from_arrays(values)).number == 0
    assert duplicates.find(_columns(2, repeated=50)).number == 0
    # Two levels of a column are two columns, and whole numbers are often equal.
    numbers = np.random.default_rng(2).integers(1, 9, (2000, 3))
    assert duplicates.find(Events.from_arrays(numbers, numbers)).number == 0


def test_three_columns_tell_events_apart():
    assert duplicates.find(_columns(3)).number == 0
    assert duplicates.find(_columns(3, repeated=50)).number == 50


def test_minus_0_is_0():
    event = np.array([[0.0, 0.1, 0.2, 0.3, 0.4], [-0.0, 0.1, 0.2, 0.3, 0.4]], np.float32)
    level = Level(event, np.zeros((0, 0), np.float32), np.zeros(3, np.int64), DIS_EVENT, ())
    assert len(set(duplicates.hashes([level]).tolist())) == 1
    assert duplicates.hashes([level]).all()


def test_numbers_of_few_bits_tell_less():
    """As those of NanoAOD: five of them are needed, or three of full precision, at any level."""
    rng = np.random.default_rng(1)
    fine = rng.uniform(0.5, 1, (2000, 5)).astype(np.float32)
    coarse = (np.floor(fine * 1024) + 0.5) / 1024
    for values, number in ((fine[:, :2], 0), (fine[:, :3], 50), (coarse[:, :4], 0), (coarse, 50)):
        again = np.concatenate([values, values[:50]])
        assert duplicates.find(Events.from_arrays(again)).number == number
    both = np.concatenate([fine, fine[:50]])
    assert duplicates.find(Events.from_arrays(both[:, :2], both[:, 3:])).number == 50
    # numbers of particles count as well
    level = duplicates.find(
        Events(
            np.arange(2050, dtype=np.uint64),
            np.ones(2050),
            np.ones(2050, bool),
            None,
            Level(
                np.zeros((2050, 0), np.float32),
                both[:, :4].reshape(-1, 2),
                2 * np.arange(2051),
                (),
                ("a", "b"),
            ),
            None,
        )
    )
    assert level.number == 50


def test_events_that_hold_nothing_are_not_equal():
    """As real data that do not pass."""
    events = sample(particle=False)
    assert (duplicates.hashes([events.detector]) == 0).sum() == 100
    assert duplicates.find(events).number == 0


def test_events_of_two_samples():
    one, other = sample(seed=1), sample(seed=2)
    chosen = np.r_[0:50, 3, 8, 9]
    mixed = other.take(np.arange(50))
    hashes = duplicates.hashes([one.detector])
    assert not duplicates.common(hashes, duplicates.hashes([mixed.detector])).any()
    again = duplicates.hashes([one.take(chosen).detector])
    assert np.flatnonzero(duplicates.common(hashes, again[50:])).tolist() == [8]  # 3 and 9 fail
    assert not duplicates.common(hashes, np.zeros(0, np.uint64)).any()


def test_equal_hashes_of_different_events_are_compared(monkeypatch):
    monkeypatch.setattr(duplicates, "hashes", lambda levels: np.ones(len(levels[0]), np.uint64))
    assert len(duplicates.find(sample()).pairs) == 0
