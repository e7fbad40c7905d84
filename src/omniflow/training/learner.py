"""Learner: parameters, averaged parameters and optimiser of one network."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from omniflow.config.training import Training
from omniflow.training.ecd import ECD, Constants
from omniflow.training.graph import concrete


class Learner:
    """Turns gradients into parameters, kept as one vector (d,).

    Optimiser, averaging and clipping are then a few operations instead of as many per layer,
    quicker to trace and to run.
    """

    def __init__(self, settings: Training, size: int, kind: str = "float32") -> None:
        """Make room for `size` parameters of the float type `kind`."""
        self._clip_norm = None if settings.optimizer == "ecd" else settings.clip_norm
        self._parameters = keras.Variable(np.zeros(size, kind), dtype=kind, name="parameters")
        self._average = tf.Variable(self._parameters.value)
        self._optimizer = _optimizer(settings)
        self._optimizer.build([self._parameters])
        self._apply = concrete(
            self._apply,
            [
                tf.TensorSpec((size,), self._average.dtype),
                tf.TensorSpec((), tf.float64),
                *[tf.TensorSpec((), tf.float32)] * 2,
            ],
        )

    @property
    def parameters(self) -> tf.Tensor:
        """The parameters (d,) after the last update."""
        return self._parameters.value.read_value()

    @property
    def average(self) -> tf.Tensor:
        """Their exponential average over the updates (d,)."""
        return self._average.read_value()

    def start(self, parameters: np.ndarray, ecd: Constants | None = None) -> None:
        """Start a new network from `parameters` (d,): nothing of an earlier one stays."""
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        if ecd is not None:
            self._optimizer.set(ecd.eta, ecd.f0, ecd.seed)
        self._parameters.assign(parameters)
        self._average.assign(self._parameters.value)

    def update(self, gradient: tf.Tensor, loss: float, rate: float, momentum: float) -> float:
        """Change the parameters and return the gradient's norm before clipping.

        Args:
            gradient: of the loss of one batch (d,).
            loss: its value, which ECD needs.
            rate: learning rate.
            momentum: of the average.
        """
        norm = self._apply(
            tf.convert_to_tensor(gradient),
            tf.constant(loss, tf.float64),
            tf.constant(rate, tf.float32),
            tf.constant(momentum, tf.float32),
        )
        return float(norm)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that the next update depends on, for a checkpoint."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go back to the state that `arrays` returned."""
        for name, variable in self._variables().items():
            variable.assign(arrays[name])

    def _variables(self) -> dict[str, keras.Variable | tf.Variable]:
        state = {f"optimizer-{i}": v for i, v in enumerate(self._optimizer.variables)}
        return {"parameters": self._parameters, "average": self._average, **state}

    def _apply(
        self, gradient: tf.Tensor, loss: tf.Tensor, rate: tf.Tensor, momentum: tf.Tensor
    ) -> tf.Tensor:
        norm = tf.norm(gradient)
        scale = tf.constant(1.0, gradient.dtype)
        if self._clip_norm is not None:
            scale = tf.minimum(scale, self._clip_norm / (norm + 1e-12))
        self._optimizer.learning_rate.assign(rate)
        more = {"loss": loss} if isinstance(self._optimizer, ECD) else {}
        self._optimizer.apply([gradient * scale], [self._parameters], **more)
        change = self._parameters.value.read_value() - self._average
        self._average.assign_add((1 - tf.cast(momentum, change.dtype)) * change)
        return norm


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
