from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from omniflow.evaluation import bayes
from omniflow.evaluation.bayes import Response
from omniflow.evaluation.matching import NOWHERE

EDGES = np.array([0.0, 1.0, 2.0])
# Every fourth event migrates; the second cell has an efficiency of 1/2.
TWO = Response(np.array([[3.0, 1.0], [1.0, 3.0]]), np.array([0.0, 4.0]), np.zeros(2))
DATA = np.array([8.0, 4.0])


def unfold(simulation, data, iterations, scale=1.0, covariance=None, **options):
    covariance = np.diag(data) if covariance is None else covariance
    data = np.asarray(data, float)
    return bayes.unfold(simulation, data, covariance, iterations, scale, **options)


def well_conditioned(size=6):
    """Half of the events stay in their cell, the rest go to its neighbours or are missed."""
    migration = 0.5 * np.eye(size) + 0.2 * (np.eye(size, k=1) + np.eye(size, k=-1))
    yields = np.array([100.0, 250.0, 400.0, 300.0, 150.0, 80.0])
    matched = yields[:, None] * migration
    fakes = np.linspace(5, 20, size)
    return Response(matched, yields - matched.sum(axis=1), fakes), migration, yields


def with_a_column_of_fakes():
    """The same with one more detector-level cell, which only fakes are seen in."""
    simulation, migration, yields = well_conditioned()
    nothing = np.zeros((len(yields), 1))
    matched, fakes = np.hstack([simulation.matched, nothing]), np.append(simulation.fakes, 8.0)
    return Response(matched, simulation.misses, fakes), np.hstack([migration, nothing]), yields


def test_two_cells_by_hand():
    content, covariance = unfold(TWO, DATA, 2)
    # D'Agostini: (3/4 8 + 1/4 4) / 1 and (1/4 8 + 3/4 4) / (1/2)
    np.testing.assert_allclose(content[0], [7, 10])
    # prior 7 : 10, hence expected 6.5 and 5.5, posteriors 21/26 and 7/22 of the first cell
    np.testing.assert_allclose(content[1], [1106 / 143, 1220 / 143])
    np.testing.assert_allclose(content[1, 0], 21 / 26 * 8 + 7 / 22 * 4)
    # content[0] is linear in the data, which have variances 8 and 4
    np.testing.assert_allclose(covariance[0], [[4.75, 4.5], [4.5, 11]])


def test_the_scale_cancels_without_fakes():
    expected = unfold(TWO, DATA, 3)
    for scale in (7.0, None):
        for found, known in zip(unfold(TWO, DATA, 3, scale), expected, strict=True):
            np.testing.assert_allclose(found, known)


def test_perfect_detector_gives_the_data_at_once():
    perfect = Response(np.diag([5.0, 7.0, 1.0]), np.zeros(3), np.zeros(3))
    data = np.array([2.0, 11.0, 3.0])
    content, covariance = unfold(perfect, data, 3)
    np.testing.assert_allclose(content, np.tile(data, (3, 1)))
    np.testing.assert_allclose(covariance, np.tile(np.diag(data), (3, 1, 1)), atol=1e-12)


def test_misses_and_fakes_by_hand():
    simulation = Response(np.diag([2.0, 4.0]), np.array([0.0, 4.0]), np.array([2.0, 0.0]))
    content, _ = unfold(simulation, [6.0, 8.0], 60, scale=2.0)
    # First cell: of 8 expected, 4 are fakes, so that half of 6 remain; then 3 of 7; in the end the
    # 4 fakes are subtracted. Second cell: 8 at an efficiency of 1/2.
    np.testing.assert_allclose(content[:2], [[3, 16], [18 / 7, 16]])
    np.testing.assert_allclose(content[-1], [2, 16])


