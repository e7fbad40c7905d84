import numpy as np
import pytest

from omniflow.expressions import ExpressionError, Values
from omniflow.expressions.values import combine, load, select

PT = Values(np.array([1.0, 2, 3]), np.array([0, 2, 2, 3]), "pt")


def test_the_event_of_each_number():
    np.testing.assert_array_equal(PT.event_index, [0, 0, 2])
    np.testing.assert_array_equal(Values(np.zeros(3)).event_index, [0, 1, 2])
    assert Values(np.zeros(0), np.array([0])).event_index.shape == (0,)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.longdouble])
def test_floats_become_double_precision(dtype):
    array = load("x", Values(np.array([0.1, np.inf], dtype)), 2).array
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, np.array([0.1, np.inf], dtype).astype(float))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, ">i4"])
def test_integers_and_conditions_keep_their_type(dtype):
    array = load("x", Values(np.array([0, 1], dtype)), 2).array
    assert array.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(array, [0, 1])


def test_offsets_of_any_integers():
    values = load("x", Values(np.zeros(3), np.array([0, 1, 3], np.uint32)), 2)
    assert values.offsets.dtype == np.int64
    assert values.source == "x"
    assert load("pt", PT, 3).offsets is PT.offsets


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (Values(np.zeros((3, 2))), r"has shape \(3, 2\)"),
        (Values(np.float64(1)), r"has shape \(\)"),
        (Values(np.array(["a", "b", "c"])), "holds no numbers, but <U1"),
        (Values(np.zeros(3, complex)), "holds no numbers, but complex128"),
        (Values(np.array([1, None, 2])), "holds no numbers, but object"),
        (Values(np.zeros(3, "M8[s]")), "holds no numbers, but datetime64"),
        (Values(np.zeros(2)), "has 2 numbers for 3 events"),
        (Values(np.zeros(2), np.array([0, 1, 2])), "they must be 4 integers"),
        (Values(np.zeros(2), np.array([0.0, 1, 2, 2])), "they must be 4 integers"),
        (Values(np.zeros(2), np.zeros((4, 1), int)), "they must be 4 integers"),
        (Values(np.zeros(2), np.array([0, 1, 2, 3])), "must rise from 0"),
        (Values(np.zeros(2), np.array([1, 1, 2, 2])), "must rise from 0"),
        (Values(np.zeros(2), np.array([0, 2, 1, 2])), "must rise from 0"),
    ],
)
def test_columns_that_do_not_fit_are_refused(values, words):
    with pytest.raises(ExpressionError, match=f"column 'x'.* {words}|column 'x' {words}"):
        load("x", values, 3)


def test_numbers_meet_by_event_and_particle():
    event, one = Values(np.array([10.0, 20, 30])), Values(np.asarray(2.0))
    result = combine(lambda a, b, c: a + b * c, PT, event, one)
    np.testing.assert_array_equal(result.array, [21, 22, 63])
    assert result.offsets is PT.offsets
    assert result.source == "pt"
    assert combine(np.add, one, one).array.shape == ()


def test_equal_offsets_are_one_collection():
    twin = Values(PT.array * 2, PT.offsets.copy(), "eta")
    np.testing.assert_array_equal(combine(np.add, PT, twin).array, [3, 6, 9])
    moved = Values(PT.array, np.array([0, 1, 2, 3]), "eta")
    with pytest.raises(ExpressionError, match="pt and eta are particles of different collections"):
        combine(np.add, PT, moved)


def test_a_selection_has_offsets_of_its_own():
    mask = combine(lambda x: x != 2, PT)
    result = select(PT, mask)
    np.testing.assert_array_equal(result.array, [1, 3])
    np.testing.assert_array_equal(result.offsets, [0, 1, 1, 2])
    assert result.source == "pt[...]"
    again = select(result, Values(np.array([True, True, False])))
    np.testing.assert_array_equal(again.offsets, [0, 1, 1, 1])
    assert again.source == "pt[...]"
