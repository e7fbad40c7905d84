import math

import numpy as np
import pytest

from omniflow.errors import WeightError
from omniflow.unfolding.weights import check, ratio


def test_ratios_are_exponentials_where_a_float32_sigmoid_is_one():
    logits = np.array([17.0, -17.0, 0.0, 0.5], np.float32)
    sigmoid = np.float32(1) / (np.float32(1) + np.exp(-logits[0]))
    assert sigmoid == 1  # f / (1 - f) would be infinite
    values, clipped = ratio(logits, 20.0)
    np.testing.assert_allclose(values, [math.exp(17), math.exp(-17), 1, math.exp(0.5)], rtol=1e-7)
    assert clipped == 0
    assert values.dtype == np.float64


def test_clips_are_counted_on_both_sides():
    logits = np.array([15.0, 15.1, -200.0, 3.0, np.inf, -np.inf], np.float32)
    values, clipped = ratio(logits, 15.0, 2.0)
    assert clipped == 4
    high, low = 2 * math.exp(15), 2 * math.exp(-15)
    np.testing.assert_allclose(values, [high, high, low, 2 * math.exp(3), high, low])


def test_a_large_weight_is_not_lost():
    """2.4e7, which a saturated sigmoid with infinity replaced would turn into 1."""
    values, clipped = ratio(np.array([math.log(2.4e7)]), 20.0)
    assert values[0] == pytest.approx(2.4e7)
    assert clipped == 0


def test_yields_multiply_the_ratios():
    np.testing.assert_allclose(ratio(np.zeros(2), 5.0, 0.25)[0], [0.25, 0.25])


def test_nan_is_refused_with_its_position():
    with pytest.raises(WeightError, match=r"2 of 4 logits are NaN, the first at 1"):
        ratio(np.array([0.0, np.nan, 1.0, np.nan]), 15.0)


def test_check_summarises_a_step():
    before, ratios = np.array([1.0, 2.0, 1.0]), np.array([0.5, 1.0, 3.0])
    found = check(before, before * ratios, ratios, 7, "here").as_dict()
    assert found == {
        "sum_before": 4.0,
        "sum_after": 5.5,
        "minimum": 0.5,
        "maximum": 3.0,
        "ess": pytest.approx(5.5**2 / (0.25 + 4 + 9)),
        "clipped": 7,
        "events": 3,
        "largest": pytest.approx(3 / 5.5),
        "negative": 0.0,
        "yields": 1.0,
        "factor": 1.0,
    }


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    with pytest.raises(WeightError, match=r"lane 2: 1 of 3 .* event 1"):
        check(np.ones(3), np.array([1.0, bad, 1.0]), np.ones(3), 0, "lane 2")


@pytest.mark.parametrize("after", [[0.0, 0.0], [1.0, -3.0]])
def test_a_sum_that_is_not_positive_is_refused(after):
    with pytest.raises(WeightError, match="lane 2: the sum of weights"):
        check(np.ones(2), np.array(after), np.ones(2), 0, "lane 2")
