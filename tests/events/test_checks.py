from dataclasses import replace

import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.events.checks import check, check_part, check_whole
from omniflow.events.sample import Events, Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE


def _level(counts):
    counts = np.asarray(counts)
    event = np.tile(np.array([200, 0.3, 10, 1, -20], np.float32), (len(counts), 1))
    particles = np.tile(np.array([1, 0.5, 0, -1], np.float32), (int(counts.sum()), 1))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Level(event, particles, offsets, DIS_EVENT, DIS_PARTICLE)


def _events():
    """Return four good events; the second fails at detector level."""
    detector = _level([2, 0, 1, 3])
    detector.event[1] = 0
    return Events(
        event_id=np.array([10, 11, 12, 13], np.uint64),
        weight=np.array([1.0, 2.0, 0.5, 1.0]),
        pass_detector=np.array([True, False, True, True]),
        pass_particle=np.array([True, True, False, False]),
        detector=detector,
        particle=_level([1, 2, 0, 4]),
    )


def _refused(events, message):
    with pytest.raises(InputError, match=message):
        check(events, "mine.h5")


def test_good_events_are_accepted():
    check(_events(), "mine.h5")


def test_real_data_and_plain_features_are_accepted():
    events = _events()
    check(replace(events, particle=None, pass_particle=None), "mine.h5")
    plain = Level(
        np.array([[-1.0], [0], [0.5], [-2]], np.float32),
        np.empty((0, 0), np.float32),
        np.zeros(5, np.int64),
        ("x",),
        (),
    )
    check(replace(events, detector=plain, particle=plain), "mine.h5")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("level", ["detector", "particle"])
def test_features_must_be_finite(level, value):
    events = _events()
    getattr(events, level).event[2, 1] = value
    _refused(events, rf"mine\.h5: {level}/event, event 2 \(id 12\): y is -?(nan|inf); remove")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_particles_must_be_finite(value):
    events = _events()
    events.detector.particles[4, 2] = value  # rows 0, 1: event 0; row 2: event 2; 3-5: event 3
    _refused(
        events,
        r"mine\.h5: detector/particles, event 3 \(id 13\): phi of its particle 1 is (nan|inf)",
    )


def test_weights_must_be_finite():
    events = _events()
    events.weight[3] = np.nan
    _refused(events, r"mine\.h5: weight, event 3 \(id 13\): weight is nan")


@pytest.mark.parametrize("value", [0, -1])
def test_transverse_momenta_must_be_positive(value):
    events = _events()
    events.particle.particles[1, 0] = value  # the first particle of event 1
    _refused(events, r"particle/particles, event 1 \(id 11\): pt of its particle 0 is")


@pytest.mark.parametrize("name", ["event_id", "weight", "pass_detector", "pass_particle"])
def test_counts_that_disagree_are_refused(name):
    events = _events()
    if name == "event_id":
        changed = replace(events, event_id=np.arange(5, dtype=np.uint64))
        _refused(changed, r"has shape \(4,\) where \(5,\) is needed; all datasets must hold the")
    else:
        changed = replace(events, **{name: getattr(events, name)[:3]})
        _refused(changed, rf"mine\.h5: {name}: has shape \(3,\) where \(4,\) is needed")


def test_levels_that_disagree_are_refused():
    _refused(replace(_events(), particle=_level([1, 2, 3])), r"particle/event: has shape \(3, 5\)")
    _refused(replace(_events(), particle=None), "pass_particle: particle level without its flag")
    _refused(replace(_events(), pass_particle=None), "pass_particle: particle level without its")


def test_wrong_shapes_are_refused():
    events = _events()
    detector = replace(events.detector, event=events.detector.event[:, :4])
    _refused(replace(events, detector=detector), r"detector/event: has shape \(4, 4\)")
    detector = replace(events.detector, particles=events.detector.particles[:, :3])
    _refused(replace(events, detector=detector), r"detector/particles: has shape \(6, 3\)")
    detector = replace(events.detector, offsets=events.detector.offsets[:-1])
    _refused(replace(events, detector=detector), r"detector/offsets: has shape \(4,\)")


