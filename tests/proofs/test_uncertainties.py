"""Proof: bootstrap replicas scatter as new experiments do, and their errors cover."""

import numpy as np
import pytest
from binned_reference import Simulation, bin_of, gaussian_joint, iterate, summary
from proof_chain import make_plan, plain_events, read
from scipy import stats

from omniflow.api import run
from omniflow.evaluation import covariance
from omniflow.unfolding.variants import Variant, replica_weights

SMEARING = 0.5
TRUTH = (0.3, 0.9)
EDGES = np.array([-10, -1.5, -0.75, 0, 0.75, 1.5, 10])
NONE = np.zeros(len(EDGES) - 1)


def measured(rng, events):
    return rng.normal(*TRUTH, events) + rng.normal(0, SMEARING, events)


# -- an analytic chain: the exact binned iteration, without any network ---------------------------

EVENTS, REPLICAS, TOYS, ITERATIONS = 10_000, 150, 600, 3


def unfolded(data):
    """Content per particle-level bin after the binned iteration from data (K, X)."""
    response = Simulation(EVENTS * gaussian_joint(EDGES, 0, 1, SMEARING).matched, NONE, NONE)
    produced = response.matched.sum(axis=1)
    return np.array([iterate(response, row, ITERATIONS)[-1] * produced for row in data])


@pytest.fixture(scope="module")
def analytic():
    """Replicas of one set of pseudo-data, other sets, and what they scatter around."""
    rng = np.random.default_rng(3)
    expected = EVENTS * gaussian_joint(EDGES, *TRUTH, SMEARING).matched.sum(axis=0)
    bins = bin_of(measured(rng, EVENTS), EDGES)
    ids = rng.permutation(10**6)[:EVENTS].astype(np.uint64)
    replicas = [
        np.bincount(bins, replica_weights(1, Variant("", "data", r), ids), len(EDGES) - 1)
        for r in range(1, REPLICAS + 1)
    ]
    block = covariance.scatter(unfolded(replicas))
    toys = unfolded(rng.poisson(expected, (TOYS, len(expected))).astype(float))
    return block, toys - unfolded([expected])


def test_replicas_scatter_as_new_pseudo_data(analytic):
    block, differences = analytic
    new = np.cov(differences.T)
    # Errors of the variances: sqrt(2 / R) and sqrt(2 / T).
    ratio = np.diag(block.matrix) / np.diag(new)
    assert np.abs(ratio - 1).max() < 3.5 * np.sqrt(2 / REPLICAS + 2 / TOYS)
    correlations = [m / np.sqrt(np.outer(np.diag(m), np.diag(m))) for m in (block.matrix, new)]
    assert np.abs(correlations[0] - correlations[1]).max() < 0.3


def test_errors_from_replicas_cover(analytic):
    block, differences = analytic
    found = covariance.coverage(covariance.pulls(differences, block.matrix))
    # One covariance is used for all toys; it is good to sqrt(2 / R) in the variance.
    assert found["coverage"] == pytest.approx(0.6827, abs=0.04)
    assert found["pull_width"] == pytest.approx(1, abs=0.1)
    assert abs(found["pull_mean"]) < 0.1


def test_p_values_of_the_chain_are_uniform(analytic):
    block, differences = analytic
    found = [covariance.chi2_test(d, {"data": block}).p_value for d in differences]
    # Toys share one estimated covariance, so that uniformity is only on average over such.
    assert np.mean(np.array(found) < 0.05) < 0.12
    assert 0.35 < np.mean(found) < 0.65
    assert stats.kstest(found, "uniform").statistic < 0.15


# -- the chain with networks ----------------------------------------------------------------------

FINE = np.concatenate([[-10], np.linspace(-3, 3, 31), [10]])
DATA, SIMULATION, EACH = 6_000, 9_000, 8


def exact(z, x, weight, data, data_weight):
    """Return yield and mean of z after one binned iteration from weighted events."""
    pairs = bin_of(z, FINE) * 32 + bin_of(x, FINE)
    matched = np.bincount(pairs, weight, 32 * 32).reshape(32, 32)
    scale = data_weight.sum() / weight.sum()
    seen = np.bincount(bin_of(data, FINE), data_weight, 32)
    nu = iterate(Simulation(scale * matched, np.zeros(32), np.zeros(32)), seen, 1)[0]
    return summary(z, (scale * weight * nu[bin_of(z, FINE)])[None])[:2, 0]


@pytest.mark.usefixtures("tensorflow_runtime")
def test_replicas_of_the_chain_move_as_the_exact_iteration(tmp_path):
    """Networks follow each replica: slope 1 against the shifts of the exact binned iteration."""
    rng = np.random.default_rng(4)
    z = rng.normal(0, 1, SIMULATION).astype(np.float32).astype(float)
    x, data = z + rng.normal(0, SMEARING, SIMULATION), measured(rng, DATA)
    plan = make_plan(
        tmp_path,
        {"data": plain_events(None, data), "simulation": plain_events(z, x)},
        classifier={"kind": "mlp", "features": "columns", "width": 16, "blocks": 2},
        training={
            "optimizer": "adam",
            "learning_rate": 5e-3,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "warmup_epochs": 0.2,
            "ema": 0.99,
            "batch_size": 500,
            "micro_batches": 1,
            "epochs": 10,
        },
        unfolding={"iterations": 1},
        uncertainties={"data_replicas": EACH, "simulation_replicas": EACH},
    )
    run(plan)
    ones = {"data": np.ones(DATA), "simulation": np.ones(SIMULATION)}
    yields, means = [], []
    for kind, every in ones.items():
        found, expected = [], []
        for name in plan.variants.of_kind(kind):
            weights = read(plan.unfolded(f"{name}.none", "none", 1)).weight
            found.append(summary(z, weights[None])[:2, 0])
            ids = np.arange(len(every), dtype=np.uint64)
            drawn = replica_weights(plan.config.study.seed, plan.variants[name], ids)
            factors = ones | {kind: drawn}
            expected.append(exact(z, x, factors["simulation"], data, factors["data"]))
        # Scatter of training that replicas share moves all of them alike.
        moved = [np.array(rows) - np.mean(rows, axis=0) for rows in (expected, found)]
        means.append([rows[:, 1] for rows in moved])
        # The simulation is scaled to the data: its replicas do not move the yield.
        if kind == "data":
            yields.append([rows[:, 0] for rows in moved])
    for shifts, best in ((yields, 0.3), (means, 0.25)):
        fit = stats.linregress(*np.concatenate(shifts, axis=1))
        assert fit.stderr < best
        assert abs(fit.slope - 1) < 3.5 * fit.stderr
