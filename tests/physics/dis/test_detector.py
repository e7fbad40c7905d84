import numpy as np
import pytest

from omniflow.events.sample import Level
from omniflow.physics.dis import detector
from omniflow.physics.dis.detector import simulate
from omniflow.physics.dis.kinematics import (
    DIS_EVENT,
    DIS_PARTICLE,
    electron_kinematics,
    electron_momentum,
)


def half_width(values: np.ndarray) -> float:
    """Half of the central 68%."""
    low, high = np.percentile(values, [15.87, 84.13])
    return (high - low) / 2


def single_particles(n: int, q2: float, y: float, electron_phi: float, particle) -> Level:
    """n equal events with one particle each; the rest of the hadrons is outside of acceptance."""
    event = np.hstack([q2, y, electron_momentum(q2, y, electron_phi)])
    rows = np.array([particle], np.float32).repeat(n, axis=0)
    event = event[None].repeat(n, axis=0).astype(np.float32)
    return Level(event, rows, np.arange(n + 1), DIS_EVENT, DIS_PARTICLE)


@pytest.fixture(scope="module")
def simulated(excerpt):
    """Ten detector simulations of 1,000 independent events, and those events."""
    particle, _ = excerpt("simulation", "gen")
    particle = particle.take(np.tile(np.arange(1000), 10))
    return particle, *simulate(particle, 3)


def test_shapes_and_empty_rows(simulated):
    particle, level, passed = simulated
    assert len(level) == len(particle) == len(passed)
    assert level.event.dtype == level.particles.dtype == np.float32
    assert passed.dtype == bool
    assert (level.event[~passed] == 0).all()
    assert (level.counts[~passed] == 0).all()
    assert level.offsets[-1] == len(level.particles)
    assert np.isfinite(level.event).all()
    assert np.isfinite(level.particles).all()


def test_passing_events_fulfil_the_selection(simulated):
    _, level, passed = simulated
    q2, y = level.event[passed, 0], level.event[passed, 1]
    assert (q2 > 150).all()
    assert ((y > 0.08) & (y < 0.7)).all()
    assert (level.counts[passed] > 0).all()
    expected = electron_kinematics(level.event[passed, 2:])
    np.testing.assert_allclose([q2, y], expected, rtol=1e-4, atol=1e-5)


def test_particles_are_accepted_and_sorted(simulated):
    _, level, _ = simulated
    pt, eta, phi, charge = level.particles.T
    assert (pt >= 0.1).all()
    assert ((eta >= -1.5) & (eta <= 2.75) & (np.abs(phi) < 3.1416)).all()
    assert set(np.unique(charge)) == {-1, 0, 1}
    assert (np.abs(eta[charge != 0]) < 2.2).all()
    event = np.repeat(np.arange(len(level)), level.counts)
    assert (np.diff(pt)[event[1:] == event[:-1]] <= 0).all()


@pytest.mark.parametrize("name", ["nature", "simulation"])
def test_resembles_an_independent_simulation(excerpt, name):
    particle, _ = excerpt(name, "gen")
    expected, expected_passed = excerpt(name, "reco")
    level, passed = simulate(particle.take(np.tile(np.arange(1000), 5)), 8)

    def summary(level, passed):
        index = np.flatnonzero(passed)
        truth = particle.event[index % 1000]
        counts = level.counts[passed]
        charged = np.bincount(
            np.repeat(np.arange(len(level)), level.counts), level.particles[:, 3] != 0
        )
        ratio = level.event[passed, 0] / truth[:, 0]
        return {
            "pass": passed.mean(),
            "multiplicity": counts.mean(),
            "multiplicity spread": counts.std(),
            "charged": charged.sum() / len(index),
            "pt": np.log(level.particles[:, 0]).mean() + 5,
            "lost": (particle.counts[index % 1000] - counts).std(),
            "q2": half_width(ratio),
            "y": half_width(level.event[passed, 1] - truth[:, 1]),
        }

    ours, theirs = summary(level, passed), summary(expected, expected_passed)
    assert ours["pass"] == pytest.approx(theirs["pass"], abs=0.03)
    for key in ("multiplicity", "multiplicity spread", "charged", "pt"):
        assert ours[key] == pytest.approx(theirs[key], rel=0.05), key
    for key in ("lost", "q2", "y"):
        assert ours[key] == pytest.approx(theirs[key], rel=0.12), key


def test_electron_resolution(simulated):
    particle, level, passed = simulated
    passed = passed & (particle.event[:, 0] > 180)
    truth = np.linalg.norm(particle.event[passed, 2:], axis=1)
    response = np.linalg.norm(level.event[passed, 2:], axis=1) / truth
    pull = (response - 1) / np.hypot(0.11 / np.sqrt(truth), 0.01)
    assert half_width(pull) == pytest.approx(1, abs=0.12)
    # Radiation makes the tail on the low side.
    assert (pull < -3.5).mean() > 5 * (pull > 3.5).mean()
    for low, high in ((0.2, 0.35), (0.35, 0.5), (0.5, 0.65)):
        bin_ = (particle.event[passed, 1] > low) & (particle.event[passed, 1] < high)
        width = half_width((level.event[passed, 1] - particle.event[passed, 1])[bin_])
        assert 0.01 < width < 0.025


