import numpy as np
import pytest

from omniflow.expressions import ExpressionError
from omniflow.expressions.kinds import boolean, integers, real


def test_real_numbers():
    np.testing.assert_array_equal(real(np.array([True, False])), [1.0, 0.0])
    assert real(np.array([1, 2], np.uint8)).dtype == np.float64


def test_conditions_pass_and_numbers_do_not():
    mask = np.array([True])
    assert boolean(mask, "any") is mask
    with pytest.raises(
        ExpressionError, match=r"any needs true or false, but got numbers \(int64\)"
    ):
        boolean(np.array([1]), "any")


@pytest.mark.parametrize(
    ("a", "b", "common"),
    [
        (np.array([True]), np.array([False]), bool),
        (np.array([1], np.int8), np.array([200], np.uint8), np.int16),
        (np.array([1]), np.array([True]), np.int64),
        (np.array([2**64 - 1], np.uint64), np.array([3]), np.uint64),
        (np.array([2**63 - 1], np.uint64), np.array([-3]), np.int64),
        (np.array([2**63], np.uint64), np.array([-3]), None),
        (np.array([1]), np.array([1.0]), None),
    ],
)
def test_one_type_for_all_integers(a, b, common):
    result = integers(a, b)
    if common is None:
        assert result is None
        return
    assert [one.dtype for one in result] == [common, common]
    assert [int(one[0]) for one in result] == [int(a[0]), int(b[0])]
