import math

import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.events.sample import Level
from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE
from omniflow.physics.jets import JetDefinition
from omniflow.physics.jets import cluster as cluster_by

KT = JetDefinition("kt", 1.0, 5.0)


def cluster(level, definition=KT):
    return cluster_by(level, definition)


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
    assert np.isnan(jets.tau_ratio(2)).all()


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
    np.testing.assert_allclose(jets.tau_ratio(2), [0], atol=1e-5)


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
    assert jets.tau_ratio(2)[0] == pytest.approx(numerator / denominator, rel=1e-5)


def test_subjettiness_agrees_with_the_definition():
    rng = np.random.default_rng(5)
    events = [
        [(rng.exponential(3) + 2, rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)) for _ in range(n)]
        for n in rng.integers(3, 9, 30)
    ]
    jets = cluster(level_of(*events))
    assert jets.counts.tolist() == [1] * 30
    expected = [tau(event, 2) / tau(event, 1) for event in events]
    np.testing.assert_allclose(jets.tau_ratio(2), expected, rtol=1e-4)


def test_each_jet_gets_its_own_subjettiness():
    wide = [(4, 0.0, 0.0), (3, 0.4, 0.3), (2, -0.2, 0.3)]
    narrow = [(9, 1.5, 3.0), (8, 1.6, 3.05), (1, 1.4, 2.9), (1, 1.5, 2.8)]
    jets = cluster(level_of(wide + narrow, narrow, [], wide))
    assert jets.counts.tolist() == [2, 1, 0, 1]
    expected = [tau(particles, 2) / tau(particles, 1) for particles in (narrow, wide)]
    np.testing.assert_allclose(jets.tau_ratio(2), [*expected, *expected], rtol=1e-4)
    np.testing.assert_allclose(jets.pt[:2], jets.pt[2:], rtol=1e-6)


@pytest.mark.parametrize("events", [[], [[]], [[], [(4.9, 0, 0)], []]])
def test_no_jets(events):
    jets = cluster(level_of(*events))
    assert jets.offsets.tolist() == [0] * (len(events) + 1)
    assert jets.offsets.dtype == np.int64
    for column in (jets.pt, jets.eta, jets.phi, jets.mass, jets.width, jets.tau(1)):
        assert column.shape == (0,)
        assert column.dtype == np.float32
    assert jets.multiplicity.shape == jets.tau_ratio(2).shape == jets.event_index.shape == (0,)
    assert jets.groomed(0.1, 0).mass.shape == jets.groomed(0.1, 0).zg.shape == (0,)


def test_other_events_do_not_matter(excerpt):
    level = excerpt("simulation", "gen")[0].take(np.arange(250))
    whole = cluster(level)
    parts = [cluster(level.take(np.arange(first, first + 50))) for first in range(0, 250, 50)]
    for name in ("counts", "pt", "eta", "phi", "mass", "multiplicity", "width"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(whole, name), joined)
    for n in (2, 3):
        joined = np.concatenate([part.tau_ratio(n) for part in parts])
        np.testing.assert_array_equal(whole.tau_ratio(n), joined)
    joined = np.concatenate([part.groomed(0.1, 0).zg for part in parts])
    np.testing.assert_array_equal(whole.groomed(0.1, 0).zg, joined)


def test_jets_of_dis_events(excerpt):
    level, _ = excerpt("simulation", "gen")
    jets = cluster(level)
    assert 0.03 < np.mean(jets.counts == 0) < 0.09
    assert (jets.pt > 5).all()
    # Statistical error of the mean 0.007.
    assert np.nanmean(jets.tau_ratio(2)) == pytest.approx(0.619, abs=0.03)
    # The leading jet recoils against the electron.
    has = jets.counts > 0
    electron = np.arctan2(level.event[has, 3], level.event[has, 2])
    turn = np.abs(np.angle(np.exp(1j * (jets.phi[jets.offsets[:-1][has]] - electron))))
    assert np.median(turn) > 3


# -- definitions and substructure: jets whose numbers are known ------------------------------------

