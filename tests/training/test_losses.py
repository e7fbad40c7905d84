import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr
from small_networks import make_trainer, native_trainer, predict, train
from training_inputs import two_classes

from omniflow.training.losses import FLOOR, LOSSES

BCE = [name for name in LOSSES if name.startswith("bce")]
MLC = [name for name in LOSSES if name.startswith("mlc")]

# f as in arXiv:2501.18419, table II, with arctan mapped to (0, 1).
F = {
    "bce_logistic": lambda z: 1 / (1 + np.exp(-z)),
    "bce_normal": lambda z: np.exp(log_ndtr(z)),
    "bce_arctan": lambda z: np.arctan(z) / np.pi + 0.5,
    "mlc_relu": lambda z: np.maximum(z, FLOOR),
    "mlc_square": lambda z: np.maximum(z**2, FLOOR),
    "mlc_exp": np.exp,
}


def _total(name, z, a, b):
    return float(LOSSES[name].total(*(tf.constant(x, tf.float64) for x in (z, a, b))))


def _slopes(name, z):
    """Derivatives of A and B by automatic differentiation."""
    point = tf.constant(z, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(point)
        cost_a, cost_b = LOSSES[name].tensors(point)
    return tape.gradient(cost_a, point).numpy(), tape.gradient(cost_b, point).numpy()


@pytest.mark.parametrize("name", LOSSES)
def test_the_costs_are_those_of_f(name):
    rng = np.random.default_rng(0)
    z, a, b = rng.normal(0, 1.5, 50), rng.uniform(0, 2, 50), rng.uniform(0, 2, 50)
    f = F[name](z)
    other = -np.log(1 - f) if name in BCE else f - 1
    expected = -(a * np.log(f)).sum() + (b * other).sum()
    assert _total(name, z, a, b) == pytest.approx(expected, rel=1e-12)
    cost_a, cost_b = LOSSES[name].values(z)
    assert a @ cost_a + b @ cost_b == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_agree_with_finite_differences(name):
    # Away from the floors, and in the normal distribution's tail beyond its series' start.
    z = np.array([-34.7, -30.01, -29.9, -8.0, -2.1, -0.3, 0.4, 1.7, 6.0, 29.0, 31.0])
    if name == "bce_logistic":
        z = np.clip(z, -8, 8)  # nothing of a smaller slope would be left in a difference
    step = 1e-5
    ends = [LOSSES[name].values(z + shift) for shift in (step, -step)]
    for up, down, slope in zip(*ends, _slopes(name, z), strict=True):
        np.testing.assert_allclose((up - down) / (2 * step), slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("ratio", [0.02, 0.7, 1.0, 3.0, 40.0])
def test_the_minimum_is_at_the_exact_ratio(name, ratio):
    """Of an event with densities p_A = ratio p_B."""
    bounds = (0, 50) if name in ("mlc_relu", "mlc_square") else (-30, 30)

    def loss(z):
        cost_a, cost_b = LOSSES[name].values(np.array([z]))
        return float(ratio * cost_a[0] + cost_b[0])

    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    z = np.array([found.x])
    assert LOSSES[name].log_ratio(z)[0] == pytest.approx(math.log(ratio), abs=1e-5)
    f = F[name](z)[0]
    assert (f / (1 - f) if name in BCE else f) == pytest.approx(ratio, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_uninformed_loss_of_balanced_classes(name):
    """At the output that stands for a ratio of 1."""
    loss, rng = LOSSES[name], np.random.default_rng(1)
    a, b = rng.uniform(0, 5, 40), rng.uniform(0, 1, 40)
    z = np.full(40, loss.neutral)
    np.testing.assert_array_equal(loss.log_ratio(z), 0)
    total = _total(name, z, a / (2 * a.sum()), b / (2 * b.sum()))
    assert total == pytest.approx(loss.uninformed, abs=1e-15)
    assert loss.uninformed == (math.log(2) if name in BCE else 0)


@pytest.mark.parametrize("name", LOSSES)
def test_far_outputs_stay_finite(name):
    far = 600.0 if name == "mlc_exp" else 1e30
    z = np.array([-far, -40.0, -0.0, 0.0, 40.0, far])
    for values in (*LOSSES[name].values(z), *_slopes(name, z), LOSSES[name].log_ratio(z)):
        assert np.isfinite(values).all()
    with np.errstate(invalid="ignore"):
        assert np.isnan(LOSSES[name].values(np.array([np.nan]))).all()
        assert np.isnan(LOSSES[name].log_ratio(np.array([np.nan]))).all()


@pytest.mark.parametrize("name", LOSSES)
def test_tensorflow_has_the_same_costs(name):
    far = 600.0 if name == "mlc_exp" else 1e9
    z = np.concatenate([np.linspace(-35, 35, 141), [-far, far, -300.0, 300.0]])
    for ours, theirs in zip(LOSSES[name].values(z), LOSSES[name].tensors(z), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", BCE)
def test_costs_are_exact_where_f_is_0_or_1(name):
    z = np.array([-700.0, -50.0, -9.0, 9.0, 50.0])
    expected = {
        "bce_logistic": -np.log1p(np.exp(-np.abs(z))) + np.minimum(z, 0),
        "bce_normal": log_ndtr(z),
        # arctan z + pi/2 = arctan(1/|z|) for z < 0
        "bce_arctan": np.log(np.where(z < 0, np.arctan(1 / -z), np.pi - np.arctan(1 / z)) / np.pi),
    }[name]
    cost_a, cost_b = LOSSES[name].values(z)
    np.testing.assert_allclose(cost_a, -expected, rtol=1e-12, atol=1e-16)
    np.testing.assert_array_equal(LOSSES[name].values(-z)[1], cost_a)
    # The ratio is large where either class has no events left, without a jump.
    np.testing.assert_allclose(LOSSES[name].log_ratio(z), cost_b - cost_a, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_says_which_function_of_the_ratio_it_is(name):
    """Stacking minimises it as a function of the ratio r."""
    z = np.array([0.4, 0.9, 1.3, 2.0])
    r = np.exp(LOSSES[name].log_ratio(z))
    likelihood = -np.log(r), r - 1
    entropy = np.log1p(1 / r), np.log1p(r)
    costs = LOSSES[name].values(z)
    np.testing.assert_allclose(costs, likelihood if LOSSES[name].likelihood else entropy)


def test_the_floor_bounds_the_cost_of_an_event():
    for name in ("mlc_relu", "mlc_square"):
        cost_a, cost_b = LOSSES[name].values(np.zeros(1))
        assert cost_a[0] == pytest.approx(-math.log(FLOOR))
        assert cost_b[0] == pytest.approx(FLOOR - 1)
        assert LOSSES[name].log_ratio(np.zeros(1))[0] == pytest.approx(math.log(FLOOR))


@pytest.mark.parametrize("name", LOSSES)
def test_events_in_both_classes_equal_two_copies(name):
    """Step 2's one evaluation per event."""
    rng = np.random.default_rng(2)
    z, a, b = rng.normal(1, 0.5, 30), rng.uniform(0, 2, 30), rng.uniform(0, 2, 30)
    none = np.zeros(30)
    copies = (np.concatenate(pair) for pair in ((z, z), (a, none), (none, b)))
    assert _total(name, *copies) == pytest.approx(_total(name, z, a, b), rel=1e-12)


def test_the_logistic_loss_is_that_of_keras():
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0, 2, 30), rng.uniform(0, 2, 30)
    z = tf.Variable(rng.normal(0, 2, 30))
    reference = keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum")
    with tf.GradientTape(persistent=True) as tape:
        ours = LOSSES["bce_logistic"].total(z, tf.constant(a), tf.constant(b))
        labels = np.concatenate([np.ones((30, 1)), np.zeros((30, 1))])
        copies = tf.concat([z, z], axis=0)[:, None]
        theirs = reference(labels, copies, sample_weight=np.concatenate([a, b]))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(ours, z), tape.gradient(theirs, z), atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_network_learns_the_log_ratio_of_two_gaussians(name):
    """Events of N(0.5, 1) and N(0, 1) in two dimensions; its logits are ln(p_A / p_B)."""
    trainer = native_trainer(
        loss=name, epochs=8, batch_size=500, learning_rate=0.02, schedule="cosine", patience=8
    )
    sources = two_classes(10_000, shift=0.5)
    fit = train(trainer, sources)
    x = sources[0].features.event.astype(float)
    exact = 0.5 * (x.sum(axis=1) - 0.5)
    error = np.abs(predict(trainer, fit.parameters, sources[0]) - exact)
    assert error.mean() < 0.1
    assert np.abs(exact).mean() > 0.5
    assert fit.history[fit.best_epoch]["val_loss"] < LOSSES[name].uninformed - 0.02


def test_a_loss_without_native_code_trains_with_tensorflow(monkeypatch):
    """Its costs as arrays and as tensors are all that it takes: they give the same network."""
    new = dataclasses.replace(LOSSES["bce_logistic"], number=None)
    monkeypatch.setitem(LOSSES, "bce_new", new)
    fits = [
        train(make_trainer(loss=loss, epochs=2), two_classes())
        for loss in ("bce_logistic", "bce_new")
    ]
    np.testing.assert_array_equal(fits[0].parameters, fits[1].parameters)
