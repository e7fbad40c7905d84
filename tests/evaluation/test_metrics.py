import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from omniflow.evaluation import metrics
from omniflow.evaluation.histograms import CountMatrix, Histogram, normalise
from omniflow.evaluation.metrics import bin_average, spread, td_floor, triangular_discriminator
from omniflow.observables import Entries

UNFOLDED = np.array([[9.0, 24.0], [12.0, 20.0], [12.0, 16.0]])
TRUTH = np.array([10.0, 25.0])


def test_by_hand():
    found = spread(UNFOLDED, TRUTH).values
    np.testing.assert_allclose(found["mean"], [11, 20])
    np.testing.assert_allclose(found["bias_rel"], [0.1, -0.2])
    np.testing.assert_allclose(found["sigma_rel"], [np.sqrt(3) / 11, 4 / 20])
    np.testing.assert_allclose(found["sigma_rel_paper"], [np.sqrt(2) / 11, np.sqrt(32 / 3) / 20])
    np.testing.assert_allclose(found["rel_mse"], [9 / 3 / 100, (1 + 25 + 81) / 3 / 625])
    np.testing.assert_allclose(found["mse_rel_paper"], [9 / 3 / 10, (1 + 25 + 81) / 3 / 25])


@settings(max_examples=100, deadline=None)
@given(
    st.data(),
    st.integers(2, 12),
    st.integers(1, 6),
)
def test_mean_squared_error_is_bias_plus_spread(data, passes, bins):
    positive = st.floats(0.01, 1e6)
    unfolded = data.draw(hnp.arrays(float, (passes, bins), elements=positive))
    truth = data.draw(hnp.arrays(float, bins, elements=positive))
    found = spread(unfolded, truth, replicas=2).values
    width = found["sigma_rel_paper"] * found["mean"]
    np.testing.assert_allclose(
        found["rel_mse"],
        found["bias_rel"] ** 2 + (width / truth) ** 2,
        rtol=1e-9,
        atol=1e-13 * (unfolded.max() / truth.min()) ** 2,
    )
    np.testing.assert_allclose(found["mse_rel_paper"], found["rel_mse"] * truth, rtol=1e-12)
    np.testing.assert_allclose(
        found["sigma_rel"], unfolded.std(axis=0, ddof=1) / unfolded.mean(axis=0), atol=1e-9
    )


def test_gaussian_scatter_of_known_width():
    # 2,000 bins of 10 passes: truth 50, bias 4%, width 5%.
    rng = np.random.default_rng(4)
    found = spread(rng.normal(52.0, 2.6, (10, 2000)), np.full(2000, 50.0))
    assert found.values["bias_rel"].mean() == pytest.approx(0.04, abs=0.001)
    assert (found.values["sigma_rel"] ** 2).mean() == pytest.approx(0.05**2, rel=0.05)
    assert (found.values["sigma_rel_paper"] ** 2).mean() == pytest.approx(0.9 * 0.05**2, rel=0.05)
    assert found.values["rel_mse"].mean() == pytest.approx(0.04**2 + 0.052**2, rel=0.05)
    # the error of the mean is width / sqrt(N), the bootstrap's sqrt((N - 1) / N) of it
    assert (found.errors["bias_rel"] ** 2).mean() == pytest.approx(0.9 * 0.052**2 / 10, rel=0.05)
    # sigma is uncertain by 1 / sqrt(2 (N - 1)) = 24%; ten values bootstrap to a little less
    relative = (found.errors["sigma_rel"] / found.values["sigma_rel"]).mean()
    assert 0.17 < relative < 0.26
    actual = found.values["sigma_rel"].std() / 0.05
    assert actual == pytest.approx(0.24, abs=0.02)


def test_one_pass_has_no_spread():
    found = spread(UNFOLDED[:1], TRUTH)
    for name in ("sigma_rel", "sigma_rel_paper"):
        assert np.isnan(found.values[name]).all()
    assert all(np.isnan(error).all() for error in found.errors.values())
    np.testing.assert_allclose(found.values["bias_rel"], [-0.1, -0.04])
    np.testing.assert_allclose(found.values["rel_mse"], [0.01, 0.0016])
    value, error = bin_average(found, "bias_rel")
    assert value == pytest.approx(0.07)
    assert np.isnan(error)


def test_without_truth_only_the_spread_remains():
    found = spread(UNFOLDED, None)
    for name in ("bias_rel", "rel_mse", "mse_rel_paper"):
        assert np.isnan(found.values[name]).all()
        assert np.isnan(found.errors[name]).all()
    np.testing.assert_array_equal(
        found.values["sigma_rel"], spread(UNFOLDED, TRUTH).values["sigma_rel"]
    )


def test_bootstrap_is_seeded_and_paired():
    first, again = spread(UNFOLDED, TRUTH), spread(UNFOLDED, TRUTH)
    other = spread(UNFOLDED, TRUTH, seed=5)
    np.testing.assert_array_equal(first.errors["sigma_rel"], again.errors["sigma_rel"])
    assert (first.errors["sigma_rel"] != other.errors["sigma_rel"]).all()
    # methods that differ by a constant shift differ by it in every replica
    shifted = spread(UNFOLDED + 3.0, TRUTH)
    np.testing.assert_allclose(shifted.replicas["mean"] - first.replicas["mean"], 3.0)


def test_bootstrap_errors_against_all_possible_draws():
    values, truth = np.array([9.0, 12.0, 14.0, 10.0]), 10.0
    draws = np.array(list(itertools.product(values, repeat=4)))
    exact = {
        "mean": draws.mean(axis=1),
        "sigma_rel": draws.std(axis=1, ddof=1) / draws.mean(axis=1),
        "rel_mse": ((truth - draws) ** 2).mean(axis=1) / truth**2,
    }
    found = spread(values[:, None], np.array([truth]), replicas=20_000)
    for name, values_of_draws in exact.items():
        assert found.errors[name][0] == pytest.approx(values_of_draws.std(), rel=0.03), name


