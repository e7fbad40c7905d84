import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniflow.expressions import ExpressionError, Values, parse


def evaluate(text, a, b):
    return parse(text).evaluate({"a": Values(np.asarray(a)), "b": Values(np.asarray(b))}, len(a))


A = np.array([-np.inf, -3, -0.5, 0, 0.5, 2, np.inf, np.nan])
GRID = [grid.ravel() for grid in np.meshgrid(A, A)]


@pytest.mark.parametrize(
    ("text", "ufunc"),
    [
        ("a + b", np.add),
        ("a - b", np.subtract),
        ("a * b", np.multiply),
        ("a / b", np.divide),
        ("a // b", np.floor_divide),
        ("a % b", np.remainder),
        ("a ** b", np.power),
        ("a < b", np.less),
        ("a <= b", np.less_equal),
        ("a > b", np.greater),
        ("a >= b", np.greater_equal),
        ("a == b", np.equal),
        ("a != b", np.not_equal),
    ],
)
def test_floats_are_those_of_numpy(text, ufunc):
    with np.errstate(all="ignore"):
        expected = ufunc(*GRID)
    np.testing.assert_array_equal(evaluate(text, *GRID).array, expected)


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.uint64])
def test_arithmetic_of_integers_is_that_of_floats(symbol, dtype):
    # int8 and uint8 would wrap around, and 2 ** -1 be refused.
    a, b = np.array([1, 0, 100, 3]).astype(dtype), np.array([0, 1, 100, 5]).astype(dtype)
    result = evaluate(f"a {symbol} b", a, b).array
    expected = evaluate(f"a {symbol} b", a.astype(float), b.astype(float)).array
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float64


def test_signs():
    x = np.array([1, 255], np.uint8)
    np.testing.assert_array_equal(evaluate("-a", x, x).array, [-1, -255])
    np.testing.assert_array_equal(evaluate("-+-a", x, x).array, [1, 255])
    assert np.signbit(evaluate("-a", [0.0], [0.0]).array[0])


INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
FEW = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1])


@settings(max_examples=300, deadline=None)
@given(a=st.one_of(INT64, FEW), b=st.one_of(INT64, FEW), symbol=st.sampled_from(["//", "%"]))
def test_integers_are_divided_before_they_are_rounded(a, b, symbol):
    result = evaluate(f"a {symbol} b", np.array([a]), np.array([b])).array[0]
    assert result.dtype == np.float64
    if b == 0:
        with np.errstate(all="ignore"):
            function = np.floor_divide if symbol == "//" else np.remainder
            np.testing.assert_array_equal(result, function(float(a), 0.0))
    else:
        assert result == float(a // b if symbol == "//" else a % b)


@settings(max_examples=200, deadline=None)
@given(a=UINT64, b=st.one_of(UINT64, st.integers(1, 100)))
def test_unsigned_ids_are_divided_by_what_is_written(a, b):
    ids = np.array([a], np.uint64)
    assert evaluate("a % 10", ids, ids).array[0] == a % 10
    assert evaluate("a // 10", ids, ids).array[0] == float(a // 10)
    if b:
        other = np.array([b], np.uint64)
        assert evaluate("a % b", ids, other).array[0] == float(a % b)
        assert evaluate("a // b", ids, other).array[0] == float(a // b)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_short_integers_do_not_overflow(dtype):
    low = np.array([np.iinfo(dtype).min], dtype)
    assert evaluate("a // b", low, np.array([-1], dtype)).array[0] == -float(low[0])


COMPARED = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@settings(max_examples=200, deadline=None)
@given(
    a=st.one_of(INT64, FEW),
    b=st.one_of(UINT64, FEW.map(abs)),
    symbol=st.sampled_from(list(COMPARED)),
)
def test_integers_of_either_sign_are_compared_exactly(a, b, symbol):
    result = evaluate(f"a {symbol} b", np.array([a]), np.array([b], np.uint64)).array[0]
    assert result == COMPARED[symbol](a, b)


def test_bits_of_integers():
    a, b = np.array([2**62 + 5, -1]), np.array([7, 2**40], np.int64)
    np.testing.assert_array_equal(evaluate("a & b", a, b).array, [5, 2**40])
    np.testing.assert_array_equal(evaluate("a | 2", a, b).array, [2**62 + 7, -1])
    np.testing.assert_array_equal(evaluate("~a", a, b).array, [-(2**62) - 6, 0])
    unsigned = np.array([2**63 + 1, 6], np.uint64)
    np.testing.assert_array_equal(evaluate("a & 3", unsigned, b).array, [1, 2])
    np.testing.assert_array_equal(evaluate("(a & 1) == 1", unsigned, b).array, [True, False])
    small = np.array([1, 6], np.uint64)
    np.testing.assert_array_equal(evaluate("a & b", small, np.array([-1, 2])).array, [1, 2])
    with pytest.raises(ExpressionError, match="integers on both sides"):
        evaluate("a & b", unsigned, np.array([-1, 2]))


def test_logic_of_conditions():
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    for text in ("a & b", "a and b", "~(~a | ~b)", "not (not a or not b)", "a and b and True"):
        result = evaluate(text, a, b).array
        np.testing.assert_array_equal(result, [True, False, False, False])
        assert result.dtype == bool
    assert evaluate("a & 1", a, b).array.dtype == np.int64
    np.testing.assert_array_equal(evaluate("a + b + True", a, b).array, [3, 2, 2, 1])


def test_a_chain_compares_neighbours():
    a = np.array([0.0, 1, 2, 3, np.nan])
    np.testing.assert_array_equal(
        evaluate("0 < a <= 2 != b", a, a[::-1]).array, [False, True, False, False, False]
    )


def test_a_chain_inside_chains_is_evaluated_once():
    text = "a"
    for _ in range(40):
        text = f"(a <= {text} <= a)"
    assert evaluate(text, [True], [True]).array[0]
