from math import exp, factorial

import numpy as np
import pytest

from omniflow.events.batches import Source
from omniflow.events.resample import poisson, resampled

IDS = np.arange(200_000, dtype=np.uint64)


@pytest.mark.parametrize("stride", [1, 2**20])
def test_multipliers_follow_a_poisson_distribution_of_mean_1(stride):
    times = poisson(IDS * np.uint64(stride), 12345).astype(float)
    n = len(times)
    assert abs(times.mean() - 1) < 4 / np.sqrt(n)
    # The variance of a sample variance is (mu_4 - sigma^4) / n, with mu_4 = 4 for Poisson(1).
    assert abs(times.var() - 1) < 4 * np.sqrt(3 / n)
    for k in range(6):
        p = exp(-1) / factorial(k)
        assert abs(np.mean(times == k) - p) < 4 * np.sqrt(p * (1 - p) / n)
    assert times.max() < 13


def test_multipliers_depend_on_id_and_seed_alone():
    order = np.random.default_rng(1).permutation(5000)
    whole = poisson(IDS[:5000], 7)
    np.testing.assert_array_equal(poisson(IDS[order], 7), whole[order])
    np.testing.assert_array_equal([poisson(IDS[i : i + 1], 7)[0] for i in range(50)], whole[:50])


@pytest.mark.parametrize(("one", "two"), [(1, 2), (5, 2**62 + 5)])
def test_networks_and_neighbouring_events_are_independent(one, two):
    first, second = (poisson(IDS, seed).astype(float) for seed in (one, two))
    bound = 4 / np.sqrt(len(IDS))
    assert abs(np.corrcoef(first, second)[0, 1]) < bound
    for lag in (1, 2, 64):
        assert abs(np.corrcoef(first[lag:], first[:-lag])[0, 1]) < bound


def _source(n, numerator, denominator):
    ids = np.random.default_rng(n).permutation(10 * n)[:n].astype(np.uint64)
    return Source(None, ids, np.arange(n) % 4 != 0, numerator, denominator)


def test_events_are_drawn_with_both_of_their_roles():
    weight, pull = np.random.default_rng(0).uniform(0.5, 2, (2, 3000))
    source = _source(3000, (weight, pull), (weight,))
    (found,) = resampled([source], 99)
    times = poisson(source.event_id, 99)
    np.testing.assert_array_equal(found.select, source.select & (times > 0))
    a, b = found.weights(slice(None))
    np.testing.assert_allclose(a, weight * pull * times)
    np.testing.assert_allclose(b, weight * times)


def test_simulation_is_drawn_alike_in_every_step_and_apart_from_data():
    weight = np.ones(3000)
    data, simulation = _source(3000, (weight,), ()), _source(3000, (), (weight,))
    first = resampled([data, simulation], 99)
    (second,) = resampled([_source(3000, (weight,), (weight,))], 99)
    assert first[0].denominator == first[1].numerator == ()  # still in one class each
    np.testing.assert_array_equal(first[1].select, second.select)
    np.testing.assert_array_equal(first[1].weights(slice(None))[1], second.weights(slice(None))[1])
    drawn = first[0].weights(slice(None))[0]  # the same ids as in the simulation
    assert abs(np.corrcoef(drawn, second.weights(slice(None))[0])[0, 1]) < 4 / np.sqrt(3000)
