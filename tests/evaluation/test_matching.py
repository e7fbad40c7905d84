import math

import numpy as np
import pytest

from omniflow.evaluation import matching
from omniflow.evaluation.matching import NOWHERE, Objects, match


def jets(*events):
    """Jets of events, each a list of (eta, phi)."""
    event = np.repeat(np.arange(len(events)), [len(e) for e in events])
    rows = np.array([jet for e in events for jet in e], np.float32).reshape(-1, 2)
    return Objects(event, np.zeros(len(event), np.float32), *rows.T)


def brute_force(particle, detector, both, radius):
    """Partners by looking at all pairs again and again."""
    partner = np.full(len(particle), NOWHERE)
    for event in np.flatnonzero(both):
        pairs = {}
        for i in np.flatnonzero(particle.event == event):
            for j in np.flatnonzero(detector.event == event):
                # the angle between unit vectors knows nothing of wrapping
                a, b = float(particle.phi[i]), float(detector.phi[j])
                dphi = abs(math.atan2(math.sin(a - b), math.cos(a - b)))
                pairs[i, j] = math.hypot(float(particle.eta[i]) - float(detector.eta[j]), dphi)
        while pairs and min(pairs.values()) < radius:
            i, j = min(pairs, key=pairs.get)
            partner[i] = j
            pairs = {k: v for k, v in pairs.items() if k[0] != i and k[1] != j}
    return partner


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_against_brute_force(monkeypatch, chunk):
    monkeypatch.setattr(matching, "CHUNK", chunk)
    rng = np.random.default_rng(3)
    levels = []
    for _ in range(2):
        counts = rng.integers(0, 5, 60)
        # a crowd on both sides of the seam, so that jets compete
        phi = [(rng.uniform(2, 4, n) + np.pi) % (2 * np.pi) - np.pi for n in counts]
        levels.append(jets(*(np.c_[rng.uniform(-1, 1, len(p)), p].tolist() for p in phi)))
    both = rng.random(60) < 0.8
    found = match(*levels, both, 1.0)
    expected = brute_force(*levels, both, 1.0)
    assert 40 < np.sum(expected != NOWHERE) < len(expected) / 2
    np.testing.assert_array_equal(found, expected)


def test_closest_pair_first_even_if_it_leaves_others_alone():
    # 0.1 is closest to 0.2; then 0.0 has 0.9, which is farther than its first choice
    particle = jets([(0.0, 0.0), (0.1, 0.0)])
    detector = jets([(0.2, 0.0), (0.9, 0.0)])
    assert match(particle, detector, np.array([True]), 1.0).tolist() == [1, 0]
    assert match(particle, detector, np.array([True]), 0.5).tolist() == [NOWHERE, 0]


def test_across_the_azimuthal_seam_and_never_across_events():
    particle = jets([(0.5, 3.1)], [(0.0, 0.0)], [])
    detector = jets([(0.5, -3.1)], [], [(0.0, 0.0)])
    assert match(particle, detector, np.ones(3, bool), 1.0).tolist() == [0, NOWHERE]


def test_only_events_of_both_levels():
    particle = detector = jets([(0.5, 1.0)], [(0.0, 0.0)])
    assert match(particle, detector, np.array([False, True]), 1.0).tolist() == [NOWHERE, 1]


def test_no_jets():
    empty = jets([], [])
    assert len(match(empty, jets([(0, 0)], []), np.ones(2, bool), 1.0)) == 0
    assert match(jets([(0, 0)], []), empty, np.ones(2, bool), 1.0).tolist() == [NOWHERE]
