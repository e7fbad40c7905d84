import numpy as np
import pytest
from scipy.stats import norm

from omniflow.evaluation import scores
from omniflow.evaluation.scores import Scores

CLIP = 15.0


def _events(n, seed=0, negative=0.0):
    """Logits of two weighted samples; a fraction of class A has negative weights."""
    rng = np.random.default_rng(seed)
    logits = np.concatenate([rng.normal(0.4, 0.8, n), rng.normal(-0.2, 0.8, n)])
    weight = rng.uniform(0.2, 2, 2 * n)
    weight[:n] *= np.where(rng.uniform(size=n) < negative, -1, 1)
    label = np.arange(2 * n) < n
    return logits, np.where(label, weight, 0), np.where(label, 0, weight)


def _twins(n, seed=0):
    """Events that stand in both classes, as in step 2."""
    rng = np.random.default_rng(seed)
    logits, base = rng.normal(0, 0.6, n), rng.uniform(0.5, 1.5, n)
    return logits, base * np.exp(logits + rng.normal(0, 0.3, n)), base


def _fill(logits, a, b):
    return Scores.empty(CLIP).plus(logits, a, b)


def _pairs(logits, a, b):
    """Probability that class A scores higher, by counting all weighted pairs; ties are half."""
    wins = (logits[:, None] > logits[None, :]) + 0.5 * (logits[:, None] == logits[None, :])
    return float(a @ wins @ b / (a.sum() * b.sum()))


def _in_bins(logits):
    """Logits as the histogram sees them: all of a bin at one place."""
    return np.searchsorted(scores.edges(CLIP), logits, side="right").astype(float)


@pytest.mark.parametrize(
    "events", [_events(700), _events(700, negative=0.2), _twins(900)], ids=["1", "negative", "2"]
)
def test_area_is_the_fraction_of_weighted_pairs(events):
    logits, a, b = events
    area, _ = scores.auc(_fill(*events))
    assert area == pytest.approx(_pairs(_in_bins(logits), a, b), abs=1e-12)
    # Bins are narrow: they cost nothing that matters.
    assert area == pytest.approx(_pairs(logits, a, b), abs=2e-3)


def test_area_of_a_handful_counted_by_hand():
    # Class A at 3 and 1 (weights 2, 1), class B at 2 and 0 (weights 1, 3): A wins 2 x 4 + 1 x 3.
    a, b = np.array([2.0, 0, 1, 0]), np.array([0.0, 1, 0, 3])
    filled = _fill(np.array([3.0, 2, 1, 0]), a, b)
    assert scores.auc(filled)[0] == pytest.approx(11 / 12)
    x, y = scores.roc(filled)
    for point in ((0, 0), (0, 2 / 3), (1 / 4, 2 / 3), (1 / 4, 1), (1, 1)):
        assert np.min(np.hypot(x - point[0], y - point[1])) < 1e-12
    assert np.trapezoid(y, x) == pytest.approx(11 / 12)


@pytest.mark.parametrize("events", [_events, _twins])
def test_error_is_the_scatter_of_repeated_samples(events):
    found = np.array([scores.auc(_fill(*events(400, seed))) for seed in range(400)])
    # The scatter of 400 numbers is known to 3.5%.
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(ddof=1), rel=0.12)


def test_error_of_equal_weights_is_delong_s():
    """As in DeLong et al.: variances of the placements of A among B, and of B among A."""
    logits, a, b = _events(300)
    a, b = (a > 0).astype(float), (b > 0).astype(float)
    z = _in_bins(logits)
    wins = (z[:300, None] > z[None, 300:]) + 0.5 * (z[:300, None] == z[None, 300:])
    expected = np.sqrt(wins.mean(axis=1).var() / 300 + wins.mean(axis=0).var() / 300)
    assert scores.auc(_fill(logits, a, b))[1] == pytest.approx(expected, rel=1e-9)


def test_gaussian_classes_have_the_area_and_reliability_of_theory():
    """Means 0 and d apart: the logit is d x - d^2 / 2, the area Phi(d / sqrt 2)."""
    d, n = 0.7, 200_000
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(d, 1, n), rng.normal(0, 1, n)])
    label = np.arange(2 * n) < n
    filled = _fill(d * x - d * d / 2, label * 3.0, ~label * 0.5)
    area, error = scores.auc(filled)
    assert error < 1e-3
    assert abs(area - norm.cdf(d / np.sqrt(2))) < 4 * error
    starts = scores.coarse(filled)
    assert len(starts) == 12
    predicted, observed, uncertainty = scores.reliability(filled, starts)
    assert np.all(np.diff(predicted) > 0)
    assert np.ptp(predicted) > 0.4
    assert np.all(np.abs(observed - predicted) < 4 * uncertainty)
    assert np.all(uncertainty < 0.006)
    value, bins = scores.chi2(filled, starts)
    assert bins == 12
    assert value < 33  # probability 1e-3


def test_wrong_probabilities_are_seen():
    logits, a, b = _events(20_000)
    true = 0.6 / 0.64 * (logits - 0.1)  # of both normal distributions
    good, bad = (_fill(z, a, b) for z in (true, 1.5 * true))
    assert scores.chi2(good, scores.coarse(good))[0] < 33
    assert scores.chi2(bad, scores.coarse(bad))[0] > 200


def test_reliability_of_twins_counts_an_event_once():
    """Both classes share their fluctuations: the scatter over samples is that of the error."""
    starts = np.array([0, 55, 105])
    found = np.array([scores.reliability(_fill(*_twins(800, s)), starts) for s in range(300)])
    scatter = found[:, 1].std(axis=0, ddof=1)
    np.testing.assert_allclose(found[:, 2].mean(axis=0), scatter, rtol=0.2)


def test_parts_add_up_and_logits_are_clipped():
    logits, a, b = _events(500)
    logits[:3] = -40, 40, 15
    whole, parts = _fill(logits, a, b), Scores.empty(CLIP)
    for i in range(0, 1000, 130):
        where = slice(i, i + 130)
        parts = parts.plus(logits[where].astype(np.float32), a[where], b[where])
    assert parts.events == whole.events == 1000
    np.testing.assert_allclose(parts.sums[:2].sum(axis=1), [a.sum(), b.sum()])
    assert whole.sums[0, 0] == pytest.approx(a[0])
    assert whole.sums[0, -1] == pytest.approx(a[1] + a[2])
    assert parts.sums.shape == whole.sums.shape


def test_pooling_averages_networks():
    one, two = _fill(*_events(500, 1)), _fill(*_events(500, 2))
    both = scores.pooled([one, two])
    expected = (np.array(scores.roc(one)) + scores.roc(two)) / 2
    np.testing.assert_allclose(scores.roc(both), expected)
    # The same twice: the same error, not less.
    assert scores.auc(scores.pooled([one, one])) == pytest.approx(scores.auc(one))


def test_networks_without_one_class_are_not_pooled():
    logits, a, b = _events(500)
    good, empty = _fill(logits, a, b), _fill(logits, a, np.zeros(1000))
    negative = _fill(logits, -a, b)
    both = scores.pooled([empty, good, negative])
    assert both.events == good.events
    np.testing.assert_allclose(scores.roc(both), scores.roc(good))
    nothing = scores.pooled([empty, negative])
    assert np.isnan(scores.auc(nothing)[0])
    assert np.isnan(scores.reliability(nothing, scores.coarse(nothing))).all()


def test_without_one_class_there_is_no_area():
    logits, a, _ = _events(50)
    assert np.isnan(scores.auc(_fill(logits, a, np.zeros(100)))[0])
