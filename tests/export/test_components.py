import export_toys as toys
import numpy as np
import pytest

from omniflow.errors import InputError
from omniflow.export import components
from omniflow.export.components import component, directions, rank, scale


def _added(found, statistical, total):
    """Return the largest share of a covariance that the Poisson terms add, in any direction."""
    rest = statistical - (found.variance if found.carried else 0)
    whole = total - statistical + rest + found.variance
    axes = directions(total)
    return np.abs(np.linalg.eigvalsh(axes.T @ whole @ axes) - 1).max()


def test_vectors_add_up_to_the_covariance():
    matrix = toys.correlated(np.array([1.0, 1e-3, 50.0]), 2)
    found = component(matrix)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, matrix, rtol=1e-9)
    assert found.removed == 0


def test_a_shift_is_one_vector():
    shift = np.array([1.0, -4.0, 2.0])
    found = component(np.outer(shift, shift))
    np.testing.assert_allclose(found.vectors, [-shift], rtol=1e-9)


def test_what_is_below_0_is_left_out_and_counted():
    found = component(np.array([[1.0, 2.0], [2.0, 1.0]]))  # eigenvalues 3 and -1
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.full((2, 2), 1.5))
    assert found.removed == pytest.approx(1 / 3)


def test_bins_without_variance_have_no_shift():
    found = component(np.diag([4.0, 0.0]))
    assert found.vectors.tolist() == [[2, 0]]
    assert len(component(np.zeros((2, 2))).vectors) == 0


def test_poisson_terms_carry_a_part_of_the_statistics():
    content = toys.falling(6)
    statistical = toys.correlated(0.02 * content, 2)
    total = statistical + 1e-4 * np.outer(content, content)
    found = scale(content, total, statistical)
    assert found.carried
    axes = directions(statistical)
    shares = np.linalg.eigvalsh(axes.T @ found.variance @ axes)
    assert shares[-1] == pytest.approx(components.SHARE)
    np.testing.assert_allclose(np.diag(content / found.factor), found.variance)
    assert found.offset.tolist() == [0] * 6
    assert _added(found, statistical, total) < 1e-9


@pytest.mark.parametrize("number", [0, 3])
def test_without_enough_replicas_they_add_less_than_a_hundredth(number):
    """Which is less than half a hundredth of an error."""
    content = toys.falling(6)
    rng = np.random.default_rng(number)
    rows = 0.03 * content * rng.normal(size=(number, 6))
    statistical = rows.T @ rows
    total = statistical + toys.correlated(0.02 * content, 1)
    found = scale(content, total, statistical if number else None)
    assert not found.carried
    assert _added(found, statistical, total) == pytest.approx(components.ADDED)


def test_means_stay_far_above_0():
    content, errors = np.array([100.0, 0.0, -3.0]), np.array([1.0, 2.0, 1.0])
    found = scale(content, np.diag(errors**2), np.diag(errors**2))
    assert found.offset.tolist() == [0, 60, 33]


@pytest.mark.parametrize("exact", [0, 1])
def test_chi2_is_that_of_the_inverse(exact):
    content = toys.falling(5)
    matrix, difference = toys.correlated(0.1 * content, 1), np.array([3.0, -1.0, 2.0, 0.5, -4.5])
    if exact:  # unit sum: the same in any four of the bins
        across = np.eye(5) - np.outer(content / content.sum(), np.ones(5))
        matrix, keep = across @ matrix @ across.T, slice(4)
        difference = across @ difference
    else:
        keep = slice(5)
    expected = difference[keep] @ np.linalg.solve(matrix[keep, keep], difference[keep])
    assert components.chi2(difference, matrix, exact) == pytest.approx(expected)


def test_a_covariance_that_cannot_be_inverted_is_refused():
    rows = np.random.default_rng(1).normal(size=(3, 5))
    matrix = rows.T @ rows
    assert rank(matrix) == 3
    assert rank(np.diag([1.0, 0.0])) == 0
    with pytest.raises(InputError, match="5 bins has 3 directions with an error, and 5 are needed"):
        directions(matrix)
    assert directions(matrix, 2).shape == (5, 3)