def test_bin_averages():
    found = spread(UNFOLDED, TRUTH)
    assert bin_average(found, "bias_rel")[0] == pytest.approx(0.15)
    assert bin_average(found, "bias_rel", TRUTH)[0] == pytest.approx((1 + 5) / 35)
    value, error = bin_average(found, "sigma_rel")
    assert value == pytest.approx((np.sqrt(3) / 11 + 0.2) / 2)
    assert 0 < error < value
    assert all(np.isnan(bin_average(spread(np.ones((3, 0)), np.ones(0)), "rel_mse")))


def test_contents_below_0_are_relative_to_magnitudes():
    """Two passes of -3 and -1: mean -2 and spread sqrt(2); truth 4, -4, and none that sums to 0."""
    unfolded = np.array([[-3.0, -3.0, -3.0], [-1.0, -1.0, -1.0]])
    found = spread(unfolded, np.array([4.0, -4.0, 0.0])).values
    np.testing.assert_allclose(found["bias_rel"], [-1.5, 0.5, np.nan])
    np.testing.assert_allclose(found["sigma_rel"], np.sqrt(2) / 2)
    np.testing.assert_allclose(found["rel_mse"], [(49 + 25) / 32, (1 + 9) / 32, np.nan])
    np.testing.assert_allclose(found["mse_rel_paper"], [(49 + 25) / 8, (1 + 9) / 8, np.nan])


def test_averages_hold_every_bin_that_has_the_statistic():
    unfolded = np.array([[-3.0, -3.0, 5.0], [-1.0, -1.0, 6.0]])
    found = spread(unfolded, np.array([4.0, -4.0, 0.0]))
    assert bin_average(found, "bias_rel")[0] == pytest.approx(1.0)
    weighted, error = bin_average(found, "bias_rel", np.array([6.0, -2.0, 9.0]))
    assert weighted == pytest.approx((6 * 1.5 + 2 * 0.5) / 8)
    assert error > 0
    expected = (2 * np.sqrt(2) / 2 + np.sqrt(0.5) / 5.5) / 3
    assert bin_average(found, "sigma_rel")[0] == pytest.approx(expected)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="must be"):
        spread(TRUTH, TRUTH)
    with pytest.raises(ValueError, match="truth has"):
        spread(UNFOLDED, TRUTH[:1])


class TestTriangularDiscriminator:
    def test_by_hand(self):
        p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.75, 0.0])
        expected = 0.5 * (0.0625 / 0.75 + 0.0625 / 1.25)
        assert triangular_discriminator(p, q) == pytest.approx(1000 * expected)

    def test_limits(self):
        p = np.array([0.2, 0.8, 0.0])
        assert triangular_discriminator(p, p) == 0
        assert triangular_discriminator(p, np.array([0.0, 0.0, 1.0])) == pytest.approx(1000)
        assert metrics.TD_SCALE == 1000

    def test_bins_below_0_count_by_their_magnitude(self):
        """A bin of 0.1 in one and -0.1 in the other is not empty in both."""
        p, q = np.array([0.9, 0.1]), np.array([1.1, -0.1])
        expected = 0.5 * (0.04 / 2 + 0.04 / 0.2)
        assert triangular_discriminator(p, q) == pytest.approx(1000 * expected)
        variance = np.array([0.01, 0.02])
        floor = td_floor(p, variance, q, variance)
        assert floor == pytest.approx(500 * (0.02 / 2 + 0.04 / 0.2))

    def test_floor_is_the_mean_over_pairs_of_samples(self):
        rng = np.random.default_rng(6)
        parent = np.array([0.05, 0.3, 0.4, 0.2, 0.05])
        pairs = rng.poisson(1000 * parent, (400, 2, 5)).astype(float)
        found, floors = [], []
        for count in pairs:
            p, q = (normalise(Histogram(c, c, c)) for c in count)
            found.append(triangular_discriminator(p.content, q.content))
            floors.append(td_floor(p.content, p.variance, q.content, q.variance))
        # (bins - 1) degrees of freedom, two samples of 1000 entries
        assert np.mean(floors) == pytest.approx(1000 * 4 / 4 * 2 / 1000, rel=0.02)
        error = np.std(found) / np.sqrt(len(found))
        assert np.mean(found) == pytest.approx(np.mean(floors), abs=3 * error)
        assert error < 0.05 * np.mean(found)

    def test_floor_of_events_with_many_entries(self):
        rng = np.random.default_rng(7)
        edges = np.linspace(0, 4, 9)

        def sample():
            counts = rng.poisson(10, 400)
            index = np.repeat(np.arange(400), counts)
            centre = np.repeat(rng.uniform(0.5, 3.5, 400), counts)
            value = centre + rng.normal(0, 0.5, counts.sum())
            entries = Entries(index, value.astype(np.float32))
            return CountMatrix(entries, edges, np.ones(400, bool)).fill(np.ones(400))

        found, floors, counted = [], [], []
        for _ in range(200):
            first, second = sample(), sample()
            p, q = normalise(first), normalise(second)
            found.append(triangular_discriminator(p.content, q.content))
            floors.append(td_floor(p.content, p.variance, q.content, q.variance))
            p, q = (normalise(Histogram(h.content, h.content, h.content)) for h in (first, second))
            counted.append(td_floor(p.content, p.variance, q.content, q.variance))
        error = np.std(found) / np.sqrt(len(found))
        assert np.mean(found) == pytest.approx(np.mean(floors), abs=3 * error)
        assert np.mean(found) > 1.5 * np.mean(counted)
