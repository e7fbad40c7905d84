import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import chi2, norm

from omniflow.evaluation.response import balanced, compare

CLIP = 15.0
SHIFT = 0.7


def _toy(rng, n=1500, bias=0.0):
    """Two samples with particle levels N(0.7, 1) and N(0, 1) and a detector that adds N(0, 0.5)."""
    first = np.arange(2 * n) < n
    p = rng.normal(SHIFT * first, 1)
    d = p + rng.normal(bias * first, 0.5)
    weight = rng.exponential(1, 2 * n)
    return weight, first, p, d


def _exact(p):
    return SHIFT * p - SHIFT**2 / 2


def _guess(p, d):
    """Some function of both levels, and its mean at equal particle level."""
    t, q = 0.4 + 0.2 * (d > p), np.full(len(p), 0.5)
    return logit(t), logit(q)


def _z(rng, alone, joint, expected, **toy):
    weight, first, p, d = _toy(rng, **toy)
    return compare(weight, first, alone(p), joint(p, d), expected(p, d), CLIP).z


@pytest.mark.parametrize("wrong", ["nothing", "spectra", "expectation"])
def test_the_same_response_gives_a_normal_z_even_if_one_ingredient_is_wrong(wrong):
    """The mean takes errors of both; with one of them z stays centred."""
    rng, z = np.random.default_rng(1), []

    def alone(p):
        return _exact(p) + 0.5 * (wrong == "spectra")

    def expected(p, d):
        return _guess(p, d)[1] + (0.3 * np.sin(p) if wrong == "expectation" else 0)

    z = np.array([_z(rng, alone, lambda p, d: _guess(p, d)[0], expected) for _ in range(200)])
    assert abs(z.mean()) < 4 / np.sqrt(200)
    assert chi2.ppf(1e-4, 200) < (z**2).sum() < chi2.ppf(1 - 1e-4, 200)


def test_two_wrong_ingredients_are_a_false_alarm():
    """Which is why networks learn both, and why there is a control."""
    rng = np.random.default_rng(2)
    z = [
        _z(rng, lambda p: 0 * p, lambda p, d: d, lambda p, d: 0 * p, n=1500) for _ in range(5)
    ]  # fmt: skip
    assert min(z) > 5


def test_another_response_is_found():
    rng = np.random.default_rng(3)
    weight, first, p, d = _toy(rng, bias=0.2)
    # The exact classifiers: of d given p the logarithm of the ratio is a line.
    more = (0.2 * (d - p) - 0.02) / 0.25
    joint = _exact(p) + more
    grid = norm.ppf((np.arange(200) + 0.5) / 200)
    e = expit(_exact(p))
    t = expit(_exact(p)[:, None] + (0.2 * 0.5 * grid - 0.02) / 0.25)
    moved = expit(_exact(p)[:, None] + (0.2 * (0.5 * grid + 0.2) - 0.02) / 0.25)
    q = (1 - e) * t.mean(axis=1) + e * moved.mean(axis=1)
    found = compare(weight, first, _exact(p), joint, logit(q), CLIP)
    assert found.z > 4
    assert found.p_value == pytest.approx(norm.sf(found.z))
    # Two normal distributions that are 0.4 standard deviations apart.
    assert found.auc == pytest.approx(norm.cdf(0.4 / np.sqrt(2)), abs=4 * found.auc_error)
    alone = norm.cdf(SHIFT / np.sqrt(2))
    assert found.auc_alone == pytest.approx(alone, abs=4 * found.auc_alone_error)
    assert found.events == 3000


def test_networks_that_found_nothing_are_no_evidence():
    weight, first, p, _ = _toy(np.random.default_rng(4))
    none = np.zeros(len(p))
    found = compare(weight, first, none, none, none, CLIP)
    assert (found.z, found.p_value, found.auc) == (0.0, 0.5, 0.5)


def test_weights_have_the_sum_1_in_either_class():
    weight, first = np.array([1.0, 3.0, -1.0, 4.0]), np.array([True, True, False, False])
    np.testing.assert_allclose(balanced(weight, first), [0.25, 0.75, -1 / 3, 4 / 3])
    assert np.isnan(balanced(weight - 3, first)).any()
