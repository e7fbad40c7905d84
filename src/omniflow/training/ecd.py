"""ECD with q = 1: energy-conserving descent (arXiv:2501.18419, section II)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from omniflow.config.training import Training
from omniflow.training.losses import LOSSES


@dataclass(frozen=True)
class Constants:
    """What the optimiser needs to know of one training.

    Attributes:
        dt: length of every step.
        eta: concentration.
        f0: offset of the loss, below all of its values.
        seed: of the bounces.
    """

    dt: float
    eta: float
    f0: float
    seed: int


def constants(settings: Training, updates: int, variance: float, seed: int) -> Constants:
    """Return the constants of `training.ecd`, with defaults from the run.

    Args:
        settings: of the training.
        updates: most updates of the training.
        variance: summed variance of the initial parameters, the square of the distance to cover.
        seed: of the bounces.
    """
    given = settings.ecd
    eta = (updates * given.dt_hat) ** 2 / variance if given.eta == "auto" else given.eta
    # One below the lowest loss that is expected: ln 2 or 0, up to what little classes differ.
    f0 = LOSSES[settings.loss].uninformed - 1 if given.f0 == "auto" else given.f0
    return Constants(given.dt_hat / math.sqrt(eta), eta, f0, seed)


class ECD(keras.optimizers.Optimizer):
    """Moves d parameters by `learning_rate` along a unit vector u, which the gradient turns.

    Per update, with loss F, gradient g and random numbers z ~ N(0, 1)^d:

        u <- normalise(u + nu_hat / sqrt(d) z)
        u <- normalise(u - dt eta d / (2 (d - 1) (F - f0)) (g - (u . g) u))
        parameters <- parameters + dt u

    The first update is along -g. `apply` takes the loss as well, so Keras' own `fit` cannot call
    it. The random numbers depend on the seed and the number of the update alone.
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        eta: float = 1.0,
        f0: float = -1.0,
        nu_hat: float = 0.0,
        seed: int = 0,
        name: str = "ecd",
    ) -> None:
        """Take dt, eta, f0 and nu_hat; there is no decay, clipping or schedule."""
        super().__init__(learning_rate, name=name)
        self.nu_hat = nu_hat
        self._eta = self.add_variable((), dtype="float64", name="eta")
        self._f0 = self.add_variable((), dtype="float64", name="f0")
        self._seed = self.add_variable((), dtype="int64", name="seed")
        self.set(eta, f0, seed)

    def set(self, eta: float, f0: float, seed: int) -> None:
        """Change what depends on the training."""
        self._eta.assign(eta)
        self._f0.assign(f0)
        self._seed.assign(seed)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make room for u, 0 before the first update.

        Raises:
            ValueError: fewer than two parameters, which have no direction to turn to.
        """
        if self.built:
            return
        super().build(variables)
        self._size = sum(math.prod(variable.shape) for variable in variables)
        if self._size < 2:
            raise ValueError(f"ECD needs at least two parameters, got {self._size}")
        self._directions = self.add_optimizer_variables(variables, "direction")

    def apply(
        self,
        grads: Sequence[tf.Tensor],
        trainable_variables: Sequence[keras.Variable] | None = None,
        loss: tf.Tensor | None = None,
    ) -> None:
        """Update the variables from their gradients and the loss that these are of.

        Raises:
            ValueError: without a loss.
        """
        if loss is None:
            raise ValueError("ECD needs the loss: apply(gradients, variables, loss=loss)")
        variables = list(trainable_variables or self._trainable_variables)
        self.build(variables)
        u = [tf.convert_to_tensor(direction) for direction in self._directions]
        if self.nu_hat:
            u = self._bounced(u)
        u = _normalised(u)
        d, f = self._size, tf.cast(loss, tf.float64)
        turn = tf.cast(self.learning_rate, tf.float64) * self._eta * d / (2 * (d - 1))
        turn = tf.cast(turn / (f - self._f0), u[0].dtype)
        along = _dot(u, grads)
        u = _normalised([ui - turn * (g - along * ui) for ui, g in zip(u, grads, strict=True)])
        for variable, direction, ui in zip(variables, self._directions, u, strict=True):
            self.assign_add(variable, tf.cast(self.learning_rate, ui.dtype) * ui)
            self.assign(direction, ui)
        self._iterations.assign_add(1)

    def get_config(self) -> dict[str, object]:
        """Return the arguments that make this optimiser again."""
        return {
            "name": self.name,
            "learning_rate": float(self.learning_rate),
            "eta": float(self._eta),
            "f0": float(self._f0),
            "nu_hat": self.nu_hat,
            "seed": int(self._seed),
        }

    def _bounced(self, u: list[tf.Tensor]) -> list[tf.Tensor]:
        # Not before the first update, whose direction is the gradient's.
        moving = tf.cast(_dot(u, u) > 0, u[0].dtype)
        scale = moving * (self.nu_hat / math.sqrt(self._size))
        first = len(u) * tf.cast(self._iterations, tf.int64)
        return [
            ui
            + scale
            * tf.random.stateless_normal(
                ui.shape,
                [tf.convert_to_tensor(self._seed), first + i],
                dtype=ui.dtype,
                alg="philox",
            )
            for i, ui in enumerate(u)
        ]


def _dot(a: Sequence[tf.Tensor], b: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([tf.reduce_sum(x * y) for x, y in zip(a, b, strict=True)])


def _normalised(u: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return u with length 1; 0 stays 0."""
    norm = tf.sqrt(_dot(u, u))
    return [tf.math.divide_no_nan(ui, norm) for ui in u]