def test_track_resolution_and_efficiency():
    n = 4000
    level, passed = simulate(single_particles(n, 400, 0.3, 0.4, (2, 0.5, -2.7, 1)), 1)
    tracks = level.particles[level.particles[:, 3] == 1]
    near = np.abs(tracks[:, 0] / 2 - 1) < 0.2
    # 0.5% pT and 1.5% at 2 GeV; the efficiency of a track in the middle of the tracker.
    assert half_width(tracks[near, 0] / 2) == pytest.approx(np.hypot(0.015, 0.01), rel=0.1)
    assert half_width(tracks[near, 1]) == pytest.approx(0.0022, rel=0.15)
    assert near.sum() / passed.sum() == pytest.approx(0.94, abs=0.02)

    # Events without a track may fail for want of a particle, so the yardstick is as above.
    slow, _ = simulate(single_particles(n, 400, 0.3, 0.4, (0.12, 0.5, -2.7, 1)), 1)
    assert 0.3 < (slow.particles[:, 3] == 1).sum() / passed.sum() < 0.6


def test_cracks_lose_electrons():
    particle = (3.0, 0.5, -2.7, 0)
    _, crack = simulate(single_particles(2000, 400, 0.3, np.pi / 4, particle), 1)
    _, away = simulate(single_particles(2000, 400, 0.3, np.pi / 4 + 0.1, particle), 1)
    assert crack.mean() < 0.6 * away.mean()


def test_soft_electrons_are_lost():
    def found(energy: float) -> float:
        # On the line y = 0.6, Q2 follows from the energy.
        q2 = 4 * 27.6 * (energy - 27.6 * 0.4)
        level = single_particles(2000, q2, 0.6, 0.2, (3.0, 0.5, -2.7, 0))
        return detector._electron(level.event[:, 2:].astype(float), np.random.default_rng(1))[1]

    assert found(30.0).mean() == pytest.approx(0.985, abs=0.015)
    assert 0.6 < found(11.2).mean() < 0.95


def test_seed_fixes_the_result(simulated):
    particle = simulated[0].take(np.arange(300))
    first, flag = simulate(particle, 3)
    again, flag_again = simulate(particle, 3)
    np.testing.assert_array_equal(first.particles, again.particles)
    np.testing.assert_array_equal(first.event, again.event)
    np.testing.assert_array_equal(flag, flag_again)
    other, _ = simulate(particle, 4)
    assert not np.array_equal(first.event, other.event)


def test_later_events_do_not_change_earlier_chunks(simulated):
    particle, level, passed = simulated
    more = particle.take(np.concatenate([np.arange(10_000), np.arange(500)]))
    longer, flag = simulate(more, 3)
    np.testing.assert_array_equal(flag[:10_000], passed)
    np.testing.assert_array_equal(longer.event[:10_000], level.event)
    np.testing.assert_array_equal(longer.particles[: level.offsets[-1]], level.particles)
    # The second chunk has random numbers of its own.
    assert not np.array_equal(longer.event[10_000:], level.event[:500])


def test_v0_pions_have_the_kaon_mass_and_momentum():
    rng = np.random.default_rng(2)
    pt, eta, phi = (
        rng.exponential(1, 500) + 0.05,
        rng.uniform(-1.5, 2, 500),
        rng.uniform(-3, 3, 500),
    )
    index, pi_pt, pi_eta, pi_phi, charge = detector._decay_v0(np.arange(500), pt, eta, phi, rng)

    def momentum(pt, eta, phi):
        return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)

    pions = momentum(pi_pt, pi_eta, pi_phi)
    energy = np.sqrt((pions**2).sum(axis=1) + 0.1396**2)
    total, total_energy = pions[:500] + pions[500:], energy[:500] + energy[500:]
    np.testing.assert_allclose(total, momentum(pt, eta, phi), atol=1e-9)
    mass = np.sqrt(total_energy**2 - (total**2).sum(axis=1))
    np.testing.assert_allclose(mass, 0.4976, rtol=1e-6)
    np.testing.assert_array_equal(charge[:500] + charge[500:], 0)
    np.testing.assert_array_equal(index[:500], index[500:])


def test_clusters_merge_within_a_cell_of_one_event_only():
    index = np.array([0, 0, 1, 0])
    energy, eta = np.array([2.0, 6, 3, 1]), np.array([0.101, 0.105, 0.105, 1.5])
    phi = np.array([0.101, 0.105, 0.105, 0.1])
    event, pt, eta_sum, phi_sum, charge = detector._merge(2, (index, energy, eta, phi))
    order = np.lexsort((pt, event))
    np.testing.assert_array_equal(event[order], [0, 0, 1])
    np.testing.assert_allclose((pt * np.cosh(eta_sum))[order], [1, 8, 3])
    np.testing.assert_allclose(eta_sum[order], [1.5, 0.104, 0.105])
    np.testing.assert_allclose(phi_sum[order], [0.1, 0.104, 0.105])
    np.testing.assert_array_equal(charge, 0)
