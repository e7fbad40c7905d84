import numpy as np
import pytest

from omniflow.events.sample import Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.physics.jets import cluster


def level_of(*events) -> Level:
    """Level of hand-made events, each a list of (pt, eta, phi)."""
    counts = [len(event) for event in events]
    rows = [(*particle, 0) for event in events for particle in event]
    return Level(
        np.zeros((len(events), 5), np.float32),
        np.array(rows, np.float32).reshape(-1, 4),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        DIS_EVENT,
        DIS_PARTICLE,
    )


def four_vectors(particles) -> np.ndarray:
    pt, eta, phi = np.array(particles, dtype=np.float32).astype(float).T
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], 1)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Delta R of two four-vectors, in rapidity and azimuth."""
    dy = np.arctanh(a[2] / a[3]) - np.arctanh(b[2] / b[3])
    dphi = np.angle(np.exp(1j * (np.arctan2(a[1], a[0]) - np.arctan2(b[1], b[0]))))
    return float(np.hypot(dy, dphi))


def tau(particles, n: int) -> float:
    """tau_N from its definition: exclusive kT axes, beta = 1, R0 = 1, by brute force."""
    vectors = list(four_vectors(particles))
    axes = list(vectors)
    while len(axes) > n:
        pairs = [(i, j) for i in range(len(axes)) for j in range(i)]
        i, j = min(
            pairs,
            key=lambda ij: (
                min(np.hypot(*axes[ij[0]][:2]), np.hypot(*axes[ij[1]][:2]))
                * distance(axes[ij[0]], axes[ij[1]])
            ),
        )
        merged = axes[i] + axes[j]
        axes = [axis for k, axis in enumerate(axes) if k not in (i, j)] + [merged]
    pt = [np.hypot(*vector[:2]) for vector in vectors]
    nearest = [min(distance(vector, axis) for axis in axes) for vector in vectors]
    return float(np.dot(pt, nearest) / np.sum(pt))


def test_separated_particles_are_jets_of_their_own_sorted_by_pt():
    jets = cluster(level_of([(6, 0, 1), (9, 1.5, -2), (4.9, -1, -1)]))
    assert len(jets) == 1
    assert jets.counts.tolist() == [2]
    np.testing.assert_allclose(jets.pt, [9, 6], rtol=1e-6)
    np.testing.assert_allclose(jets.eta, [1.5, 0], atol=1e-6)
    np.testing.assert_allclose(jets.phi, [-2, 1], rtol=1e-6)
    assert np.isnan(jets.tau21).all()


def test_radius_is_one():
    jets = cluster(level_of([(6, 0, 0), (6, 0.95, 0)], [(6, 0, 0), (6, 1.05, 0)]))
    assert jets.counts.tolist() == [1, 2]


def test_two_particles_in_one_jet_across_the_azimuthal_seam():
    particles = [(4, 0.2, 3.1), (3, 0.4, -3.1)]
    jets = cluster(level_of(particles))
    px, py, pz, _ = four_vectors(particles).sum(axis=0)
    pt = np.hypot(px, py)
    np.testing.assert_allclose(jets.pt, [pt], rtol=1e-6)
    np.testing.assert_allclose(jets.eta, [np.arcsinh(pz / pt)], rtol=1e-6)
    np.testing.assert_allclose(jets.phi, [np.arctan2(py, px)], rtol=1e-6)
    np.testing.assert_allclose(jets.tau21, [0], atol=1e-5)


def test_subjettiness_of_three_particles():
    # c is far from a and b, which are the first to merge.
    a, b, c = (10, 0.0, 0.0), (8, 0.1, 0.05), (5, 0.5, 0.4)
    jets = cluster(level_of([c, a, b]))
    ab = four_vectors([a, b]).sum(axis=0)
    numerator = 10 * distance(four_vectors([a])[0], ab) + 8 * distance(four_vectors([b])[0], ab)
    whole = four_vectors([a, b, c]).sum(axis=0)
    denominator = sum(
        particle[0] * distance(four_vectors([particle])[0], whole) for particle in (a, b, c)
    )
    assert jets.tau21[0] == pytest.approx(numerator / denominator, rel=1e-5)


def test_subjettiness_agrees_with_the_definition():
    rng = np.random.default_rng(5)
    events = [
        [(rng.exponential(3) + 2, rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)) for _ in range(n)]
        for n in rng.integers(3, 9, 30)
    ]
    jets = cluster(level_of(*events))
    assert jets.counts.tolist() == [1] * 30
    expected = [tau(event, 2) / tau(event, 1) for event in events]
    np.testing.assert_allclose(jets.tau21, expected, rtol=1e-4)


def test_each_jet_gets_its_own_subjettiness():
    wide = [(4, 0.0, 0.0), (3, 0.4, 0.3), (2, -0.2, 0.3)]
    narrow = [(9, 1.5, 3.0), (8, 1.6, 3.05), (1, 1.4, 2.9), (1, 1.5, 2.8)]
    jets = cluster(level_of(wide + narrow, narrow, [], wide))
    assert jets.counts.tolist() == [2, 1, 0, 1]
    expected = [tau(particles, 2) / tau(particles, 1) for particles in (narrow, wide)]
    np.testing.assert_allclose(jets.tau21, [*expected, *expected], rtol=1e-4)
    np.testing.assert_allclose(jets.pt[:2], jets.pt[2:], rtol=1e-6)


@pytest.mark.parametrize("events", [[], [[]], [[], [(4.9, 0, 0)], []]])
def test_no_jets(events):
    jets = cluster(level_of(*events))
    assert jets.offsets.tolist() == [0] * (len(events) + 1)
    assert jets.offsets.dtype == np.int64
    for column in (jets.pt, jets.eta, jets.phi, jets.tau21):
        assert column.shape == (0,)
        assert column.dtype == np.float32


def test_chunks_do_not_matter(monkeypatch, excerpt):
    level = excerpt("simulation", "gen")[0].take(np.arange(250))
    whole = cluster(level)
    monkeypatch.setattr("omniflow.physics.jets._CHUNK", 60)
    parts = cluster(level)
    for name in ("offsets", "pt", "eta", "phi", "tau21"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_jets_of_dis_events(excerpt):
    level, _ = excerpt("simulation", "gen")
    jets = cluster(level)
    assert 0.03 < np.mean(jets.counts == 0) < 0.09
    assert (jets.pt > 5).all()
    # Statistical error of the mean 0.007.
    assert np.nanmean(jets.tau21) == pytest.approx(0.619, abs=0.03)
    # The leading jet recoils against the electron.
    has = jets.counts > 0
    electron = np.arctan2(level.event[has, 3], level.event[has, 2])
    turn = np.abs(np.angle(np.exp(1j * (jets.phi[jets.offsets[:-1][has]] - electron))))
    assert np.median(turn) > 3