def test_fakes_that_follow_by_hand():
    """The second cell has fakes alone: they keep the yield of the simulation."""
    simulation = Response(np.array([[2.0, 0.0]]), np.array([2.0]), np.array([1.0, 3.0]))
    content, covariance = unfold(simulation, [9.0, 5.0], 3, scale=2.0, fakes_follow=True)
    # Two of three in the first cell are matched: 9 * 2/3 / 0.5, at once and for good.
    np.testing.assert_allclose(content, [[12]] * 3)
    # (4/3)^2 * 9: the data of the second cell count nowhere
    np.testing.assert_allclose(covariance, [[[16]]] * 3)


@pytest.mark.parametrize("scale", [None, 1.0, 4.0])
def test_fakes_that_follow_matched_events_reach_truth(scale):
    """Truth is known: fakes of data are the simulated fraction of their matched events."""
    simulation = Response(
        np.array([[60.0, 20.0], [40.0, 100.0]]), np.array([20.0, 60.0]), np.array([30.0, 40.0])
    )
    truth = np.array([150.0, 100.0])
    seen = truth / [100, 200] @ simulation.matched
    data = seen * (1 + simulation.fakes / [100, 120])
    content, _ = unfold(simulation, data, 400, scale, fakes_follow=True)
    np.testing.assert_allclose(content[-1], truth, rtol=1e-9)
    # Simulated yields of fakes are wrong here, and no number of iterations helps.
    assert np.abs(unfold(simulation, data, 400, 1.0)[0][-1] / truth - 1).min() > 0.01


@pytest.mark.parametrize("scale", [None, 1.7])
def test_simulation_unfolds_to_its_own_truth(scale):
    simulation, _, yields = well_conditioned()
    factor = 1.7
    data = factor * (simulation.matched.sum(axis=0) + simulation.fakes)
    content, _ = unfold(simulation, data, 5, scale)
    np.testing.assert_allclose(content, np.tile(factor * yields, (5, 1)), rtol=1e-12)


def test_many_iterations_approach_the_inverse_matrix():
    simulation, migration, yields = well_conditioned()
    truth = yields * np.linspace(1.3, 0.8, len(yields))
    data = truth @ migration + simulation.fakes
    inverse = np.linalg.inv(migration.T)
    content, covariance = unfold(simulation, data, 3000)
    np.testing.assert_allclose(content[-1], inverse @ (data - simulation.fakes), rtol=1e-5)
    np.testing.assert_allclose(
        covariance[-1], inverse @ np.diag(data) @ inverse.T, atol=1e-3 * covariance[-1].max()
    )
    assert np.abs(content[0] / truth - 1).max() > 0.05


@pytest.mark.parametrize("scale", [None, 1.0])
def test_covariance_against_toys(scale):
    """After the first iteration and after the fourth."""
    simulation, migration, yields = well_conditioned()
    mean = 10 * (yields * np.linspace(1.3, 0.8, len(yields)) @ migration + simulation.fakes)
    rng = np.random.default_rng(5)
    factor = None if scale is None else 10 * scale
    toys = np.array([unfold(simulation, rng.poisson(mean), 4, factor)[0] for _ in range(2000)])
    covariances = unfold(simulation, mean, 4, factor)[1]
    for iteration in (0, 3):
        covariance, measured = covariances[iteration], np.cov(toys[:, iteration].T)
        errors = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(np.sqrt(np.diag(measured)) / errors, 1, atol=0.05)
        # 2000 toys know a correlation to 0.022 and a standard deviation to 0.016
        np.testing.assert_allclose(
            measured / np.outer(errors, errors), covariance / np.outer(errors, errors), atol=0.08
        )


