import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from omniflow.training.losses import binary_cross_entropy


def _loss(z, a, b):
    return float(binary_cross_entropy(*(tf.constant(x, tf.float64) for x in (z, a, b))))


def test_the_loss_is_the_weighted_cross_entropy():
    rng = np.random.default_rng(0)
    z, a, b = rng.normal(0, 3, 50), rng.uniform(0, 2, 50), rng.uniform(0, 2, 50)
    f = 1 / (1 + np.exp(-z))
    expected = -(a * np.log(f)).sum() - (b * np.log(1 - f)).sum()
    np.testing.assert_allclose(_loss(z, a, b), expected, rtol=1e-12)


def test_the_uninformed_loss_of_balanced_classes_is_ln_2():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 5, 40), rng.uniform(0, 1, 40)
    loss = _loss(np.zeros(40), a / (2 * a.sum()), b / (2 * b.sum()))
    assert loss == pytest.approx(math.log(2), rel=1e-12)


def test_the_loss_is_exact_where_a_sigmoid_saturates():
    # ln(1 + exp(-40)) is 0 in float64 after a sigmoid; large logits cost their magnitude.
    assert _loss([40.0], [1.0], [0.0]) == pytest.approx(math.exp(-40), rel=1e-6)
    assert _loss([-200.0], [1.0], [0.0]) == pytest.approx(200.0)
    assert _loss([200.0], [0.0], [1.0]) == pytest.approx(200.0)


def test_the_loss_is_a_scalar_and_its_minimum_the_log_ratio():
    a, b = np.array([0.2, 0.3]), np.array([0.4, 0.1])
    z = tf.Variable(np.log(a / b))
    with tf.GradientTape() as tape:
        loss = binary_cross_entropy(z, tf.constant(a), tf.constant(b))
    assert loss.shape == ()
    np.testing.assert_allclose(tape.gradient(loss, z), [0, 0], atol=1e-15)


def test_events_in_both_classes_equal_two_copies():
    """Step 2's one evaluation per event: value and gradient of Keras' loss with both copies."""
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0, 2, 30), rng.uniform(0, 2, 30)
    z = tf.Variable(rng.normal(0, 2, 30))
    reference = keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum")
    with tf.GradientTape(persistent=True) as tape:
        ours = binary_cross_entropy(z, tf.constant(a), tf.constant(b))
        labels = np.concatenate([np.ones((30, 1)), np.zeros((30, 1))])
        copies = tf.concat([z, z], axis=0)[:, None]
        theirs = reference(labels, copies, sample_weight=np.concatenate([a, b]))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(ours, z), tape.gradient(theirs, z), atol=1e-6)
