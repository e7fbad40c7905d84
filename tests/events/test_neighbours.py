import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniflow.events.neighbours import nearest


def _brute(points, offsets, k):
    result = np.full((len(points), k), -1)
    for first, last in itertools.pairwise(offsets):
        for i in range(first, last):
            eta, phi = (points[first:last] - points[i]).T
            distance = eta**2 + np.angle(np.exp(1j * phi)) ** 2
            distance[i - first] = np.inf
            near = np.argsort(distance, kind="stable")[: min(k, last - first - 1)]
            result[i, : len(near)] = near
    return result


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 12), max_size=12),
    k=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_neighbours_equal_brute_force(counts, k, seed):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # Angles outside one turn too: phi is periodic.
    points = rng.uniform([-2, -7], [3, 7], (offsets[-1], 2))
    np.testing.assert_array_equal(nearest(points, offsets, k), _brute(points, offsets, k))


def test_large_events_are_handled_in_parts():
    counts = np.array([500, 3, 500, 500, 500, 500, 500, 500, 500, 500, 500, 500])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    points = np.random.default_rng(0).uniform([-2, -3], [3, 3], (offsets[-1], 2))
    found = nearest(points, offsets, 2)
    for event in (0, 1, 11):
        part = slice(offsets[event], offsets[event + 1])
        expected = _brute(points[part], np.array([0, counts[event]]), 2)
        np.testing.assert_array_equal(found[part], expected)


def test_phi_is_periodic():
    points = np.array([[0, 3.1], [0, -3.1], [0, 2.5]])  # 0 and 1 are 0.083 apart
    np.testing.assert_array_equal(nearest(points, np.array([0, 3]), 1)[:, 0], [1, 0, 0])


def test_a_particle_is_not_its_own_neighbour_even_among_copies():
    points = np.zeros((4, 2))
    found = nearest(points, np.array([0, 4]), 3)
    # Ties are broken by the index.
    np.testing.assert_array_equal(found, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def test_absent_neighbours_are_minus_one():
    offsets = np.array([0, 0, 1, 3])
    found = nearest(np.array([[0.0, 0], [1, 1], [2, 2]]), offsets, 4)
    np.testing.assert_array_equal(found, [[-1] * 4, [1, -1, -1, -1], [0, -1, -1, -1]])
    assert found.dtype == np.int16


@pytest.mark.parametrize("offsets", [[0], [0, 0, 0]])
def test_no_particles(offsets):
    assert nearest(np.zeros((0, 2)), np.array(offsets), 5).shape == (0, 5)
