"""Proof (b): a classifier learns a known likelihood ratio."""

import known_densities
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

EVENTS = 100_000  # per class
SHIFT = 0.3


def log_ratio(x):
    """Return log N(x; SHIFT, 1) - log N(x; 0, 1)."""
    return SHIFT * x - SHIFT**2 / 2


def learned(seed, precision):
    """Return x (200,000) of both classes and the logits of one network trained on them."""
    rng = np.random.default_rng(seed)
    one, other = rng.normal(SHIFT, 1, EVENTS), rng.normal(0, 1, EVENTS)
    # Classes of very different sums of weights: the ratio of the densities must not see them.
    parts = [(one, 0.01, True), (other, 7.0, False)]
    return np.concatenate([one, other]), known_densities.learned(seed, parts, precision)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_mean_absolute_error_of_the_log_ratio(precision):
    """The mean is over events of both classes together, half of them from each (the mixture)."""
    x, logits = learned(seed=1, precision=precision)
    # A ratio of 1 everywhere: E|0.3 x - 0.045| over the mixture is 0.242 by integration.
    grid = np.linspace(-9, 9, 20_001)
    mixture = (np.exp(-(grid**2) / 2) + np.exp(-((grid - SHIFT) ** 2) / 2)) / np.sqrt(8 * np.pi)
    trivial = np.sum(mixture * np.abs(log_ratio(grid))) * (grid[1] - grid[0])
    assert trivial == pytest.approx(0.24, abs=0.005)
    assert np.mean(np.abs(log_ratio(x))) == pytest.approx(trivial, abs=0.002)
    assert np.mean(np.abs(logits - log_ratio(x))) < 0.02
    # Also where few events are, the outermost percent.
    tails = np.abs(x - SHIFT / 2) > 2.6
    assert np.mean(np.abs((logits - log_ratio(x))[tails])) < 0.1
