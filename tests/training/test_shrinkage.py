"""Shrinkage of outputs whose calibration is known."""

import numpy as np
import pytest

from omniflow.training.losses import LOSSES
from omniflow.training.shrinkage import FACTORS, Shrinkage, best_factor

SHIFT = 0.5


def _samples(n=100_000):
    """Return the log ratio (2n,) of two unit Gaussians, and weights in class A and B.

    The error of a factor on logits of variance v is 2 / sqrt(2n v): 0.007 at most where 0.03 is
    asked for, of which half a step between factors takes 0.0125.
    """
    rng = np.random.default_rng(1)
    a = np.repeat([1.0, 0.0], n)
    x = rng.normal(0, 1, 2 * n) + SHIFT * a
    return SHIFT * x - SHIFT**2 / 2, a, 1 - a


def _factor(outputs, a, b, loss="bce_logistic", parts=1):
    shrinkage = Shrinkage(LOSSES[loss], (a.sum(), b.sum()))
    for rows in np.array_split(np.arange(len(a)), parts):
        shrinkage.add(outputs[rows], a[rows], b[rows])
    return best_factor(shrinkage.losses)


@pytest.mark.parametrize("times", [1.25, 2.0, 4.0])
def test_a_ratio_that_is_too_sure_of_itself_gets_the_inverse_factor(times):
    truth, a, b = _samples()
    assert _factor(times * truth, a, b) == pytest.approx(1 / times, abs=0.03)


def test_a_timid_ratio_is_not_made_stronger():
    truth, a, b = _samples()
    assert _factor(0.5 * truth, a, b) == 1


def test_noise_gets_0_within_its_uncertainty():
    _, a, b = _samples()
    noise = np.random.default_rng(2).normal(0, 0.3, len(a))
    assert _factor(noise, a, b) < 3 * 2 / np.sqrt(0.3**2 * len(a)) + FACTORS[1]


def test_signal_with_noise_gets_the_share_of_the_signal():
    """Linear regression on s + n, of s: the slope is var(s) / (var(s) + var(n))."""
    truth, a, b = _samples()
    noise = np.random.default_rng(3).normal(0, truth.std(), len(a))
    assert _factor(truth + noise, a, b) == pytest.approx(0.5, abs=0.04)


def test_weights_count_as_events_do():
    truth, a, b = _samples(20_000)
    weights = np.random.default_rng(4).integers(0, 3, len(a)).astype(float)
    rows = np.repeat(np.arange(len(a)), weights.astype(int))
    found = _factor(2 * truth, a * weights, b * weights, parts=7)
    assert found == _factor(2 * truth[rows], a[rows], b[rows])


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_keeps_what_is_true_and_drops_what_is_not(loss):
    truth, a, b = _samples(20_000)
    chosen = LOSSES[loss]
    grid = np.linspace(max(chosen.neutral - 3, 0.01), chosen.neutral + 5, 20_001)
    if chosen.neutral == 0:
        grid = np.linspace(-5, 5, 20_001)
    outputs = np.interp(truth, chosen.log_ratio(grid), grid)
    assert _factor(outputs, a, b, loss) > 0.9
    assert _factor(np.random.default_rng(5).permutation(outputs), a, b, loss) < 0.2
