"""Laws against formulas and brute force, and p-values on toys without a difference and with one."""

from dataclasses import replace

import numpy as np
import pytest
from null_toys import OTHERS, Toy, draw, p_values, share
from scipy import stats

from omniflow.evaluation import covariance, significance
from omniflow.evaluation.significance import Estimate, Law

VALUES = np.array([0.0, 3.0, 12.0, 40.0])
# Share of p < 0.05 that is right within the approximations; toys scatter by 0.011 about it.
LOW, HIGH, TOYS = 0.02, 0.08, 400


def test_a_known_covariance_has_a_chi_square():
    np.testing.assert_allclose(Law.of([], 5).above(VALUES), stats.chi2.sf(VALUES, 5))


def test_one_estimated_covariance_has_hotellings_law():
    freedom, bins = 12, 5
    law = Law.of([Estimate(np.eye(bins), freedom)], bins)
    rest = freedom - bins + 1
    expected = stats.f.sf(VALUES * rest / (freedom * bins), bins, rest)
    assert law.freedom == pytest.approx(freedom)
    np.testing.assert_allclose(law.above(VALUES), expected, rtol=1e-6)


def test_known_directions_keep_their_chi_square():
    """Two of five directions are known, without any error: the exact law, by drawing."""
    rng = np.random.default_rng(1)
    freedom, trials = 9, 200_000
    known = np.diag([0.0, 0, 0, 1, 1])
    law = Law.of([Estimate(np.eye(5) - known, freedom)], 5)
    f = rng.f(3, freedom - 2, trials) * freedom * 3 / (freedom - 2)
    drawn = f + rng.chisquare(2, trials)
    for value in VALUES:
        assert law.above(np.array([value]))[0] == pytest.approx(np.mean(drawn > value), abs=0.004)


@pytest.mark.parametrize("freedom", [1, 4])
def test_training_alone_has_students_law(freedom):
    """One bin whose error is that of training: the law of a mean over passes."""
    passes = Estimate(np.array([[1e8]]), freedom)
    statistical = [Estimate(np.eye(1), 50)]
    for value in (0.5, 2.0, 10.0):
        found = significance.p_value(np.array([1e4 * value]), np.zeros((1, 1)), statistical, passes)
        assert found == pytest.approx(2 * stats.t.sf(value, freedom), rel=0.03)


def test_training_without_size_changes_nothing():
    rng = np.random.default_rng(2)
    difference, estimate = 2 * rng.normal(size=6), Estimate(np.eye(6), 40)
    without = significance.p_value(difference, np.zeros((6, 6)), [estimate])
    for freedom in (1, 3):
        none = Estimate(np.zeros((6, 6)), freedom)
        found = significance.p_value(difference, np.zeros((6, 6)), [estimate], none)
        assert found == pytest.approx(without, rel=1e-4)


def test_directions_that_passes_show_do_not_hide_the_others():
    """Ten passes that scatter along one axis: a difference across it is as clear as without."""
    axis, across = np.eye(6)[0], 5 * np.eye(6)[1]
    statistical = [Estimate(np.eye(6), 200)]
    passes = Estimate(1e4 * np.outer(axis, axis), 9)
    assert significance.p_value(across, np.zeros((6, 6)), statistical, passes) < 1e-3
    assert significance.p_value(5 * axis, np.zeros((6, 6)), statistical, passes) > 0.5


# -- toys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "toy",
    [
        Toy(ratio=0),
        Toy(ratio=2),
        Toy(ratio=0.7, passes=10),
        Toy(17, 20, passes=3, ratio=2),
        Toy(8, 10, passes=5, ratio=10),
        *(OTHERS[name] for name in ("one mode of size 10", "three modes of size 1")),
        *(replace(OTHERS["replicas of data only"], ratio=ratio) for ratio in (0, 2)),
    ],
    ids=repr,
)
def test_p_values_hold_without_a_difference(toy):
    assert LOW <= share(toy, TOYS) <= HIGH


def test_p_values_are_uniform_beyond_0_05():
    found = p_values(Toy(ratio=2), TOYS)
    for level in (0.2, 0.5, 0.8):
        error = np.sqrt(level * (1 - level) / TOYS)
        assert abs(np.mean(found < level) - level) < 3 * error + 0.03


def test_clear_differences_are_seen():
    """Close to what a covariance that is known exactly allows: 0.48 and 0.93."""
    base = Toy(ratio=2, replicas=100, passes=5)
    for sigmas, least in ((3, 0.33), (5, 0.85)):
        known = stats.ncx2.sf(stats.chi2.isf(0.05, base.bins), base.bins, sigmas**2)
        found = share(replace(base, sigmas=sigmas), 150)
        assert least < found < known + 0.1


def test_toys_scatter_as_they_say():
    """The generator: results have the covariance that blocks have on average."""
    toy, rng = Toy(6, 20, 3, correlation=0.5, simulation=0.5), np.random.default_rng(4)
    drawn = [draw(rng, toy) for _ in range(2000)]
    results = np.array([result for result, _ in drawn])
    blocks = np.mean([sum(b.matrix for b in found.values()) for _, found in drawn], axis=0)
    scale = np.abs(toy.covariance()).max()
    assert np.abs(np.cov(results.T) - toy.covariance()).max() < 0.12 * scale
    assert np.abs(blocks - toy.covariance()).max() < 0.05 * scale


@pytest.mark.parametrize("size", [1e-6, 1, 1e6])
def test_whether_there_is_a_p_value_depends_on_numbers_alone(size):
    rng = np.random.default_rng(5)
    for toy, printed in (
        (Toy(15, 30), True),
        (Toy(15, 16), False),
        (Toy(15, 17), True),
        (Toy(15, 30, passes=1), False),
        (Toy(4, 10, passes=10), True),
    ):
        difference, blocks = draw(rng, toy)
        for name in blocks:
            scaled = blocks | {name: blocks[name] * size}
            found = covariance.chi2_test(difference / size, scaled)
            assert np.isfinite(found.p_value) == printed == (found.reason == "")
