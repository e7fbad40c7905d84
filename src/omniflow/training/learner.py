"""Learner: parameters, averaged parameters and optimiser of one network."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import tensorflow as tf

from omniflow.config.training import Training
from omniflow.training.ecd import ECD, Constants
from omniflow.training.graph import concrete


class Learner:
    """Turns gradients into parameters, kept as one vector (d,).

    Optimiser, averaging and clipping are then a few operations instead of as many per layer,
    quicker to trace and to run. Where backbone and head have rates of their own, they are a vector
    each, with an optimiser each: momenta and corrections for their start count the updates of that
    part alone.
    """

    def __init__(
        self, settings: Training, size: int, kind: str = "float32", backbone: int = 0
    ) -> None:
        """Make room for `size` parameters of the float type `kind`.

        The first `backbone` of them can be frozen or have a rate of their own; 0: none can.
        """
        self._clip_norm = None if settings.optimizer == "ecd" else settings.clip_norm
        self._kind, self._sizes = kind, [backbone, size - backbone] if backbone else [size]
        self._parts = [
            keras.Variable(np.zeros(n, kind), dtype=kind, name="parameters") for n in self._sizes
        ]
        self._averages = [tf.Variable(part.value) for part in self._parts]
        self._optimizers = [_optimizer(settings) for _ in self._parts]
        for optimizer, part in zip(self._optimizers, self._parts, strict=True):
            optimizer.build([part])
        signature = [
            tf.TensorSpec((size,), self._averages[0].dtype),
            tf.TensorSpec((), tf.float64),
            *[tf.TensorSpec((), tf.float32)] * (1 + len(self._parts)),
        ]
        # One update of all parts, and one without the first.
        self._apply_from = [
            concrete(partial(self._apply, first), signature) for first in range(len(self._parts))
        ]

    @property
    def parameters(self) -> tf.Tensor:
        """The parameters (d,) after the last update."""
        return _joined([part.value.read_value() for part in self._parts])

    @property
    def average(self) -> tf.Tensor:
        """Their exponential average over the updates (d,)."""
        return _joined([average.read_value() for average in self._averages])

    def start(self, parameters: np.ndarray, ecd: Constants | None = None) -> None:
        """Start a new network from `parameters` (d,): nothing of an earlier one stays."""
        for optimizer in self._optimizers:
            for variable in optimizer.variables:
                variable.assign(tf.zeros_like(variable))
            if ecd is not None:
                optimizer.set(ecd.eta, ecd.f0, ecd.seed)
        self._assign(parameters, parameters)

    def update(
        self, gradient: tf.Tensor, loss: float, rate: float, momentum: float, backbone: float = 1.0
    ) -> float:
        """Change the parameters and return the gradient's norm before clipping.

        A frozen backbone (factor 0) is left alone: no bit of its parameters, averages and momenta
        changes, and norm and clipping are those of the head's gradient.

        Args:
            gradient: of the loss of one batch (d,).
            loss: its value, which ECD needs.
            rate: learning rate.
            momentum: of the average.
            backbone: factor on the backbone's learning rate, where it has one of its own.
        """
        rates = [backbone * rate, rate][-len(self._parts) :]
        first = 1 if len(self._parts) > 1 and backbone == 0 else 0
        # As arrays: TensorFlow keeps every Python number that it has made a tensor of, for ever.
        norm = self._apply_from[first](
            tf.convert_to_tensor(gradient),
            tf.convert_to_tensor(np.array(loss, np.float64)),
            *(tf.convert_to_tensor(np.array(value, np.float32)) for value in (momentum, *rates)),
        )
        return float(norm)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that the next update depends on, for a checkpoint."""
        state = {name: variable.numpy() for name, variable in self._state().items()}
        return {"parameters": self.parameters.numpy(), "average": self.average.numpy(), **state}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go back to the state that `arrays` returned."""
        self._assign(arrays["parameters"], arrays["average"])
        for name, variable in self._state().items():
            variable.assign(arrays[name])

    def _assign(self, parameters: np.ndarray, average: np.ndarray) -> None:
        for vector, parts in ((parameters, self._parts), (average, self._averages)):
            pieces = np.split(np.asarray(vector, self._kind), np.cumsum(self._sizes)[:-1])
            for part, values in zip(parts, pieces, strict=True):
                part.assign(values)

    def _state(self) -> dict[str, keras.Variable]:
        variables = [v for optimizer in self._optimizers for v in optimizer.variables]
        return {f"optimizer-{i}": variable for i, variable in enumerate(variables)}

    def _apply(
        self,
        first: int,
        gradient: tf.Tensor,
        loss: tf.Tensor,
        momentum: tf.Tensor,
        *rates: tf.Tensor,
    ) -> tf.Tensor:
        """Update all parts from number `first` on."""
        gradients = tf.split(gradient, self._sizes)[first:]
        norm = tf.norm(_joined(gradients))
        scale = tf.constant(1.0, gradient.dtype)
        if self._clip_norm is not None:
            scale = tf.minimum(scale, self._clip_norm / (norm + 1e-12))
        parts = zip(
            self._parts[first:],
            self._averages[first:],
            self._optimizers[first:],
            gradients,
            rates[first:],
            strict=True,
        )
        for part, average, optimizer, own, rate in parts:
            optimizer.learning_rate.assign(rate)
            more = {"loss": loss} if isinstance(optimizer, ECD) else {}
            optimizer.apply([own * scale], [part], **more)
            change = part.value.read_value() - average
            average.assign_add((1 - tf.cast(momentum, change.dtype)) * change)
        return norm


def _joined(parts: list[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, 0)


def _optimizer(settings: Training) -> keras.optimizers.Optimizer:
    # Rate and weight decay act as in the papers that define each optimiser: decoupled decay.
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(1.0)
    if settings.optimizer == "ecd":
        return ECD(nu_hat=settings.ecd.nu_hat)
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(1.0, beta_1=settings.beta_1, beta_2=settings.beta_2)
    kinds = {"lion": keras.optimizers.Lion, "adamw": keras.optimizers.AdamW}
    return kinds[settings.optimizer](
        1.0,
        beta_1=settings.beta_1,
        beta_2=settings.beta_2,
        weight_decay=settings.weight_decay,
    )
