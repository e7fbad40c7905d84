"""Proof (a): a smeared Gaussian is unfolded as the exact binned iteration does."""

import numpy as np
import pytest
from binned_reference import (
    Simulation,
    bin_of,
    count,
    count_pairs,
    gaussian_joint,
    iterate,
    statistical_errors,
    summary,
)
from proof_chain import make_plan, plain_events, read

from omniflow.api import run

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

SEED = 1
EVENTS = 40_000  # data, and as many simulated
ITERATIONS = 6
TRUTH = (0.3, 0.9)  # mean and width; the simulation has 0 and 1
FAR = (1.2, 0.8)
SMEARING = 0.5
EDGES = np.concatenate([[-10], np.linspace(-4, 4, 81), [10]])
NONE = np.zeros(len(EDGES) - 1)


def draw(seed, truth=TRUTH):
    rng = np.random.default_rng(seed)
    # Particle level in single precision, as it is stored.
    z = rng.normal(0, 1, EVENTS).astype(np.float32).astype(float)
    x = z + rng.normal(0, SMEARING, EVENTS)
    data = rng.normal(*truth, EVENTS) + rng.normal(0, SMEARING, EVENTS)
    return z, x, data


def omnifold(folder, seed, z, x, data):
    """Return the ratios after each iteration (iterations, n) of a study run through the plan."""
    plan = make_plan(
        folder,
        {"data": plain_events(None, data), "simulation": plain_events(z, x)},
        study={"seed": seed},
        classifier={"kind": "mlp", "features": "columns", "width": 32, "blocks": 2},
        training={
            "optimizer": "adam",
            "learning_rate": 5e-3,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "warmup_epochs": 0.2,
            "batch_size": 250,
            "micro_batches": 1,
            "epochs": 2,
        },
        unfolding={"iterations": ITERATIONS},
        methods={"step": {"members": 2}},
    )
    run(plan)
    result = read(plan.unfolded("step", "none", 1))
    assert np.array_equal(result.event_id, np.arange(EVENTS))
    return result.ratio.astype(float)


def compare(folder, seed, truth=TRUTH):
    """Return (mean, width) per iteration of OmniFold, of the binned iteration, and the errors."""
    z, x, data = draw(seed, truth)
    simulation = Simulation(count_pairs(z, x, EDGES), NONE, NONE)
    binned = iterate(simulation, count(data, EDGES), ITERATIONS)[:, bin_of(z, EDGES)]
    found = omnifold(folder, seed, z, x, data)
    expected = Simulation(EVENTS * gaussian_joint(EDGES, 0, 1, SMEARING).matched, NONE, NONE)
    expected_data = EVENTS * gaussian_joint(EDGES, *truth, SMEARING).matched.sum(axis=0)
    errors = statistical_errors(expected, 1.0, expected_data, EDGES, ITERATIONS)
    return summary(z, found)[1:], summary(z, binned)[1:], errors[1:]


def test_iterations_follow_the_binned_iteration_and_reach_truth(tmp_path):
    found, binned, errors = compare(tmp_path, SEED)
    # The unfolded mean converges to the mean of the data less the simulated mean of x - z.
    of_mean = np.sqrt(TRUTH[1] ** 2 + 2 * SMEARING**2) / np.sqrt(EVENTS)
    assert errors[0, -1] == pytest.approx(of_mean, rel=0.15)
    # One iteration differs from the next by up to 10 errors (mean) and 6 errors (width).
    assert abs(binned[0, 1] - binned[0, 0]) > 8 * errors[0, 0]
    assert abs(binned[1, 1] - binned[1, 0]) > 4 * errors[1, 0]
    assert np.all(np.abs(found - binned) < 3 * errors)
    # The prior is 50 errors (mean) and 18 errors (width) away from truth.
    assert np.all(np.abs(found[:, -1] - TRUTH) < 2 * errors[:, -1])


def test_a_far_prior_is_left_as_fast_as_by_the_binned_iteration(tmp_path):
    """What is left of the way from prior to truth, iteration by iteration, in the mean.

    The width is within its errors, but lags: 15% of its way are left where the exact one has 4%.
    """
    found, binned, errors = compare(tmp_path, SEED, FAR)
    truth, prior = np.array(FAR)[:, None], np.array([[0.0], [1.0]])
    left, expected = ((one - truth) / (prior - truth) for one in (found, binned))
    assert 0.1 < expected[0, 0] < 0.4  # there is a rate to follow
    np.testing.assert_allclose(left[0], expected[0], atol=0.02)
    assert np.all(np.abs(found - binned) < 3 * errors)


def test_the_binned_iteration_is_that_of_the_analytic_response():
    """The reference itself: for Gaussians the first iteration is known in closed form.

    E[omega | z] with omega the ratio of N(m, s^2 + r^2) to N(0, 1 + r^2): at s = 1 the
    ratio is exp(a x - c), its mean over the smearing exp(a z + ...), so that the unfolded density
    is a Gaussian of width 1 and mean a = m / (1 + r^2).
    """
    fine = np.concatenate([[-10], np.linspace(-5, 5, 401), [10]])
    simulation = gaussian_joint(fine, 0, 1, SMEARING)
    data = gaussian_joint(fine, 0.3, 1, SMEARING).matched.sum(axis=0)
    first = iterate(simulation, data, 1) * simulation.matched.sum(axis=1)
    _, mean, width = summary((fine[1:] + fine[:-1]) / 2, first)[:, 0]
    assert mean == pytest.approx(0.3 / (1 + SMEARING**2), abs=1e-3)
    assert width == pytest.approx(1, abs=1e-3)
