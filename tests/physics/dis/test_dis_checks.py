from dataclasses import replace

import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.events.sample import Events, Level
from omniflow.physics.dis.checks import check
from omniflow.physics.dis.h1 import H1
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.physics.dis.pythia import Pythia


def _level():
    event = np.tile(np.array([200, 0.3, 10, 1, -20], np.float32), (3, 1))
    none = np.zeros((0, len(DIS_PARTICLE)), np.float32)
    return Level(event, none, np.zeros(4, np.int64), DIS_EVENT, DIS_PARTICLE)


def _events():
    """Three events; the second fails at detector level."""
    detector = _level()
    detector.event[1] = 0
    flag = np.array([True, False, True])
    ids = np.array([10, 11, 12], np.uint64)
    return Events(ids, np.ones(3), flag, np.ones(3, bool), detector, _level())


def test_good_events_are_accepted():
    check(_events(), "mine.h5")
    check(replace(_events(), particle=None, pass_particle=None), "mine.h5")


@pytest.mark.parametrize("level", ["detector", "particle"])
def test_events_need_an_electron_and_q2(level):
    events = _events()
    getattr(events, level).event[2, 2:4] = 0
    with pytest.raises(
        InputError,
        match=rf"^mine\.h5: {level}/event, event 2 \(id 12\): the electron has no transverse "
        "momentum; remove the event or correct its selection flag",
    ):
        check(events, "mine.h5")
    events = _events()
    getattr(events, level).event[0, 0] = -1
    with pytest.raises(InputError, match=rf"{level}/event, event 70 \(id 10\): q2 is not pos"):
        check(events, "mine.h5", 70)


@pytest.mark.parametrize(
    "source",
    [H1(source="h1", files=("a.h5",)), Pythia(source="pythia", events=3, seed=1)],
)
def test_sources_of_dis_events_check_them(source):
    source.check(_events(), 0)
    events = _events()
    events.particle.event[2, 0] = 0
    with pytest.raises(InputError, match=r"event 2 \(id 12\): q2 is not positive"):
        source.check(events, 0)
    assert source.units()["q2"] == "GeV^2"
