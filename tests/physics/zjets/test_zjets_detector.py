import numpy as np
import pytest

from omniflow.events.sample import Level
from omniflow.physics.zjets.detector import NEUTRAL_HADRON, PHOTON, simulate
from omniflow.physics.zjets.generator import PARTICLE


def level_of(rows, counts):
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.array(rows, np.float32).reshape(-1, len(PARTICLE))
    return Level(np.zeros((len(counts), 0), np.float32), rows, offsets, (), PARTICLE)


def alone(pt, eta, pdg, n=2000):
    """N events of one particle each, at azimuths all around."""
    phi = np.linspace(-np.pi, np.pi, n, endpoint=False)
    return level_of([(pt, eta, angle, 0.0, pdg) for angle in phi], np.ones(n, int))


@pytest.mark.parametrize(
    ("pt", "eta", "share"), [(0.5, 0.3, 0.70), (5.0, 0.3, 0.95), (5.0, 2.0, 0.85), (5.0, 2.8, 0)]
)
def test_efficiency_of_tracks(pt, eta, share):
    seen = simulate(alone(pt, eta, 211), (1,))
    tracks = (seen.particles[:, 4] == 211).sum()
    assert tracks / 2000 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 2000))


@pytest.mark.parametrize(
    ("pdg", "code", "relative"),
    [
        # sigma(E) / E of 50 GeV: constant, stochastic and noise terms in quadrature
        (22, PHOTON, np.sqrt(0.008**2 + 0.11**2 / 50 + (0.40 / 50) ** 2)),
        (2112, NEUTRAL_HADRON, np.sqrt(0.050**2 + 1.5**2 / 50)),
    ],
)
def test_resolution_of_towers(pdg, code, relative):
    seen = simulate(alone(50.0, 0.0, pdg), (2,))
    assert set(seen.particles[:, 4]) == {code}
    assert len(seen.particles) > 1990
    pt, eta, phi = seen.particles[:, :3].T
    energy = pt * np.cosh(eta)
    assert energy.mean() == pytest.approx(50, abs=5 * 50 * relative / np.sqrt(2000))
    assert energy.std() / 50 == pytest.approx(relative, rel=0.1)
    assert (np.abs(eta) < 0.1).all()
    off = phi - np.repeat(np.linspace(-np.pi, np.pi, 2000, endpoint=False), seen.counts)
    assert np.abs((off + np.pi) % (2 * np.pi) - np.pi).max() < 0.1  # a tower's width


def test_energy_of_tracks_is_not_counted_twice():
    """A charged hadron is a track; its tower adds what fluctuates up, not its energy once more."""
    seen = simulate(alone(100.0, 0.3, 211), (3,))
    total = np.bincount(np.repeat(np.arange(2000), seen.counts), seen.particles[:, 0], 2000)
    assert 95 < np.median(total) < 110


def test_muons_reach_no_tower_and_neutrinos_nothing_else():
    muons = simulate(alone(20.0, 0.5, 13), (4,))
    assert set(muons.particles[:, 4]) == {13}


def test_seed_decides_and_order_is_by_momentum():
    level = level_of(
        [(20, 0.1, 0, 0.14, 211), (30, 0.2, 1, 0, 22), (10, 0, 2, 0.94, 2112)] * 50, [3] * 50
    )
    first, again, other = (simulate(level, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first.particles, again.particles)
    assert not np.array_equal(first.particles[:5], other.particles[:5])
    event = np.repeat(np.arange(50), first.counts)
    assert (np.diff(first.particles[:, 0])[np.diff(event) == 0] <= 0).all()
