"""The sum of gradients of micro-batches, each padded to its own maximum only."""

import numpy as np
import pytest
import tensorflow as tf
from training_inputs import classifier, twins

from omniflow.events.batches import by_length
from omniflow.models import registry
from omniflow.models.keras_model import KerasModel
from omniflow.training.losses import LOSSES


def _gradients(model, batches):
    variables = [v.value for v in model.trainable_variables]
    total = [np.zeros(v.shape) for v in variables]
    for batch in batches:
        inputs = {
            name: tf.constant(getattr(batch, name), tf.float64)
            for name in ("particles", "mask", "event")
        }
        with tf.GradientTape() as tape:
            z = model(inputs | {"neighbours": tf.constant(batch.neighbours)})
            weights = (tf.constant(w, tf.float64) for w in (batch.numerator, batch.denominator))
            loss = LOSSES["bce_logistic"].total(z, *weights)
        total = [t + g for t, g in zip(total, tape.gradient(loss, variables), strict=True)]
    return total


@pytest.mark.parametrize("kind", ["pet", "deepsets", "mlp"])
def test_micro_batches_give_the_gradient_of_the_padded_batch(kind, float64):
    source = twins(64)
    model = registry.build(classifier(kind, layer_scale=1.0), 3, 2)
    layout = KerasModel(model).layout
    model.set_weights(layout.split(layout.initial(np.random.SeedSequence(0))))
    index = np.random.default_rng(0).permutation(64)
    whole = _gradients(model, [source.batch(index)])
    for parts in (2, 3, 8):
        found = _gradients(model, by_length(source, index, parts))
        for a, b in zip(whole, found, strict=True):
            size = np.abs(a).max()
            assert size > 0
            assert np.abs(a - b).max() < 1e-10 * size
