import numpy as np
import pytest

from omniflow.evaluation.alignment import DIRECTIONS, aligned, cosine


def test_cosines_of_known_vectors():
    one, plain = np.array([1.0, 0, 0, 0]), np.eye(4)
    assert cosine(one, np.array([3.0, 3, 0, 0]), plain) == pytest.approx(np.sqrt(0.5))
    assert cosine(one, np.array([-2.0, 0, 0, 0]), plain) == pytest.approx(-1)
    assert cosine(one, np.array([0.0, 0, 5, 0]), plain) == pytest.approx(0)
    # Errors of 1 and 3: (1, 1) becomes (1, 1/3) in their units.
    metric = np.diag([1.0, 9, 1, 1])
    assert cosine(one, np.array([1.0, 1, 0, 0]), metric) == pytest.approx(1 / np.sqrt(10 / 9))


def test_cosines_in_a_metric_with_correlations():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(6, 6)) * [1, 10, 0.1, 1, 5, 1]
    metric, a, b = root.T @ root, rng.normal(size=6), rng.normal(size=6)
    inverse = np.linalg.inv(metric)
    expected = a @ inverse @ b / np.sqrt((a @ inverse @ a) * (b @ inverse @ b))
    assert cosine(a, b, metric) == pytest.approx(expected)


def test_directions_without_variance_do_not_count():
    # Distributions of unit sum: their covariance has no variance along (1, ..., 1).
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(200, 5))
    rows -= rows.mean(axis=1, keepdims=True)
    a, b = rows[0], rows[1]
    found = cosine(a, b, np.cov(rows.T))
    # The same with one bin left out, in which the covariance is regular.
    assert found == pytest.approx(cosine(a[:4], b[:4], np.cov(rows[:, :4].T)))
    # A bin without variance changes nothing.
    empty = np.zeros((6, 6))
    empty[:5, :5] = np.cov(rows.T)
    assert cosine(np.append(a, 7), np.append(b, -7), empty) == pytest.approx(found)


def test_too_few_directions_have_no_cosine():
    few = DIRECTIONS - 1
    assert np.isnan(cosine(np.ones(few), np.ones(few), np.eye(few)))
    assert np.isnan(cosine(np.ones(9), np.ones(9), np.ones((9, 9))))
    assert np.isnan(cosine(np.ones(9), np.zeros(9), np.eye(9)))
    assert np.isnan(cosine(np.ones(9), np.ones(9), np.zeros((9, 9))))


def test_shifts_along_the_difference_are_named():
    difference = np.array([1.0, 1, 0, 0])
    shifts = {
        "along": [0.01 * difference],
        "close": [np.array([1.0, 0.6, 0.1, 0])],  # 0.967
        "far": [np.array([1.0, 0.2, 0, 0])],  # 0.832
        "across": [np.array([0.0, 0, 1, 0])],
        "one side": [np.array([0.0, 0, 1, 0]), -difference],
    }
    for name, sides in shifts.items():
        blocks = {"data": np.eye(4), name: np.mean([np.outer(s, s) for s in sides], axis=0)}
        found = aligned(difference, blocks, {name: sides})
        assert found == ([name] if name in ("along", "close", "one side") else []), name


def test_the_metric_is_that_of_all_other_blocks():
    difference, shift = np.array([1.0, 1, 0, 0]), np.array([1.0, 0.2, 0, 0])
    blocks = {"data": np.eye(4), "x": np.outer(shift, shift)}
    assert aligned(difference, blocks, {"x": [shift]}) == []
    # An error of 100 in the second bin, where the two differ.
    blocks["other"] = np.diag([0.0, 1e4, 0, 0])
    assert aligned(difference, blocks, {"x": [shift]}) == ["x"]
    # Its own size does not matter.
    assert aligned(difference, blocks | {"x": 1e6 * blocks["x"]}, {"x": [1e3 * shift]}) == ["x"]
    assert aligned(difference, {"x": blocks["x"]}, {"x": [shift]}) == []