WIDE = JetDefinition("antikt", 1.0, 1.0)
# Two prongs 0.6 apart, at the same pseudorapidity: all is known in closed form.
PRONGS = [(60, 0.0, 0.3), (20, 0.0, 0.9)]
PRONGS_MASS = math.sqrt(2 * 60 * 20 * (1 - math.cos(0.6)))


def test_kt_starts_with_the_soft_particles_and_antikt_with_the_hard():
    """A chain of particles: hard, soft, hard; the soft one lies closer to the softer hard one."""
    chain = [(100, 0.0, 0.0), (2, 0.0, 0.75), (30, 0.0, 1.3)]
    kt, antikt = (
        cluster(level_of(chain), JetDefinition(name, 1.0, 1.0)) for name in ("kt", "antikt")
    )
    # kt: d(soft, softer hard) = 2^2 0.55^2 is the smallest distance.
    assert kt.multiplicity.tolist() == [1, 2]
    # anti-kt: d(soft, hard) = 0.75^2 / 100^2 is.
    assert antikt.multiplicity.tolist() == [2, 1]
    cambridge = cluster(level_of(chain), JetDefinition("cambridge", 1.0, 1.0))
    assert cambridge.multiplicity.tolist() == [1, 2]  # the closest pair


def test_radius_and_threshold_are_those_of_the_definition():
    event = [(30, 0, 0), (20, 0.5, 0), (4, 2, 2)]
    assert cluster(level_of(event), JetDefinition("antikt", 0.4, 3.0)).pt.tolist() == [30, 20, 4]
    assert cluster(level_of(event), JetDefinition("antikt", 0.4, 25.0)).pt.tolist() == [30]
    assert cluster(level_of(event), JetDefinition("antikt", 0.6, 25.0)).pt.tolist() == [50]


def test_two_prongs():
    jets = cluster(level_of(PRONGS), WIDE)
    px, py = 60 * np.cos(0.3) + 20 * np.cos(0.9), 60 * np.sin(0.3) + 20 * np.sin(0.9)
    phi = np.arctan2(py, px)
    # Weighted mean distance of the prongs to the jet, which lies between them.
    width = (60 * (phi - 0.3) + 20 * (0.9 - phi)) / 80
    assert jets.multiplicity.tolist() == [2]
    np.testing.assert_allclose(jets.mass, [PRONGS_MASS], rtol=1e-6)
    np.testing.assert_allclose(jets.width, [width], rtol=1e-6)
    np.testing.assert_allclose(jets.tau(1), [width / 1.0], rtol=1e-6)  # divided by R0
    np.testing.assert_allclose(jets.tau(2), [0], atol=1e-7)
    np.testing.assert_allclose(jets.tau_ratio(2), [0], atol=1e-6)
    assert np.isnan(jets.tau_ratio(3)).all()
    narrow = cluster(level_of(PRONGS), JetDefinition("antikt", 0.8, 1.0))
    np.testing.assert_allclose(narrow.tau(1), [width / 0.8], rtol=1e-6)
    groomed = jets.groomed(0.1, 0.0)
    np.testing.assert_allclose(groomed.zg, [20 / 80], rtol=1e-6)
    np.testing.assert_allclose(groomed.mass, [PRONGS_MASS], rtol=1e-6)


def test_soft_drop_drops_what_is_soft():
    wide_angle = (5, 0.0, -0.5)  # 5 / 85 of the pT, merged last
    jets = cluster(level_of([*PRONGS, wide_angle]), JetDefinition("antikt", 1.2, 1.0))
    assert jets.multiplicity.tolist() == [3]
    np.testing.assert_allclose(jets.groomed(0.1, 0.0).mass, [PRONGS_MASS], rtol=1e-6)
    np.testing.assert_allclose(jets.groomed(0.1, 0.0).zg, [0.25], rtol=1e-6)
    np.testing.assert_allclose(jets.groomed(0.01, 0.0).mass, jets.mass, rtol=1e-6)
    # Nothing passes: one massless particle is left, without branches.
    assert jets.groomed(0.3, 0.0).mass.tolist() == [0]
    assert np.isnan(jets.groomed(0.3, 0.0).zg).all()
    # beta > 0 lowers the threshold at small angles: 0.3 (0.6 / 1.2)^1 = 0.15 < 0.25.
    np.testing.assert_allclose(jets.groomed(0.3, 1.0).zg, [0.25], rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["kt", "antikt", "cambridge"])
