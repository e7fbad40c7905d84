"""Deep sets (particle-flow network) and multi-layer perceptron."""

from __future__ import annotations

import keras
import tensorflow as tf

from omniflow.config.training import Classifier
from omniflow.models.layers import gelu, head, masked_mean


class DeepSets(keras.Model):
    """Particle-flow network (Komiske et al., arXiv:1810.05165): dense, sum over particles, dense.

    Inputs and output as of the PET (neighbours are not used). The sum carries the multiplicity.
    """

    def __init__(self, settings: Classifier, particle_features: int, event_features: int) -> None:
        """Create all parameters, for F particle and E event features."""
        super().__init__(name="deepsets")
        widths = settings.widths
        self.width = widths[-1]
        self.per_particle = [_dense(width, f"particle_{i}") for i, width in enumerate(widths)]
        self.per_event = [_dense(width, f"event_{i}") for i, width in enumerate(widths)]
        self.head = head()
        _build_chain(self.per_particle, particle_features)
        # Mean over particles, multiplicity and event features.
        _build_chain(self.per_event, self.width + 1 + event_features)
        self.head.build((None, self.width))
        self.built = True

    @property
    def dropped(self) -> list[keras.Variable]:
        """Kernels that read hidden units; the mean over particles is left whole."""
        layers = [*self.per_particle[1:], *self.per_event[1:], self.head]
        return [layer.kernel for layer in layers]

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return the outputs (B,)."""
        mask, event = inputs["mask"], inputs["event"]
        batch, length = tf.shape(mask)[0], tf.shape(mask)[1]
        x = tf.reshape(inputs["particles"], (batch * length, inputs["particles"].shape[-1]))
        for layer in self.per_particle:
            x = layer(x)
        mean = masked_mean(tf.reshape(x, (batch, length, self.width)), mask)
        # Mean and multiplicity instead of the sum: the same information, of order one.
        count = tf.reduce_sum(mask, axis=1, keepdims=True) / 10.0
        x = tf.concat([mean, count, event], axis=1)
        for layer in self.per_event:
            x = layer(x)
        return self.head(x)[:, 0]


class MLP(keras.Model):
    """Dense layers on the event features alone; particles are ignored. Output: outputs (B,)."""

    def __init__(self, settings: Classifier, particle_features: int, event_features: int) -> None:
        """Create all parameters, for E event features."""
        super().__init__(name="mlp")
        self.per_event = [_dense(width, f"event_{i}") for i, width in enumerate(settings.widths)]
        self.head = head()
        _build_chain(self.per_event, event_features)
        self.head.build((None, settings.widths[-1]))
        self.built = True

    @property
    def dropped(self) -> list[keras.Variable]:
        """Kernels that read hidden units."""
        return [layer.kernel for layer in (*self.per_event[1:], self.head)]

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return the outputs (B,)."""
        x = inputs["event"]
        for layer in self.per_event:
            x = layer(x)
        return self.head(x)[:, 0]


def _dense(width: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(width, activation=gelu, name=name)


def _build_chain(layers: list[keras.layers.Dense], inputs: int) -> None:
    for layer in layers:
        layer.build((None, inputs))
        inputs = layer.units
