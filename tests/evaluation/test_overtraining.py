import numpy as np
import pytest

from omniflow.evaluation.histograms import CountMatrix
from omniflow.evaluation.overtraining import compare, fill
from omniflow.observables import Entries

EDGES = np.linspace(0, 1, 11)


def _sample(n, seed):
    rng = np.random.default_rng(seed)
    value = rng.uniform(0, 1, n).astype(np.float32)
    matrix = CountMatrix(Entries(np.arange(n), value), EDGES, np.ones(n, bool))
    base, ratio = rng.uniform(0.5, 1.5, n), np.exp(rng.normal(0, 0.3, n))
    return matrix, base, ratio, rng.uniform(size=n) < 0.2, value


def _fill(matrix, *arrays):
    return fill({"x": matrix}, *arrays)["x"]


def test_chi2_in_numpy():
    matrix, base, ratio, out, value = _sample(3000, 1)
    expected = 0.0
    place = np.digitize(value, EDGES) - 1
    for b in range(10):
        w, nu = base[place == b], ratio[place == b]
        mean, size = (w * nu).sum() / w.sum(), w.sum() ** 2 / (w**2).sum()
        scatter = (w**2 * (nu - mean) ** 2).sum() / (w**2).sum() * size / (size - 1)
        means, shares = [], []
        for chosen in (~out & (place == b), out & (place == b)):
            w, nu = base[chosen], ratio[chosen]
            means.append((w * nu).sum() / w.sum())
            shares.append((w**2).sum() / w.sum() ** 2)
        expected += (means[0] - means[1]) ** 2 / (scatter * sum(shares))
    found = compare(*_fill(matrix, base, ratio, out))
    assert found["bins"] == 10
    assert found["chi2"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("events", [120, 2000])
def test_chi2_of_equal_sets_averages_to_the_number_of_bins(events):
    """Also with two or three held-out events per bin."""
    values = [compare(*_fill(*_sample(events, seed)[:4])) for seed in range(200)]
    chi2 = np.array([found["chi2"] for found in values])
    bins = np.mean([found["bins"] for found in values])
    # A chi2 of 10 degrees has the variance 20: the mean of 200 is known to 0.32.
    assert chi2.mean() == pytest.approx(bins, abs=1.3)
    assert np.mean([found["p_value"] < 0.1 for found in values]) == pytest.approx(0.1, abs=0.07)


def test_weights_learned_by_heart_are_found():
    matrix, base, ratio, out, _ = _sample(5000, 3)
    found = compare(*_fill(matrix, base, np.where(out, ratio, 1.1 * ratio), out))
    assert found["difference"] == pytest.approx(0.1, abs=0.03)
    assert found["p_value"] < 1e-6
    assert compare(*_fill(matrix, base, ratio, out))["p_value"] > 1e-3


def test_empty_bins_do_not_count():
    matrix, base, ratio, out, value = _sample(500, 4)
    base = np.where((value > 0.5) & out, 0.0, base)  # held-out events in half of the bins alone
    assert compare(*_fill(matrix, base, ratio, out))["bins"] == 5


def test_without_entries_there_is_nothing_to_compare():
    matrix, base, ratio, out, _ = _sample(500, 5)
    found = compare(*_fill(matrix, 0 * base, ratio, out))
    assert found["bins"] == 0
    assert np.isnan(found["difference"])
