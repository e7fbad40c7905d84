"""Proofs: backgrounds are subtracted by negative weights, and simulated weights may be negative."""

import known_densities
import numpy as np
import pytest
from binned_reference import (
    Simulation,
    bin_of,
    count,
    count_pairs,
    gaussian_joint,
    iterate,
    summary,
)
from proof_chain import make_plan, plain_events, read
from scipy.stats import norm

from omniflow.api import run

pytestmark = pytest.mark.usefixtures("tensorflow_runtime")

EVENTS = 100_000  # of the signal, and as many simulated
SHIFT = 0.3
BACKGROUND = (-1.2, 0.7)  # mean and width, at detector level


# -- likelihood ratios -----------------------------------------------------------------------------


def test_subtracted_data_have_the_density_of_the_signal():
    """(S + B) - B / 2 of twice the luminosity, against simulation: the ratio is that of S."""
    rng = np.random.default_rng(1)
    signal, other = rng.normal(SHIFT, 1, EVENTS), rng.normal(0, 1, EVENTS)
    data = np.concatenate([signal, rng.normal(*BACKGROUND, EVENTS // 4)])
    background = rng.normal(*BACKGROUND, EVENTS // 2)
    parts = [(data, 0.01, True), (background, -0.005, True), (other, 7.0, False)]
    logits = known_densities.learned(1, parts)
    x = np.concatenate([data, background, other])
    truth = SHIFT * x - SHIFT**2 / 2
    mixture = np.r_[: len(signal), len(x) - len(other) : len(x)]
    wrong = np.mean(np.abs(logits - truth)[mixture])
    assert wrong < 0.02
    tails = mixture[np.abs(x[mixture] - SHIFT / 2) > 2.6]
    assert np.mean(np.abs(logits - truth)[tails]) < 0.1
    # What a classifier learns that knows nothing of the background is far from it.
    mixed = np.log(0.8 * norm.pdf(x, SHIFT) + 0.2 * norm.pdf(x, *BACKGROUND)) - norm.logpdf(x)
    assert np.mean(np.abs(mixed - truth)[mixture]) > 0.15


NEGATIVE = (-0.5, 0.8)  # mean and width of events with weight -1


@pytest.mark.parametrize("signs", ["by chance", "by density"])
def test_signed_simulation_has_the_density_that_its_weights_add_up_to(signs):
    """By chance: a fifth of all weights is -1, whatever x is, and the density stays N(0, 1).

    By density: N(0, 1) with weights 1 and a fifth of their number from N(-0.5, 0.8) with weights
    -1: (5 N(0, 1) - N(-0.5, 0.8)) / 4, positive everywhere, as a sample of positive weights has it.
    """
    rng = np.random.default_rng(2)
    data = rng.normal(SHIFT, 1, EVENTS)
    if signs == "by chance":
        # Three of five events are left when opposite weights have cancelled.
        values, weight = rng.normal(0, 1, 3 * EVENTS), rng.choice([1, -1], 3 * EVENTS, p=[0.8, 0.2])
        density = unsigned = norm.pdf
        most = 0.02
    else:
        values = np.concatenate([rng.normal(0, 1, EVENTS), rng.normal(*NEGATIVE, EVENTS // 5)])
        weight = np.where(np.arange(len(values)) < EVENTS, 1, -1)

        def density(x):
            return (5 * norm.pdf(x) - norm.pdf(x, *NEGATIVE)) / 4

        def unsigned(x):
            return (5 * norm.pdf(x) + norm.pdf(x, *NEGATIVE)) / 6

        most = 0.05  # half as many events are left
    x = np.concatenate([data, values])
    logits = known_densities.learned(2, [(data, 1.0, True), (values, weight, False)])
    truth = norm.logpdf(x, SHIFT) - np.log(density(x))
    assert np.mean(np.abs(truth)) > 2 * most
    assert np.mean(np.abs(logits - truth)) < most
    if signs == "by density":
        # Without signs another density would be learned.
        assert np.mean(np.abs(np.log(density(x) / unsigned(x)))) > 3 * most


# -- closure ---------------------------------------------------------------------------------------

SIGNAL, SIMULATED = 30_000, 40_000
LUMINOSITY = 4  # of the simulated background, in units of the data's
SHARE = 0.25  # background in the data over signal
TRUTH = (0.3, 0.9)  # mean and width; the simulation has 0 and 1
SMEARING = 0.5
ITERATIONS = 3
EDGES = np.concatenate([[-10], np.linspace(-4, 4, 81), [10]])
NONE = np.zeros(len(EDGES) - 1)


def unfolded(folder, seed, samples, factor, iterations=ITERATIONS):
    """Return yield, mean and width after each iteration (3, iterations) of a study."""
    z, x, data, background = samples
    events = {"data": plain_events(None, data), "simulation": plain_events(z, x)}
    if factor:
        other = {"sample": plain_events(None, background), "factor": factor}
        events["backgrounds"] = {"other": other}
    plan = make_plan(
        folder,
        events,
        study={"seed": seed},
        classifier={"kind": "mlp", "features": "columns", "width": 32, "blocks": 2},
        training={
            "optimizer": "adam",
            "learning_rate": 5e-3,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "warmup_epochs": 0.2,
            "batch_size": 500,
            "micro_batches": 1,
            "epochs": 2,
        },
        unfolding={"iterations": iterations},
        methods={"step": {"members": 2}},
    )
    run(plan)
    result = read(plan.unfolded("step", "none", 1))
    return summary(z[result.event_id], result.scale * result.ratio.astype(float))


def expected_errors():
    """Return the standard deviations (3, iterations) over experiments, in bins, no network."""
    rng = np.random.default_rng(4)
    simulated = SIMULATED * gaussian_joint(EDGES, 0, 1, SMEARING).matched
    signal = SIGNAL * gaussian_joint(EDGES, *TRUTH, SMEARING).matched.sum(axis=0)
    background = SHARE * SIGNAL * np.diff(norm.cdf(EDGES, *BACKGROUND))
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    toys = []
    for _ in range(200):
        data = rng.poisson(signal + background) - rng.poisson(LUMINOSITY * background) / LUMINOSITY
        matched = rng.poisson(simulated).astype(float)
        matched *= data.sum() / matched.sum()
        nu = iterate(Simulation(matched, NONE, NONE), data, ITERATIONS)
        toys.append(summary(centres, nu * matched.sum(axis=1)))
    return np.std(toys, axis=0)


def test_data_with_background_unfold_to_the_truth_of_the_signal(tmp_path):
    rng = np.random.default_rng(5)
    z = rng.normal(0, 1, SIMULATED).astype(np.float32).astype(float)
    x = z + rng.normal(0, SMEARING, SIMULATED)
    signal = rng.normal(*TRUTH, SIGNAL) + rng.normal(0, SMEARING, SIGNAL)
    injected = round(SHARE * SIGNAL)
    data = np.concatenate([signal, rng.normal(*BACKGROUND, injected)])
    samples = z, x, data, rng.normal(*BACKGROUND, LUMINOSITY * injected)
    error = expected_errors()
    truth = np.array([SIGNAL, *TRUTH])
    found = unfolded(tmp_path / "subtracted", 5, samples, 1 / LUMINOSITY)
    # As the exact iteration in bins, and at truth in the end.
    subtracted = count(data, EDGES) - count(samples[3], EDGES) / LUMINOSITY
    matched = count_pairs(z, x, EDGES) * subtracted.sum() / SIMULATED
    nu = iterate(Simulation(matched, NONE, NONE), subtracted, ITERATIONS)[:, bin_of(z, EDGES)]
    binned = summary(z, nu * subtracted.sum() / SIMULATED)
    assert np.all(np.abs(found - binned) < 3 * error)
    # Events and training scatter; three iterations of the exact one in bins are 2.7 errors off.
    assert np.all(np.abs(binned[:, -1] - truth) < 3 * error[:, -1])
    assert np.all(np.abs(found[:, -1] - truth) < 3 * np.sqrt(2) * error[:, -1])
    # Without subtraction all three are many errors off, and more iterations follow the same data.
    ignored = unfolded(tmp_path / "ignored", 5, samples, None, iterations=1)
    assert np.all(np.abs(ignored[:, 0] - binned[:, 0]) > 10 * error[:, 0])
    assert np.all(np.abs(ignored[:2, 0] - truth[:2]) > 10 * error[:2, 0])