@pytest.mark.parametrize("fakes_follow", [False, True])
@pytest.mark.parametrize("scale", [None, 1.2])
def test_derivative_against_differences(scale, fakes_follow):
    simulation, migration, yields = with_a_column_of_fakes()
    data = 0.9 * yields @ migration + 2 * simulation.fakes
    size, step, options = len(data), 1e-3, {"fakes_follow": fakes_follow}
    columns = [
        (
            unfold(simulation, data + step * unit, 3, scale, **options)[0][-1]
            - unfold(simulation, data - step * unit, 3, scale, **options)[0][-1]
        )
        / (2 * step)
        for unit in np.eye(size)
    ]
    jacobian = np.array(columns).T
    _, covariance = unfold(simulation, data, 3, scale, np.eye(size), **options)
    np.testing.assert_allclose(covariance[-1], jacobian @ jacobian.T, rtol=1e-6, atol=1e-8)


def test_what_is_never_seen_keeps_the_prior():
    simulation = Response(np.array([[4.0, 0.0], [0.0, 0.0]]), np.array([1.0, 6.0]), np.zeros(2))
    # no simulated event reaches the second cell: its data have no cause
    content, covariance = unfold(simulation, [8.0, 3.0], 2, scale=2.0)
    np.testing.assert_allclose(content, [[10, 12], [10, 12]])
    np.testing.assert_allclose(covariance[-1], [[8 * 1.25**2, 0], [0, 0]])


def _with_sums(simulation, sums):
    """The same simulation with other sums: matched, misses, fakes in one array."""
    t, d = simulation.matched.shape
    matched, misses, fakes = np.split(sums, [t * d, t * d + t])
    return Response(matched.reshape(t, d), misses, fakes)


def _sums(simulation):
    return np.concatenate([simulation.matched.ravel(), simulation.misses, simulation.fakes])


@pytest.mark.parametrize("fakes_follow", [False, True])
@pytest.mark.parametrize("scale", [None, 1.2])
def test_derivative_of_the_simulation_against_differences(scale, fakes_follow):
    simulation, migration, yields = with_a_column_of_fakes()
    data = 0.9 * yields @ migration + 2 * simulation.fakes
    sums, step, options = _sums(simulation), 1e-4, {"fakes_follow": fakes_follow}
    filled = sums > 0  # nothing is taken from empty cells
    columns = [
        (
            unfold(_with_sums(simulation, sums + step * unit), data, 3, scale, **options)[0][-1]
            - unfold(_with_sums(simulation, sums - step * unit), data, 3, scale, **options)[0][-1]
        )
        / (2 * step)
        for unit in np.eye(len(sums))[filled]
    ]
    jacobian = np.array(columns).T
    exact = replace(simulation, covariance=sparse.csr_array(np.diag(filled.astype(float))))
    nothing = np.zeros((7, 7))
    _, covariance = unfold(exact, data, 3, scale, nothing, **options)
    np.testing.assert_allclose(covariance[-1], jacobian @ jacobian.T, rtol=1e-5, atol=1e-7)


def test_error_of_an_efficiency_is_binomial():
    """One cell, of 100 events 40 are seen: content d / e with var e = e (1 - e) / 100."""
    event, weight = np.arange(100), np.ones(100)
    detector = np.where(event < 40, 0, NOWHERE)
    simulation = bayes.response(weight, event, np.zeros(100, int), detector, (1, 1))
    content, covariance = unfold(simulation, [60.0], 2, 1.0, np.zeros((1, 1)))
    np.testing.assert_allclose(content, 60 / 0.4)
    np.testing.assert_allclose(np.sqrt(covariance) / 150, np.sqrt(0.4 * 0.6 / 100) / 0.4)


