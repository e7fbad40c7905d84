import numpy as np
import pytest

from omniflow.evaluation import tails


def test_equal_weights_by_hand():
    found = tails.tails(np.full(200, 2.0), np.full(200, 0.5), np.full(200, 0.75))
    assert found["ess"] == pytest.approx(200)
    assert found["share_of_largest"] == pytest.approx(0.01)
    assert found["change"] == pytest.approx(0.5)  # 0.25 of 0.5
    assert found["minimum"] == found["median"] == found["maximum"] == 0.5


def test_one_large_weight_by_hand():
    # 99 events of weight 1 and one of 101: sum 200, sum of squares 10300, twice over.
    ratio = np.ones(200)
    ratio[[3, 77]] = 101
    base = np.ones(200)
    found = tails.tails(base, ratio, np.ones(200))
    assert found["ess"] == pytest.approx(400**2 / 20600)
    assert found["share_of_largest"] == pytest.approx(202 / 400)
    assert found["change"] == pytest.approx(200 / 400)
    assert found["maximum"] == 101


def test_quantiles_of_known_weights():
    ratio = np.random.default_rng(1).permutation(np.arange(1.0, 10_002))
    found = tails.tails(np.ones(len(ratio)), ratio, ratio)
    assert found["quantile_0_001"] == pytest.approx(11)
    assert found["quantile_0_999"] == pytest.approx(9991)
    assert found["change"] == 0


def test_the_largest_one_percent_is_that_of_final_weights():
    base = np.ones(300)
    base[:3] = 50
    found = tails.tails(base, np.ones(300), np.ones(300))
    assert found["share_of_largest"] == pytest.approx(150 / 447)


def test_distribution_holds_every_event_on_common_edges():
    ratio = np.exp(np.random.default_rng(2).normal(0, 0.5, 5000))
    low, events = tails.distribution(ratio)
    assert events.sum() == 5000
    assert events[0] > 0
    assert events[-1] > 0
    np.testing.assert_allclose(low / tails.WIDTH, np.round(low / tails.WIDTH), atol=1e-9)
    where = np.searchsorted(low, np.log10(ratio), side="right") - 1
    np.testing.assert_array_equal(np.bincount(where, minlength=len(low)), events)
