"""Graph engine: outputs and gradients of any Keras model by traced TensorFlow functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from omniflow.events.batches import Batch, Selection, Source, by_length, micro_batches, stacked
from omniflow.events.features import Features
from omniflow.models.registry import INPUTS, inputs_of
from omniflow.training import runtime
from omniflow.training.losses import LOSSES
from omniflow.training.steps import Steps

# Events per forward pass outside training.
_FORWARD = 512

# Multiplicities that XLA, which compiles once per shape, sees: each is padded to the next of these.
_LENGTHS = (4, 8, 16, 24, 32, 48, 64, 96, 132, 192, 256)


class Graph:
    """Runs models of one architecture; traces each function only once. See `engines.Engine`.

    Networks trained together are a leading axis of the tensors, which fills a GPU that one small
    network cannot fill.
    """

    name = "tensorflow"
    ahead, trains = 0, False

    def __init__(
        self,
        model: keras.Model,
        features: Features,
        parts: int,
        stack: int = 1,
        xla: bool = False,
        loss: str = "bce_logistic",
    ) -> None:
        """Trace the gradient of `model`; its outputs are traced when they are first asked for.

        Args:
            model: only its structure is used; parameters come with every call.
            features: say how many columns the inputs have.
            parts: each batch is cut into at most so many, padded to their own maximum.
            stack: most networks at a time.
            xla: compile the gradient with XLA.
            loss: as `training.loss`.
        """
        self._loss = LOSSES[loss]
        self.model, self.parts, self.stack, self.xla = model, parts, stack, xla
        self.device = runtime.device()
        self._names = inputs_of(model)
        kind = model.dtype_policy.variable_dtype
        # Shapes are left open in the signatures, so that no batch causes another trace; concrete
        # functions of plain tensors cost a seventh of the usual call (it shows in small networks).
        parameters = tf.TensorSpec((None, sum(map(_size, model.trainable_variables))), kind)
        inputs = [
            tf.TensorSpec((None, None, features.particles.shape[1]), tf.float32),
            tf.TensorSpec((None, None), tf.float32),
            tf.TensorSpec((None, None, features.neighbours.shape[1]), tf.int32),
            tf.TensorSpec((None, features.event.shape[1]), tf.float32),
        ]
        weights = [tf.TensorSpec((None,), tf.float32)] * 2
        # One network is not a stack of one: that would cost copies.
        each = (
            [_stacked(spec) for spec in (*inputs, *weights)] if stack > 1 else [*inputs, *weights]
        )
        self._backward = concrete(self._trace_backward, [parameters, *each], xla)
        self._signature = [parameters, *inputs]

    @cached_property
    def _forward(self) -> Callable:
        return concrete(self._trace_forward, self._signature)

    def prepare(self, networks: Sequence[Selection]) -> list[list[list[tf.Tensor]]]:
        """Return micro-batches of each update: inputs, weights in class A and in class B."""
        updates = len(networks[0][1][0])
        return [
            self._prepare([(sources, [each[u] for each in found]) for sources, found in networks])
            for u in range(updates)
        ]

    def _prepare(self, networks: Sequence[Selection]) -> list[list[tf.Tensor]]:
        cut = [micro_batches(sources, indices, self.parts) for sources, indices in networks]
        # A network with a smaller batch than the others may have fewer parts: the rest is empty.
        parts = [
            [own[i] if i < len(own) else own[0].take(np.arange(0)) for own in cut]
            for i in range(max(map(len, cut)))
        ]
        if self.stack == 1 and not self.xla:
            return [_tensors(batch) for (batch,) in parts]
        more = self._rows(len(networks)) - len(networks)
        parts = [_alike([*own, *[own[0].take(np.arange(0))] * more], self.xla) for own in parts]
        if self.stack == 1:
            return [_tensors(batch) for (batch,) in parts]
        return [_tensors(stacked(own)) for own in parts]

    def gradient(
        self, parameters: Sequence[np.ndarray], prepared: list[list[tf.Tensor]]
    ) -> tuple[list[float], list[np.ndarray]]:
        """Return loss and gradient (d,) of each network, summed over the micro-batches.

        On a GPU parameters and gradients cross to it and back with every update: a megabyte each
        for 250,000 parameters.
        """
        networks = len(parameters)
        vectors = [*parameters, *[parameters[0]] * (self._rows(networks) - networks)]
        rows = tf.constant(np.stack(vectors))
        found = [self._backward(rows, *part) for part in prepared]
        losses, gradients = (tf.add_n(list(values)) for values in zip(*found, strict=True))
        return losses.numpy()[:networks].tolist(), list(gradients.numpy()[:networks])

    def train(
        self, steps: Steps, prepared: Any, rates: Sequence[float], momenta: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Refuse: updates are done by the learner."""
        raise NotImplementedError("the TensorFlow engine does no updates itself")

    def outputs(
        self, parameters: Sequence[np.ndarray], source: Source, index: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield events of `index` (k,) and their outputs (networks, k), part by part."""
        rows = tf.constant(np.stack(parameters))
        groups = [rows[i : i + self.stack] for i in range(0, len(parameters), self.stack)]
        for batch in by_length(source, index, -(-len(index) // _FORWARD)):
            inputs = _tensors(batch)[: len(INPUTS)]
            found = [self._forward(group, *inputs).numpy() for group in groups]
            yield batch.index, np.concatenate(found)

    def _rows(self, networks: int) -> int:
        """Return the length of the leading axis for so many networks; rows beyond them are empty.

        XLA compiles for each: the full stack, two thirds of it, two thirds of those, and so on, so
        that at most a third of the rows is empty.
        """
        if not self.xla:
            return networks
        rows = self.stack
        while networks <= rows * 2 // 3:
            rows = rows * 2 // 3
        return rows

    # -- traced functions ------------------------------------------------------------------

    def _trace_backward(
        self, parameters: tf.Tensor, *tensors: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if self.stack > 1:
            return tf.vectorized_map(
                lambda one: self._loss_and_gradient(*one), (parameters, *tensors)
            )
        loss, gradient = self._loss_and_gradient(parameters[0], *tensors)
        return tf.expand_dims(loss, 0), tf.expand_dims(gradient, 0)

    def _loss_and_gradient(
        self, parameters: tf.Tensor, *tensors: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        *inputs, a, b = tensors
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            z = self._outputs(parameters, inputs)
            loss = self._loss.total(z, a, b)
        return loss, tape.gradient(loss, parameters)

    def _trace_forward(self, parameters: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
        if self.stack > 1:
            return tf.vectorized_map(lambda one: self._outputs(one, inputs), parameters)
        return tf.expand_dims(self._outputs(parameters[0], inputs), 0)

    def _outputs(self, parameters: tf.Tensor, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        variables = self.model.trainable_variables
        pieces = tf.split(parameters, [_size(variable) for variable in variables])
        # Half of the variables are vectors: what is not reshaped need not be traced.
        mapping = [
            (variable, piece if variable.ndim == 1 else tf.reshape(piece, variable.shape))
            for variable, piece in zip(variables, pieces, strict=True)
        ]
        with keras.StatelessScope(mapping):
            given = dict(zip(INPUTS, inputs, strict=True))
            z = self.model({name: given[name] for name in self._names})
        if z.shape.rank == 2:  # (B, 1)
            z = z[:, 0]
        return tf.cast(z, parameters.dtype)


def concrete(function: Callable, signature: list[tf.TensorSpec], xla: bool = False) -> Callable:
    """Return the function traced for this signature, compiled with XLA if so wished."""
    # No function branches on values, and conversion by AutoGraph would double the time to trace.
    return tf.function(
        function, signature, autograph=False, jit_compile=xla or None
    ).get_concrete_function()


def _size(variable: keras.Variable) -> int:
    return math.prod(variable.shape)


def _stacked(spec: tf.TensorSpec) -> tf.TensorSpec:
    return tf.TensorSpec((None, *spec.shape), spec.dtype)


def _tensors(batch: Batch) -> list[tf.Tensor]:
    return [tf.constant(getattr(batch, name)) for name in (*INPUTS, "numerator", "denominator")]


def _alike(batches: list[Batch], buckets: bool) -> list[Batch]:
    """Return the batches padded to the same number of events and particles."""
    events, length = (max(batch.mask.shape[axis] for batch in batches) for axis in (0, 1))
    if buckets:
        length = next((known for known in _LENGTHS if known >= length), length)
    return [batch.padded(events, length) for batch in batches]
