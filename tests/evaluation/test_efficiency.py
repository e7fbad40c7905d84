import numpy as np
import pandas as pd
import pytest

from omniflow.evaluation.efficiency import (
    Fraction,
    acceptance_table,
    outside,
    sums,
)
from omniflow.evaluation.matching import Objects
from omniflow.tables.reference import ACCEPTANCE

EDGES = np.array([0.0, 1.0, 2.0, 4.0, 5.0])


def sample(n=3000, most=3, seed=2):
    """Events with some entries each; the last bin has none."""
    rng = np.random.default_rng(seed)
    event = np.repeat(np.arange(n), rng.integers(0, most + 1, n))
    value = rng.uniform(-1, 3.9, len(event)).astype(np.float32)
    value[::17] = np.nan
    weight = rng.uniform(0.5, 2, n)
    whole = rng.random(len(event)) < 0.8
    # entries of one event share their fate more often than not
    part = rng.random(n)[event] + 0.3 * rng.random(len(event)) < 0.6
    return weight, Objects(event, value), part, whole


def test_fractions_against_numpy_histograms():
    weight, objects, part, whole = sample()
    found = sums(weight, objects, part, whole, EDGES).fraction
    each = weight[objects.event]

    def fill(chosen):
        chosen = chosen & ~np.isnan(objects.value)
        return np.histogram(objects.value[chosen], EDGES, weights=each[chosen])[0]

    expected = fill(whole & part)[:3] / fill(whole)[:3]
    np.testing.assert_allclose(found.value[:3], expected, rtol=1e-12)
    assert np.isnan(found.value[3])
    assert np.isnan(found.error[3])


def test_errors_are_binomial_for_single_entries():
    rng = np.random.default_rng(1)
    value = rng.uniform(0, 4, 500)
    part = rng.random(500) < 0.3
    ones = np.ones(500, bool)
    found = sums(np.ones(500), Objects(np.arange(500), value), part, ones, EDGES).fraction
    number, f = (np.histogram(value, EDGES)[0][:3], found.value[:3])
    np.testing.assert_allclose(found.error[:3], np.sqrt(f * (1 - f) / number))


def test_errors_against_toys_of_correlated_entries():
    """Fractions of independent samples scatter by the error of one of them."""
    toys = [sums(*sample(400, seed=seed), EDGES).fraction for seed in range(600)]
    scatter = np.std([toy.value[:3] for toy in toys], axis=0, ddof=1)
    error = np.mean([toy.error[:3] for toy in toys], axis=0)
    # 600 toys know a standard deviation to 2.9%
    np.testing.assert_allclose(scatter / error, 1, atol=0.09)


def test_table_has_bins_that_are_filled_at_either_level():
    nan = np.nan
    efficiency = {"q2": Fraction(np.array([0.5, nan, nan]), np.array([0.1, nan, nan]))}
    fakes = {"q2": Fraction(np.array([nan, 0.2, nan]), np.array([nan, 0.05, nan]))}
    table = acceptance_table(efficiency, fakes, {"q2": np.array([0.0, 1, 2, 4])})
    expected = pd.DataFrame(
        [("q2", 0, 0.0, 1.0, 0.5, 0.1, nan, nan, 0), ("q2", 1, 1.0, 2.0, nan, nan, 0.2, 0.05, 0)],
        columns=ACCEPTANCE.names,
    )
    pd.testing.assert_frame_equal(table, expected)


def test_what_is_not_in_the_whole_does_not_count():
    objects = Objects(np.array([0, 1]), np.array([0.5, 0.5]))
    part, whole = np.array([True, True]), np.array([True, False])
    found = sums(np.ones(2), objects, part, whole, EDGES[:2]).fraction
    assert found.value == pytest.approx([1.0])
    assert found.error == pytest.approx([0.0])


def test_negative_weights_give_fractions_outside_0_and_1_that_are_flagged():
    """Bin by bin: 3 of 2, -1 of 2, 1 of a sum of 0, nothing at all; the last as with weights 1."""
    weight = np.array([3.0, -1.0, -1.0, 3.0, 1.0, -1.0, 1.0, 1.0])
    value = np.array([0.5, 0.5, 1.5, 1.5, 2.5, 2.5, 4.5, 4.5])
    part = np.array([True, False, True, False, True, False, True, False])
    edges = np.array([0.0, 1, 2, 3, 4, 5])
    objects = Objects(np.arange(8), value)
    found = sums(weight, objects, part, np.ones(8, bool), edges).fraction
    np.testing.assert_allclose(found.value, [1.5, -0.5, np.nan, np.nan, 0.5])
    # sum w^2 (a - f b)^2 / (sum w b)^2 by hand
    first = np.sqrt(9 * 0.25 + 2.25) / 2
    np.testing.assert_allclose(found.error, [first, first, np.inf, np.nan, np.sqrt(0.5) / 2])
    table = acceptance_table({"q2": found}, {"q2": found}, {"q2": edges})
    assert table.bin.tolist() == [0, 1, 2, 4]
    assert table.outside.tolist() == [1, 1, 1, 0]


def test_rounding_is_not_flagged():
    assert not outside(np.array([1 + 1e-12, -1e-12]), np.zeros(2)).any()