def test_substructure_does_not_depend_on_how_the_same_jet_was_found(algorithm):
    particles = [(60, 0.1, 0.3), (20, 0.0, 0.9), (3, 0.2, 0.5), (7, -0.2, 0.6)]
    jets = cluster(level_of(particles), JetDefinition(algorithm, 1.5, 1.0))
    reference = cluster(level_of(particles), JetDefinition("kt", 1.5, 1.0))
    assert jets.multiplicity.tolist() == [4]
    for n in (1, 2, 3):
        np.testing.assert_allclose(jets.tau(n), reference.tau(n), rtol=1e-5)
        np.testing.assert_allclose(jets.tau(n) * 1.5, [tau(particles, n)], rtol=1e-4)
    np.testing.assert_allclose(jets.tau_ratio(3), jets.tau(3) / jets.tau(2), rtol=1e-5)
    np.testing.assert_allclose(jets.groomed(0.1, 0).mass, reference.groomed(0.1, 0).mass, rtol=1e-6)


def test_width_is_that_of_tau_1(excerpt):
    """The axis of tau_1 is the jet, so that both are the same mean."""
    jets = cluster(excerpt("simulation", "gen")[0].take(np.arange(100)), KT)
    several = jets.multiplicity > 1
    np.testing.assert_allclose(jets.width[several], jets.tau(1)[several], rtol=1e-5)
    assert (jets.tau(1)[~several] == 0).all()


def test_distances_are_in_rapidity():
    """Of massive particles; seen by what a boost along the beam leaves as it is."""

    def jets(boost):
        rapidity, pt, mass = np.array([0.1, 0.5]) + boost, np.array([30.0, 20.0]), 5.0
        pz = np.hypot(pt, mass) * np.sinh(rapidity)
        rows = np.stack([pt, np.arcsinh(pz / pt), [0.0, 0.3], np.full(2, mass)], axis=1)
        columns = ("pt", "eta", "phi", "mass")
        level = Level(
            np.zeros((1, 0), np.float32), rows.astype(np.float32), np.array([0, 2]), (), columns
        )
        return cluster(level, WIDE)

    still, moving = jets(0.0), jets(1.7)
    for name in ("pt", "mass", "width"):
        np.testing.assert_allclose(getattr(moving, name), getattr(still, name), rtol=1e-5)
    assert still.mass[0] > 10


def test_missing_columns_are_named():
    level = Level(np.ones((2, 1), "f4"), np.ones((2, 2), "f4"), np.arange(3), ("x",), ("pt", "q"))
    with pytest.raises(InputError, match=r"phi, but this level has pt, q: .* add eta, phi"):
        cluster(level)


def test_leading_jets_and_their_particles():
    level = level_of([(10, 0, 0), (30, 2, 1), (20, 2.1, 1.1)], [(1, 0, 0)], [(8, -1, 0), (7, 1, 2)])
    jets = cluster(level)
    leading = jets.leading()
    assert leading.counts.tolist() == [1, 0, 1]
    assert leading.pt.tolist() == jets.pt[[0, 2]].tolist()
    assert sorted(leading.rows[0].tolist()) == [1, 2]
    assert leading.rows[1].tolist() == [4]
    assert leading.multiplicity.tolist() == [2, 1]
    np.testing.assert_array_equal(leading.tau(1), jets.tau(1)[[0, 2]])
    some = level.take(np.array([2, 0]))
    assert [sorted(rows) for rows in cluster(some).leading().rows.tolist()] == [[0], [3, 4]]
    none = cluster(level_of([], [(1, 0, 0)])).leading()
    assert len(none.rows) == 0
    assert none.counts.tolist() == [0, 0]
