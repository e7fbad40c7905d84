import itertools

import numpy as np
import pytest

from omniflow.expressions import Values, parse

RNG = np.random.default_rng(7)
COUNTS = RNG.poisson(3.0, 2_000)
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])
EVENT = np.repeat(np.arange(len(COUNTS)), COUNTS)
X = RNG.lognormal(0, 4, len(EVENT))


def evaluate(text, array=X, offsets=OFFSETS, **more):
    columns = {"x": Values(np.asarray(array), np.asarray(offsets))}
    columns |= {
        name: Values(np.asarray(other), np.asarray(offsets)) for name, other in more.items()
    }
    return parse(text).evaluate(columns, len(offsets) - 1)


def test_sums_have_the_bits_of_a_sum_one_after_the_other():
    result = evaluate("sum(x)").array
    assert result.tobytes() == np.bincount(EVENT, X, len(COUNTS)).tobytes()
    slow = []
    for start, stop in itertools.pairwise(OFFSETS):
        total = 0.0
        for value in X[start:stop]:
            total += value
        slow.append(total)
    assert result.tobytes() == np.array(slow).tobytes()


def test_sums_of_single_precision_are_added_in_double_precision():
    single = X.astype(np.float32)
    expected = np.bincount(EVENT, single.astype(float), len(COUNTS))
    assert evaluate("sum(x)", single).array.tobytes() == expected.tobytes()


def test_sums_of_conditions_count():
    np.testing.assert_array_equal(
        evaluate("sum(x > 1)").array, np.bincount(EVENT, X > 1, len(COUNTS))
    )


@pytest.mark.parametrize(
    ("text", "full", "empty", "dtype"),
    [
        ("sum(x)", 6.0, 0.0, np.float64),
        ("mean(x)", 2.0, np.nan, np.float64),
        ("max(x)", 3.0, np.nan, np.float64),
        ("min(x)", 1.0, np.nan, np.float64),
        ("first(x)", 2.0, np.nan, np.float64),
        ("nth(x, 1)", 1.0, np.nan, np.float64),
        ("nth(x, -1)", 3.0, np.nan, np.float64),
        ("nth(x, 3)", np.nan, np.nan, np.float64),
        ("nth(x, -3)", 2.0, np.nan, np.float64),
        ("nth(x, -4)", np.nan, np.nan, np.float64),
        ("nth(x, 9223372036854775807)", np.nan, np.nan, np.float64),
        ("nth(x, -9223372036854775807)", np.nan, np.nan, np.float64),
        ("count(x)", 3, 0, np.int64),
        ("any(x > 2)", True, False, bool),
        ("any(x > 3)", False, False, bool),
        ("all(x > 0)", True, True, bool),
        ("all(x > 1)", False, True, bool),
    ],
)
@pytest.mark.parametrize("array", [[2.0, 1, 3], [2, 1, 3], np.array([2, 1, 3], np.uint8)])
@pytest.mark.parametrize(
    ("offsets", "filled"),
    [
        ([0, 3], [True]),
        ([0, 0, 3], [False, True]),
        ([0, 3, 3], [True, False]),
        ([0, 0, 0, 3, 3, 3], [False, False, True, False, False]),
    ],
)
def test_events_without_particles(text, full, empty, dtype, array, offsets, filled):
    result = evaluate(text, array, offsets)
    assert result.offsets is None
    assert result.array.dtype == dtype
    np.testing.assert_array_equal(result.array, [full if one else empty for one in filled])


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
def test_nan_stays(name):
    result = evaluate(f"{name}(x)", [1.0, np.nan, 2.0], [0, 2, 3]).array
    np.testing.assert_array_equal(result, [np.nan, 2.0])


def test_sort_is_falling_and_stable_with_nan_last():
    keys = [1.0, np.nan, 2, 2, -np.inf, np.inf]
    names = [0, 1, 2, 3, 4, 5]
    result = evaluate("sort(x, by=key)", names, [0, 6], key=keys)
    np.testing.assert_array_equal(result.array, [5, 2, 3, 0, 4, 1])
    np.testing.assert_array_equal(
        evaluate("sort(x)", keys, [0, 6]).array, [np.inf, 2, 2, 1, -np.inf, np.nan]
    )


@pytest.mark.parametrize(
    "keys",
    [
        np.array([-(2**63), 2**63 - 1, 2**53, 2**53 + 1]),
        np.array([0, 2**64 - 1, 2**53, 2**53 + 1], np.uint64),
        np.array([-128, 127, 0, 1], np.int8),
    ],
)
def test_sort_orders_integers_exactly(keys):
    result = evaluate("sort(x)", keys, [0, 4]).array
    assert result.dtype == keys.dtype
    np.testing.assert_array_equal(result, keys[[1, 3, 2, 0]])
    np.testing.assert_array_equal(
        evaluate("sort(x, by=key)", [0, 1, 2, 3], [0, 4], key=keys).array, [1, 3, 2, 0]
    )


def test_sort_orders_conditions():
    np.testing.assert_array_equal(
        evaluate("sort(x, by=x > 1)", [1, 3, 0, 2], [0, 4]).array, [3, 2, 1, 0]
    )


def test_what_is_sorted_by_one_key_stays_together():
    result = evaluate("first(sort(x, by=-x)) == min(x)").array
    np.testing.assert_array_equal(result, COUNTS > 0)
    np.testing.assert_array_equal(
        evaluate("count(sort(x)[sort(x) > 1])").array, np.bincount(EVENT, X > 1, len(COUNTS))
    )
