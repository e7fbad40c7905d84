import numpy as np
import pandas as pd
import pytest

from omniflow.evaluation.efficiency import ACCEPTANCE_COLUMNS, Fraction, acceptance_table, fraction
from omniflow.evaluation.matching import Objects

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
    found = fraction(weight, objects, part, whole, EDGES)
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
    found = fraction(np.ones(500), Objects(np.arange(500), value), part, ones, EDGES)
    number, f = (np.histogram(value, EDGES)[0][:3], found.value[:3])
    np.testing.assert_allclose(found.error[:3], np.sqrt(f * (1 - f) / number))


def test_errors_against_toys_of_correlated_entries():
    """Fractions of independent samples scatter by the error of one of them."""
    toys = [fraction(*sample(400, seed=seed), EDGES) for seed in range(600)]
    scatter = np.std([toy.value[:3] for toy in toys], axis=0, ddof=1)
    error = np.mean([toy.error[:3] for toy in toys], axis=0)
    # 600 toys know a standard deviation to 2.9%
    np.testing.assert_allclose(scatter / error, 1, atol=0.09)


def test_table_has_bins_that_are_filled_at_either_level():
    nan = np.nan
    efficiency = {"q2": Fraction(np.array([0.5, nan, nan]), np.array([0.1, nan, nan]))}
    fakes = {"q2": Fraction(np.array([nan, 0.2, nan]), np.array([nan, 0.05, nan]))}
    table = acceptance_table(efficiency, fakes, {"q2": np.array([0.0, 1, 2, 4])})
    assert tuple(table.columns) == ACCEPTANCE_COLUMNS
    expected = pd.DataFrame(
        [("q2", 0, 0.0, 1.0, 0.5, 0.1, nan, nan), ("q2", 1, 1.0, 2.0, nan, nan, 0.2, 0.05)],
        columns=ACCEPTANCE_COLUMNS,
    )
    pd.testing.assert_frame_equal(table, expected)


def test_what_is_not_in_the_whole_does_not_count():
    objects = Objects(np.array([0, 1]), np.array([0.5, 0.5]))
    found = fraction(
        np.ones(2), objects, np.array([True, True]), np.array([True, False]), EDGES[:2]
    )
    assert found.value == pytest.approx([1.0])
    assert found.error == pytest.approx([0.0])
