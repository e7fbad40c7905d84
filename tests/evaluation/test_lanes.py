"""Scatter of training from the lanes of a pass, and where rounds of lanes stop."""

import numpy as np
import pytest
from stopping_toys import measured, stop

from omniflow.evaluation.lanes import MOST, average, upper_factor, variance, wanted


def test_the_mean_of_lanes_has_their_variance_over_their_number():
    """Normal lanes of 7 and 14 in two bins: 25 of them have 1.4 and 2.8, of contents 100, -50."""
    rng = np.random.default_rng(1)
    contents = rng.normal([100, -50], [7, 14], size=(200, 25, 2))
    found = variance(contents, 25, "mean")
    np.testing.assert_allclose(np.sqrt(found), [1.4, 2.8], rtol=0.03)
    np.testing.assert_allclose(found, contents.mean(axis=1).var(axis=0, ddof=1), rtol=0.35)
    # What passes have in common, or not, is no scatter within them.
    moved = contents + rng.normal(0, 30, size=(200, 1, 2))
    np.testing.assert_allclose(variance(moved, 25, "mean"), found)
    assert average(found, np.array([100.0, -50.0])) == pytest.approx(0.035, rel=0.03)


def test_bins_without_a_unit_do_not_count():
    unit = np.array([2.0, 0.0, np.nan, -4.0])
    assert average(np.array([1.0, 1.0, 1.0, 4.0]), unit) == 0.5
    assert np.isnan(average(np.ones(2), np.zeros(2)))


@pytest.mark.parametrize(
    ("how", "within"), [("mean", 0.1), ("log_mean", 0.1), ("median", 0.3), ("truncated_mean", 0.3)]
)
def test_the_scatter_of_combinations_is_that_over_passes(how, within):
    """Of ratios that scatter in common and event by event."""
    true, found = measured(np.random.default_rng(2), how, 8, toys=60, passes=400)
    assert np.mean(np.sqrt(np.mean(found**2, axis=0)) / true) == pytest.approx(1, abs=within)


def test_the_upper_limit_holds_as_often_as_it_should():
    rng = np.random.default_rng(3)
    lanes, passes = 5, 2
    found = rng.normal(size=(20_000, passes, lanes)).var(axis=2, ddof=1).mean(axis=1)
    holds = np.mean(np.sqrt(found) * upper_factor(passes, lanes) > 1)
    assert holds == pytest.approx(0.68, abs=0.01)


def test_lanes_that_are_missing_follow_from_the_square_root():
    # With many passes there is nothing to be said of limits.
    assert wanted([0.04], 0.01, 10**6, 4, 1) in (64, 65)
    assert wanted([0.04, 0.02], 0.01, 10**6, 4, 3) == 67
    assert wanted([0.04], 0.01, 1, 4, 2) > 70
    assert wanted([0.04], 0.05, 10**6, 4, 2) == 4
    assert wanted([0.04], 1e-9, 1, 4, 2) == 4 + MOST


@pytest.mark.parametrize(
    ("passes", "bins", "above", "price"), [(3, 1, 0.15, 1.6), (3, 10, 0.02, 1.4), (1, 1, 0.3, 1.7)]
)
def test_stopping_early_by_chance_is_rare(passes, bins, above, price):
    """The true scatter at the stop, which the target is for, and what it costs."""
    rng = np.random.default_rng(4)
    lanes = np.array([stop(rng, passes, bins, 0.5, need=12)[0] for _ in range(100)])
    true = np.sqrt(12 / lanes)
    assert np.mean(true > 1.1) <= above
    assert np.mean(lanes) <= price * 12
    assert np.mean(true) < 1
