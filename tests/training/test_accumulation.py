"""The sum of gradients of micro-batches, each padded to its own maximum only."""

import numpy as np
import pytest
import tensorflow as tf
from training_inputs import classifier, twins

from omniflow.events.batches import by_length
from omniflow.models import registry
from omniflow.training.losses import binary_cross_entropy


def _gradients(model, batches, dtype):
    variables = [v.value for v in model.trainable_variables]
    total = [np.zeros(v.shape) for v in variables]
    for batch in batches:
        inputs = {
            name: tf.constant(getattr(batch, name), dtype)
            for name in ("particles", "mask", "event")
        }
        with tf.GradientTape() as tape:
            z = model(inputs | {"neighbours": tf.constant(batch.neighbours)})
            weights = (tf.constant(w, dtype) for w in (batch.numerator, batch.denominator))
            loss = binary_cross_entropy(z, *weights)
        total = [t + g for t, g in zip(total, tape.gradient(loss, variables), strict=True)]
    return total


def _compare(kind, dtype, tolerance):
    source = twins(64)
    model = registry.build(classifier(kind, layer_scale=1.0), 3, 2)
    model.set_weights(registry.initial_weights(model, np.random.SeedSequence(0)))
    index = np.random.default_rng(0).permutation(64)
    whole = _gradients(model, [source.batch(index)], dtype)
    parts = _gradients(model, by_length(source, index, 4), dtype)
    for a, b in zip(whole, parts, strict=True):
        size = np.abs(a).max()
        assert size > 0
        assert np.abs(a - b).max() < tolerance * size


@pytest.mark.parametrize("kind", ["pet", "deepsets", "mlp"])
def test_micro_batches_give_the_gradient_of_the_padded_batch(kind):
    _compare(kind, tf.float32, 1e-4)


@pytest.mark.parametrize("kind", ["pet", "deepsets"])
def test_micro_batches_give_it_to_double_precision(kind, float64):
    _compare(kind, tf.float64, 1e-10)
