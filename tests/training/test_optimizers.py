"""Our optimisers beside those of Keras, over some hundred updates."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_inputs import settings

from omniflow.training.learner import Learner
from omniflow.training.optimizers import optimizer

UPDATES, SIZE = 300, 500
NUMBERS = {"beta_1": 0.9, "beta_2": 0.97, "weight_decay": 0.1}


def _theirs(name):
    betas = {"beta_1": NUMBERS["beta_1"], "beta_2": NUMBERS["beta_2"]}
    decay = {"weight_decay": NUMBERS["weight_decay"]}
    return {
        "lion": lambda: keras.optimizers.Lion(1.0, **betas, **decay),
        "adamw": lambda: keras.optimizers.AdamW(1.0, **betas, **decay),
        "adam": lambda: keras.optimizers.Adam(1.0, **betas),
        "sgd": lambda: keras.optimizers.SGD(1.0),
    }[name]()


def _gradients(kind):
    """A gradient and a rate per update: of all sizes, with zeros, of parameters that rest."""
    rng = np.random.default_rng(1)
    scale = 10.0 ** rng.uniform(-6, 1, SIZE)
    for update in range(UPDATES):
        gradient = scale * rng.normal(rng.normal(size=SIZE), 1)
        gradient[rng.random(SIZE) < 0.1] = 0
        gradient[:5] = 0
        yield gradient.astype(kind), 0.01 * (1 + update % 7)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", ["lion", "adamw", "adam", "sgd"])
def test_parameters_are_those_of_keras_to_rounding(name, kind):
    start = np.random.default_rng(0).normal(size=SIZE).astype(kind)
    ours, theirs = optimizer(settings(optimizer=name, **NUMBERS), SIZE, kind), _theirs(name)
    vector, variable = start.copy(), keras.Variable(start, dtype=kind)
    theirs.build([variable])

    @tf.function(autograph=False)
    def apply(gradient, rate):
        theirs.learning_rate.assign(rate)
        theirs.apply([gradient], [variable])

    for gradient, rate in _gradients(kind):
        apply(tf.constant(gradient), tf.constant(rate, tf.float32))
        ours.update(vector, gradient.copy(), 0.5, rate)
    found, moved = variable.numpy(), np.abs(vector - start)
    assert np.median(moved) > 0.1 if name != "sgd" else moved.max() > 0.1
    # Keras keeps rates and momenta in float32 whatever the parameters are.
    tolerance = {"float32": 2e-5, "float64": 1e-6}[kind]
    np.testing.assert_allclose(vector, found, rtol=tolerance, atol=tolerance)
    assert vector.dtype == kind


@pytest.mark.parametrize("name", ["lion", "adamw", "adam", "sgd", "ecd"])
def test_averages_and_clipping_are_those_of_plain_arithmetic(name):
    """The learner, whose optimiser gets the clipped gradient."""
    chosen = settings(optimizer=name, clip_norm=2.0, **NUMBERS)
    learner, rng = Learner(chosen, SIZE), np.random.default_rng(3)
    seen, apply = [], learner._optimizers[0].update

    def spy(parameters, gradient, loss, rate):
        seen.append(gradient.copy())
        apply(parameters, gradient, loss, rate)

    learner._optimizers[0].update = spy
    start = rng.normal(size=SIZE).astype(np.float32)
    from omniflow.training.ecd import Constants

    learner.start(start, Constants(0.1, 5.0, -1.0, 3))
    average = start.astype(float)
    for size in (0.01, 1.0, 3.0):
        gradient = rng.normal(0, size, SIZE).astype(np.float32)
        kept = gradient.copy()
        norm = learner.update(gradient, 0.5, 0.01, 0.75)
        np.testing.assert_array_equal(gradient, kept)  # the caller's stays
        assert norm == pytest.approx(np.linalg.norm(gradient.astype(float)), rel=1e-6)
        clipped = gradient * (1.0 if name == "ecd" else min(1.0, 2.0 / norm))
        np.testing.assert_allclose(seen[-1], clipped, rtol=1e-6)
        average += 0.25 * (learner.parameters - average)
        np.testing.assert_allclose(learner.average, average, rtol=1e-5, atol=1e-6)
    assert not np.allclose(learner.parameters, start)


def test_what_is_not_finite_is_said_and_warns_of_nothing():
    for value in (np.nan, np.inf, 1e30):
        learner = Learner(settings(optimizer="adamw"), 4)
        learner.start(np.ones(4))
        norm = learner.update(np.full(4, value, np.float32), 1.0, 0.1, 0.5)
        assert not np.isfinite(norm)


def test_a_new_network_starts_as_in_a_new_learner():
    rng = np.random.default_rng(5)
    gradients, start = rng.normal(size=(2, 3, 20)).astype(np.float32), rng.normal(size=20)
    for name in ("lion", "adamw", "sgd"):
        used, new = (Learner(settings(optimizer=name), 20) for _ in range(2))
        used.start(np.ones(20))
        for gradient in gradients[0]:
            used.update(gradient, 1.0, 0.1, 0.5)
        for learner in (used, new):
            learner.start(start)
            for gradient in gradients[1]:
                learner.update(gradient, 1.0, 0.1, 0.5)
        np.testing.assert_array_equal(used.parameters, new.parameters)
        np.testing.assert_array_equal(used.average, new.average)
