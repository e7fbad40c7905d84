import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniflow.errors import WeightError
from omniflow.events import slices
from omniflow.unfolding.combine import FUNCTIONS, apply, combine, with_factor

# Two events with the ratios of five networks; the second always 1.
FIVE = np.array([[1.0, 1], [10, 1], [3, 1], [2, 1], [4, 1]])
GEOMETRIC = 240**0.2

COMBINED = {
    "mean": (4, 1),
    "median": (3, 1),
    "truncated_mean": (3, 1),
    "log_mean": (GEOMETRIC, 1),
}


@pytest.mark.parametrize("how", sorted(COMBINED))
def test_values_by_hand(how):
    # The mean of the yields is 4 + 1 = 5; every combination is scaled to it.
    values = np.array(COMBINED[how], float)
    np.testing.assert_allclose(combine(FIVE, how, np.ones(2)), values * 5 / values.sum())


@pytest.mark.parametrize("how", [*sorted(COMBINED), np.array([0.5, 0.2, 0.1, 0.1, 0.1])])
def test_other_events_get_the_factor_of_the_study(how):
    weights = np.array([0.5, 3.0])
    combined, factor = with_factor(FIVE, how, weights)
    np.testing.assert_array_equal(apply(FIVE, how, factor), combined)
    np.testing.assert_array_equal(combine(FIVE, how, weights), combined)
    alone = apply(FIVE[:, :1], how, factor)
    np.testing.assert_allclose(alone, combined[:1], rtol=1e-15)
    one, factor = with_factor(FIVE[:1], how, weights)
    np.testing.assert_array_equal(one, FIVE[0])
    assert factor == 1


@pytest.mark.parametrize("how", [*sorted(COMBINED), np.array([0.5, 0.2, 0.1, 0.1, 0.1])])
def test_slices_of_events_change_nothing_but_rounding(how, monkeypatch):
    rng = np.random.default_rng(2)
    ratios, weights = rng.lognormal(size=(5, 100)), rng.uniform(0.5, 1.5, 100)
    whole, factor = with_factor(ratios, how, weights)
    monkeypatch.setattr(slices, "EVENTS", 7)
    asked = []

    def some(rows):
        asked.append(rows)
        return ratios[:, rows]

    for form in (ratios, some):
        combined, same = with_factor(form, how, weights)
        np.testing.assert_allclose(combined, whole, rtol=1e-14)
        assert same == pytest.approx(factor, rel=1e-14)
    assert asked == list(slices.slices(100))


@pytest.mark.parametrize("how", sorted(COMBINED))
def test_the_yield_is_that_of_the_base_weights(how):
    weights = np.array([0.5, 3.0])
    values = np.array(COMBINED[how], float)
    wanted = 0.5 * 4 + 3
    np.testing.assert_allclose(
        combine(FIVE, how, weights), values * wanted / (0.5 * values[0] + 3 * values[1])
    )


def test_all_combinations_are_tested():
    assert set(COMBINED) == set(FUNCTIONS)


@pytest.mark.parametrize("rows", [3, 4])
def test_a_truncated_mean_of_three_or_four_is_the_median(rows):
    ratios = np.random.default_rng(0).lognormal(size=(rows, 20))
    weights = np.random.default_rng(1).uniform(1, 2, 20)
    np.testing.assert_allclose(
        combine(ratios, "truncated_mean", weights), combine(ratios, "median", weights)
    )


def test_a_truncated_mean_of_two_is_refused():
    with pytest.raises(WeightError, match="at least 3"):
        combine(FIVE[:2], "truncated_mean", np.ones(2))


@pytest.mark.parametrize("how", sorted(COMBINED))
def test_one_row_is_returned_as_it_is(how):
    row = np.array([[0.3, 7.0]], np.float32)
    result = combine(row, how, np.array([1.0, 1e9]))
    np.testing.assert_array_equal(result, row[0])
    result[0] = 5
    assert row[0, 0] == np.float32(0.3)


@settings(max_examples=60, deadline=None)
@given(
    how=st.sampled_from(sorted(FUNCTIONS)),
    rows=st.integers(3, 8),
    events=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_yields_are_kept_and_the_order_of_rows_is_irrelevant(how, rows, events, seed):
    rng = np.random.default_rng(seed)
    ratios, weights = rng.lognormal(0, 2, (rows, events)), rng.uniform(0.1, 3, events)
    combined = combine(ratios, how, weights)
    np.testing.assert_allclose(combined @ weights, (ratios @ weights).mean(), rtol=1e-10)
    shuffled = combine(rng.permutation(ratios), how, weights)
    np.testing.assert_allclose(combined, shuffled, rtol=1e-9)


def test_equal_rows_are_their_combination():
    row = np.array([0.2, 5.0, 1.0])
    for how in FUNCTIONS:
        np.testing.assert_allclose(combine(np.tile(row, (5, 1)), how, np.array([1.0, 2, 3])), row)


def test_an_outlier_moves_the_mean_but_not_the_median():
    ratios = np.ones((5, 100))
    ratios[2, 7] = 1e6
    weights = np.ones(100)
    mean, median = (combine(ratios, how, weights) for how in ("mean", "median"))
    assert mean[7] / mean[0] > 1e5
    assert median[7] == pytest.approx(median[0])


def test_without_positive_yield_it_is_refused():
    with pytest.raises(WeightError, match="yield"):
        combine(FIVE, "mean", np.array([-1.0, 1.0]))
    with pytest.raises(WeightError, match="yield"):
        combine(FIVE * np.nan, "mean", np.ones(2))


def test_weights_of_rows_make_a_weighted_mean_that_keeps_its_yield():
    combined = combine(FIVE, np.array([0.1, 0.2, 0.3, 0.4, 0.0]), np.array([7.0, 1]))
    np.testing.assert_allclose(combined, [0.1 + 2 + 0.9 + 0.8, 1])


@pytest.mark.parametrize("how", ["mean", "median", "truncated_mean", "log_mean"])
def test_how_ratios_lie_in_memory_changes_no_bit(how):
    """Lanes of one job and of several are read differently."""
    rng = np.random.default_rng(8)
    ratios, weights = rng.lognormal(size=(9, 1000)).astype(np.float32), rng.random(1000)
    found = [combine(each, how, weights) for each in (ratios, np.asfortranarray(ratios))]
    assert found[0].tobytes() == found[1].tobytes()