def test_simulation_of_jets_against_toys():
    """Events with two jets, bootstrapped: their content scatters by the propagated error."""
    rng = np.random.default_rng(8)
    n = 3000
    event = np.repeat(np.arange(n), 2)
    # Both jets of an event lie in the same cell, so that their errors add up.
    particle = np.repeat(rng.choice(3, n, p=[0.5, 0.3, 0.2]), 2)
    moved = np.clip(particle + rng.choice([-1, 0, 1], 2 * n, p=[0.1, 0.8, 0.1]), 0, 2)
    detector = np.where(rng.random(2 * n) < 0.7, moved, NOWHERE)
    particle = np.where((detector != NOWHERE) & (rng.random(2 * n) < 0.1), NOWHERE, particle)
    data, nothing = np.array([1500.0, 1400.0, 900.0]), np.zeros((3, 3))

    def unfolded(weight):
        simulation = bayes.response(weight, event, particle, detector, (3, 3))
        found = unfold(simulation, data, 3, None, nothing)
        return found[0][-1], found[1][-1]

    _, covariance = unfolded(np.ones(n))
    toys = np.array([unfolded(rng.poisson(1, n).astype(float))[0] for _ in range(500)])
    errors = np.sqrt(np.diag(covariance))
    # 500 toys know a standard deviation to 3.2% and a correlation to 0.045
    np.testing.assert_allclose(toys.std(axis=0, ddof=1) / errors, 1, atol=0.1)
    np.testing.assert_allclose(
        np.corrcoef(toys.T), covariance / np.outer(errors, errors), atol=0.15
    )


def test_two_bins_of_jets_with_known_efficiency_and_fakes():
    """A response of which everything is known, in data other than the simulation.

    Cell 0: of 100 jets 60 stay, 20 migrate, 20 are lost; cell 1: of 200 jets 40 migrate, 100 stay,
    60 are lost; 10 and 30 fakes. Data have 150 and 100 true jets and the same fakes.
    """
    simulation = Response(
        np.array([[60.0, 20.0], [40.0, 100.0]]), np.array([20.0, 60.0]), np.array([10.0, 30.0])
    )
    data = [1.5 * 60 + 0.5 * 40 + 10, 1.5 * 20 + 0.5 * 100 + 30]
    content, _ = unfold(simulation, data, 400)
    first = unfold(simulation, data, 1)[0][0]
    omega = np.array(data) / [110, 150]
    ratios = [(60 * omega[0] + 20 * omega[1]) / 80, (40 * omega[0] + 100 * omega[1]) / 140]
    np.testing.assert_allclose(first, [100 * ratios[0], 200 * ratios[1]])
    np.testing.assert_allclose(content[-1], [150, 100], rtol=1e-9)


def test_cells_lose_nothing():
    value = np.array([-0.1, np.nan, 0.0, 1.0, 2.0, np.nan, 1.9], np.float32)
    np.testing.assert_array_equal(bayes.cells(value, EDGES), [0, 4, 1, 2, 3, 4, 2])


def test_events_are_sorted_by_hand():
    weight = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    event = np.arange(6)
    particle = np.array([0, 1, 1, NOWHERE, 0, NOWHERE])
    detector = np.array([1, 1, NOWHERE, 0, 1, NOWHERE])
    found = bayes.response(weight, event, particle, detector, (2, 2))
    np.testing.assert_array_equal(found.matched, [[0, 17], [0, 2]])
    np.testing.assert_array_equal(found.misses, [0, 4])
    np.testing.assert_array_equal(found.fakes, [8, 0])
    expected = np.diag([0, 1 + 256, 0, 4, 0, 16, 64, 0])
    np.testing.assert_array_equal(found.covariance.toarray(), expected)
    assert found.sum_detector == 1 + 2 + 8 + 16
    content, covariance = bayes.histogram(weight, event, detector, 2)
    np.testing.assert_array_equal(content, [8, 19])
    np.testing.assert_array_equal(covariance.toarray(), [[64, 0], [0, 1 + 4 + 256]])


def test_jets_of_one_event_are_correlated():
    weight, event = np.array([2.0, 3.0]), np.array([0, 0, 0, 1])
    content, covariance = bayes.histogram(weight, event, np.array([0, 0, 1, 1]), 2)
    np.testing.assert_array_equal(content, [4, 5])
    np.testing.assert_array_equal(covariance.toarray(), [[16, 8], [8, 4 + 9]])
