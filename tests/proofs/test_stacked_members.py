"""Proof: stacked members are better than their plain mean in the true loss, where one is bad."""

import numpy as np
import pytest

from omniflow.unfolding.stacking import cross, stack

# Densities N(+1/2, 1) and N(-1/2, 1): the logarithm of their ratio is x.
GRID = np.linspace(-9, 9, 20_001)
STEP = GRID[1] - GRID[0]


def _density(x, mean):
    return np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi)


# Members know the logarithm up to smooth errors; the last one has learned something else.
MEMBERS = (
    lambda x: x + 0.2 * np.sin(2 * x),
    lambda x: x + 0.2 * np.cos(3 * x),
    lambda x: x - 0.2 * np.sin(2 * x + 1),
    lambda x: -0.5 * x + 0.5 * np.sin(x),
)


def _expected(r, likelihood):
    """Expectation of the loss of a ratio r on the grid, by integration over both densities."""
    losses = (-np.log(r), r - 1) if likelihood else (np.log1p(1 / r), np.log1p(r))
    densities = (_density(GRID, 0.5), _density(GRID, -0.5))
    return sum((d * each).sum() * STEP for d, each in zip(densities, losses, strict=True)) / 2


@pytest.mark.parametrize("likelihood", [False, True])
def test_a_bad_member_is_outvoted(likelihood):
    rng = np.random.default_rng(1)
    equal = np.full(len(MEMBERS), 1 / len(MEMBERS))
    ratios = np.exp([member(GRID) for member in MEMBERS])
    lowest = _expected(np.exp(GRID), likelihood)
    plain = _expected(equal @ ratios, likelihood) - lowest
    quoted, true = [], []
    for _ in range(20):
        a = rng.random(2000) < 0.5
        x = rng.normal(np.where(a, 0.5, -0.5), 1)
        sample = np.exp([member(x) for member in MEMBERS]), a.astype(float), (~a).astype(float)
        found = stack(*sample, likelihood)
        excess = _expected(found.weights @ ratios, likelihood) - lowest
        assert excess < 0.3 * plain
        assert found.weights[-1] < 0.1
        crossed = cross(*sample, likelihood, rng.random(2000) < 0.5)
        quoted.append(crossed.mean - crossed.stacked)
        true.append(plain - excess)
    # What is quoted, of weights that half of the events decided, is the true gain.
    error = np.std(quoted, ddof=1) / np.sqrt(len(quoted))
    assert np.mean(quoted) > 10 * error
    assert np.mean(quoted) == pytest.approx(np.mean(true), abs=3 * error, rel=0)
