"""Graph engine: logits and gradients of any Keras model by traced TensorFlow functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from omniflow.events.batches import Batch, Source, by_length, micro_batches
from omniflow.events.features import Features
from omniflow.training.losses import binary_cross_entropy

_INPUTS = ("particles", "mask", "neighbours", "event")

# Events per forward pass outside training.
_FORWARD = 512


class Graph:
    """Runs one model; traces each function only once. See `engines.Engine`."""

    name = "tensorflow"

    def __init__(self, model: keras.Model, features: Features, parts: int) -> None:
        """Trace the functions of `model`; batches are cut into at most `parts`."""
        self.model, self.parts = model, parts
        size = sum(math.prod(v.shape) for v in model.trainable_variables)
        self._gradient = tf.Variable(tf.zeros(size, model.dtype_policy.variable_dtype))
        # Shapes are left open in the signatures, so that no batch causes another trace; concrete
        # functions of plain tensors cost a seventh of the usual call (it shows in small networks).
        inputs = [
            tf.TensorSpec((None, None, features.particles.shape[1]), tf.float32),
            tf.TensorSpec((None, None), tf.float32),
            tf.TensorSpec((None, None, features.neighbours.shape[1]), tf.int32),
            tf.TensorSpec((None, features.event.shape[1]), tf.float32),
        ]
        weights = [tf.TensorSpec((None,), tf.float32)] * 2
        self._backward = concrete(self._backward, [*inputs, *weights])
        self._forward = concrete(self._forward, inputs)
        self._load = concrete(self._load, [tf.TensorSpec((size,), self._gradient.dtype)])

    def load(self, parameters: tf.Tensor) -> None:
        """Use these parameters (d,)."""
        self._load(tf.convert_to_tensor(parameters))

    def prepare(
        self, sources: Sequence[Source], indices: Sequence[np.ndarray]
    ) -> list[list[tf.Tensor]]:
        """Return micro-batches: inputs, weights in class A and in class B."""
        return [
            [*_inputs(batch), tf.constant(batch.numerator), tf.constant(batch.denominator)]
            for batch in micro_batches(sources, indices, self.parts)
        ]

    def gradient(self, prepared: list[list[tf.Tensor]]) -> tuple[float, tf.Tensor]:
        """Return loss and gradient (d,), summed over the micro-batches."""
        self._gradient.assign(tf.zeros_like(self._gradient))
        losses = [self._backward(*part) for part in prepared]
        return float(tf.add_n(losses)), self._gradient.read_value()

    def logits(self, source: Source, index: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield events of `index` and their logits, part by part."""
        for batch in by_length(source, index, -(-len(index) // _FORWARD)):
            yield batch.index, self._forward(*_inputs(batch)).numpy()

    # -- traced functions ------------------------------------------------------------------

    def _backward(self, *tensors: tf.Tensor) -> tf.Tensor:
        variables = self.model.trainable_variables
        *inputs, a, b = tensors
        with tf.GradientTape() as tape:
            loss = binary_cross_entropy(self._logits(inputs), a, b)
        # A parameter without gradient would be an error in the model, raised here by TensorFlow.
        self._gradient.assign_add(flat(tape.gradient(loss, [v.value for v in variables])))
        return loss

    def _forward(self, *inputs: tf.Tensor) -> tf.Tensor:
        return self._logits(inputs)

    def _logits(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        return self.model(dict(zip(_INPUTS, inputs, strict=True)))

    def _load(self, parameters: tf.Tensor) -> None:
        variables = self.model.trainable_variables
        pieces = tf.split(parameters, [math.prod(v.shape) for v in variables])
        for variable, piece in zip(variables, pieces, strict=True):
            variable.assign(tf.reshape(piece, variable.shape))


def flat(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return all numbers of the tensors as one vector (d,)."""
    return tf.concat([tf.reshape(tensor, (-1,)) for tensor in tensors], axis=0)


def concrete(function: Callable, signature: list[tf.TensorSpec]) -> Callable:
    """Return the function traced for this signature."""
    # No function branches on values, and conversion by AutoGraph would double the time to trace.
    return tf.function(function, signature, autograph=False).get_concrete_function()


def _inputs(batch: Batch) -> list[tf.Tensor]:
    return [tf.constant(getattr(batch, name)) for name in _INPUTS]
