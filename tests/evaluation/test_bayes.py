import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.evaluation import bayes
from omniflow.evaluation.bayes import NOWHERE, Response
from omniflow.evaluation.observables import Entries

EDGES = np.array([0.0, 1.0, 2.0])
# Every fourth event migrates; the second cell has an efficiency of 1/2.
TWO = Response(np.array([[3.0, 1.0], [1.0, 3.0]]), np.array([0.0, 4.0]), np.zeros(2))
DATA = np.array([8.0, 4.0])


def unfold(simulation, data, iterations, scale=1.0, covariance=None):
    covariance = np.diag(data) if covariance is None else covariance
    return bayes.unfold(simulation, np.asarray(data, float), covariance, iterations, scale)


def well_conditioned(size=6):
    """Half of the events stay in their cell, the rest go to its neighbours or are missed."""
    migration = 0.5 * np.eye(size) + 0.2 * (np.eye(size, k=1) + np.eye(size, k=-1))
    yields = np.array([100.0, 250.0, 400.0, 300.0, 150.0, 80.0])
    matched = yields[:, None] * migration
    fakes = np.linspace(5, 20, size)
    return Response(matched, yields - matched.sum(axis=1), fakes), migration, yields


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
@pytest.mark.parametrize("iterations", [1, 4])
def test_covariance_against_toys(scale, iterations):
    simulation, migration, yields = well_conditioned()
    mean = 10 * (yields * np.linspace(1.3, 0.8, len(yields)) @ migration + simulation.fakes)
    rng = np.random.default_rng(5)
    factor = None if scale is None else 10 * scale
    toys = [unfold(simulation, rng.poisson(mean), iterations, factor)[0][-1] for _ in range(4000)]
    covariance = unfold(simulation, mean, iterations, factor)[1][-1]
    measured = np.cov(np.array(toys).T)
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(np.sqrt(np.diag(measured)) / errors, 1, atol=0.05)
    # 4000 toys know a correlation to 0.016 and a variance to 0.022
    np.testing.assert_allclose(
        measured / np.outer(errors, errors), covariance / np.outer(errors, errors), atol=0.08
    )


@pytest.mark.parametrize("scale", [None, 1.2])
def test_derivative_against_differences(scale):
    simulation, migration, yields = well_conditioned()
    data = 0.9 * yields @ migration + 2 * simulation.fakes
    size, step = len(data), 1e-3
    columns = [
        (
            unfold(simulation, data + step * unit, 3, scale)[0][-1]
            - unfold(simulation, data - step * unit, 3, scale)[0][-1]
        )
        / (2 * step)
        for unit in np.eye(size)
    ]
    jacobian = np.array(columns).T
    _, covariance = unfold(simulation, data, 3, scale, np.eye(size))
    np.testing.assert_allclose(covariance[-1], jacobian @ jacobian.T, rtol=1e-6, atol=1e-8)


def test_what_is_never_seen_keeps_the_prior():
    simulation = Response(np.array([[4.0, 0.0], [0.0, 0.0]]), np.array([1.0, 6.0]), np.zeros(2))
    # no simulated event reaches the second cell: its data have no cause
    content, covariance = unfold(simulation, [8.0, 3.0], 2, scale=2.0)
    np.testing.assert_allclose(content, [[10, 12], [10, 12]])
    np.testing.assert_allclose(covariance[-1], [[8 * 1.25**2, 0], [0, 0]])


def test_cells_lose_no_event():
    entries = Entries(np.array([0, 2, 3, 4, 6]), np.array([-0.1, 0.0, 1.0, 2.0, 1.9], np.float32))
    np.testing.assert_array_equal(bayes.cells(entries, EDGES, 7), [0, 4, 1, 2, 3, 4, 2])


def test_several_entries_per_event_are_refused():
    entries = Entries(np.array([0, 3, 3]), np.ones(3, np.float32))
    with pytest.raises(InputError, match="event 3 has several entries"):
        bayes.cells(entries, EDGES, 4)


def test_events_are_sorted_by_hand():
    weight = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    particle = np.array([0, 1, 1, NOWHERE, 0, NOWHERE])
    detector = np.array([1, 1, NOWHERE, 0, 1, NOWHERE])
    found = bayes.response(weight, particle, detector, (2, 2))
    np.testing.assert_array_equal(found.matched, [[0, 17], [0, 2]])
    np.testing.assert_array_equal(found.misses, [0, 4])
    np.testing.assert_array_equal(found.fakes, [8, 0])
    assert found.sum_detector == 1 + 2 + 8 + 16
    content, covariance = bayes.histogram(weight, detector, 2)
    np.testing.assert_array_equal(content, [8, 19])
    np.testing.assert_array_equal(covariance, [[64, 0], [0, 1 + 4 + 256]])
