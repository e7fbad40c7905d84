import numpy as np
import pytest

from omniflow.physics.dis.sample import make_sample


@pytest.fixture(scope="module")
def sample(recipe):
    calls = []
    return make_sample(recipe("simulation", 600), calls.append), calls


def test_sample_has_both_levels_and_flags(sample, excerpt):
    events, calls = sample
    assert len(events) == 600
    assert calls[-1] == 600
    assert sorted(calls) == calls
    assert events.event_id.dtype == np.uint64
    np.testing.assert_array_equal(events.event_id, np.arange(600))
    assert events.weight.dtype == np.float64
    assert (events.weight == 1).all()
    np.testing.assert_array_equal(events.pass_particle, excerpt("simulation", "gen")[1][:600])
    assert events.detector.counts[~events.pass_detector].sum() == 0
    assert (events.detector.counts[events.pass_detector] > 0).all()
    assert 0.45 < events.pass_detector.mean() < 0.6


def test_detector_level_follows_particle_level(sample):
    events, _ = sample
    passed = events.pass_detector
    q2 = events.detector.event[passed, 0] / events.particle.event[passed, 0]
    assert np.abs(np.median(q2) - 1) < 0.01
    counts = np.corrcoef(events.detector.counts[passed], events.particle.counts[passed])
    assert counts[0, 1] > 0.9