def test_wrong_types_are_refused():
    events = _events()
    _refused(replace(events, event_id=np.arange(4)), "event_id: has type int64; uint64 is needed")
    _refused(
        replace(events, pass_detector=np.array([1, 0, 1, 1])), "pass_detector: has type int64; bool"
    )


def test_offsets_must_rise_to_the_number_of_particles():
    events = _events()
    for offsets, message in [
        ([0, 2, 1, 3, 6], r"detector/offsets, event 1 \(id 11\): offsets fall"),
        ([0, 2, 2, 3, 5], "detector/offsets: run from 0 to 5 but detector/particles has 6 rows"),
        ([1, 2, 2, 3, 6], "detector/offsets: run from 1 to 6 but detector/particles has 6 rows"),
    ]:
        detector = replace(events.detector, offsets=np.array(offsets, np.int64))
        _refused(replace(events, detector=detector), message)


@pytest.mark.parametrize("name", ["pass_detector", "pass_particle"])
@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan])
def test_flags_must_be_0_or_1(name, value):
    flags = np.array([1, 0, value, 1])
    _refused(
        replace(_events(), **{name: flags}),
        rf"mine\.h5: {name}, event 2 \(id 12\): {name} is {value}.*; flags must be 0 or 1",
    )


def test_repeated_event_ids_are_refused():
    events = replace(_events(), event_id=np.array([5, 7, 6, 7], np.uint64))
    _refused(events, r"mine\.h5: event_id, event 3: 7 is already the id of event 1; ids must be")


def test_repeated_columns_are_refused():
    events = _events()
    detector = replace(events.detector, event_columns=("q2", "y", "y", "e_py", "e_pz"))
    _refused(replace(events, detector=detector), "detector: repeated column names")


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([0.0, 0, 0, 0], "weight: all weights are zero"),
        ([1.0, 1, -4, 1], "weight: the weights of all events add up to -1"),
        ([1.0, 5, -1, 0], "weight: the weights of passing events add up to 0"),
    ],
)
def test_sums_of_weights_must_be_positive(weight, message):
    _refused(replace(_events(), weight=np.array(weight)), message)


def test_single_negative_weights_are_accepted():
    check(replace(_events(), weight=np.array([1.0, 1, -0.5, 1])), "mine.h5")


def test_empty_selections_are_refused():
    events = _events()
    detector = Level(
        np.zeros((4, 5), np.float32),
        np.empty((0, 4), np.float32),
        np.zeros(5, np.int64),
        DIS_EVENT,
        DIS_PARTICLE,
    )
    _refused(
        replace(events, pass_detector=np.zeros(4, bool), detector=detector),
        "pass_detector: no event passes the detector-level selection; give more events",
    )
    _refused(events.take(np.array([], int)), "event_id: there are no events")


def test_events_that_fail_must_be_empty():
    events = _events()
    flags = events.pass_detector.copy()
    flags[2] = False
    _refused(replace(events, pass_detector=flags), r"event 2 \(id 12\): the event fails")


def test_parts_are_counted_on():
    """Numbers of events in messages are those in the whole sample."""
    events = _events()
    events.particle.event[2, 1] = np.nan
    with pytest.raises(InputError, match=r"particle/event, event 102 \(id 12\): y is nan"):
        check_part(events, "mine.h5", 100)
    check_part(_events().take(np.zeros(0, int)), "mine.h5", 100)  # a part may be empty
    check_part(_events().take(np.array([1])), "mine.h5")  # or hold none that passes


def test_places_of_repeated_ids():
    events = replace(_events(), event_id=np.array([5, 7, 6, 7], np.uint64))
    with pytest.raises(InputError, match=r"^place of 7: have one id; ids must be unique"):
        check_whole(events, "mine.h5", "place of {}".format)
