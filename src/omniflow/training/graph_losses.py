"""Losses as tensors, which TensorFlow differentiates: those of `losses.LOSSES`, by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from omniflow.training.losses import FLOOR

# Beyond this distance from 0 the tail of the normal distribution is that of its series.
_FAR = 30.0


def total(name: str, z: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return the sum over events of a A(z) + b B(z), a float64 scalar, for z, a, b (B,)."""
    z, a, b = (tf.cast(tensor, tf.float64) for tensor in (z, a, b))
    cost_a, cost_b = COSTS[name](z)
    return tf.reduce_sum(a * cost_a + b * cost_b)


def _logistic(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.nn.softplus(-z), tf.nn.softplus(z)


def _normal(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the costs of f = Phi(z), the normal distribution function."""

    @tf.custom_gradient
    def cost(z: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        """Return -ln Phi(z) from the tail beyond x = |z|, exact where Phi is 0 or 1."""
        x = tf.abs(z)
        near, far = tf.minimum(x, _FAR), tf.maximum(x, _FAR)
        tail = 0.5 * tf.math.erfc(near / math.sqrt(2))
        y, series = 1 / (far * far), tf.ones_like(x)
        for factor in (11, 9, 7, 5, 3, 1):
            series = 1 - factor * y * series
        log_tail = tf.where(
            x < _FAR,
            tf.math.log(tail),
            -0.5 * far * far - tf.math.log(far / series) - 0.5 * math.log(2 * math.pi),
        )
        density = tf.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)
        # Density over Phi, also where both are 0.
        below = tf.where(x < _FAR, density / tail, far / series)
        slope = tf.where(z < 0, below, tf.where(x < _FAR, density / (1 - tail), 0.0))
        return -tf.where(z < 0, log_tail, tf.math.log1p(-tail)), lambda up: -up * slope

    return cost(z), cost(-z)


def _arctan(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the costs of f = arctan(z) / pi + 1/2, as an angle that is exact in both tails."""

    def cost(z: tf.Tensor) -> tf.Tensor:
        return -tf.math.log(tf.math.atan2(tf.ones_like(z), -z) / math.pi)

    return cost(z), cost(-z)


def _relu(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    f = tf.maximum(z, FLOOR)
    return -tf.math.log(f), f - 1


def _square(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return _relu(z * z)


def _exp(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return -z, tf.math.expm1(z)


# A(z) and B(z) of float64 outputs.
COSTS: dict[str, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]] = {
    "bce_logistic": _logistic,
    "bce_normal": _normal,
    "bce_arctan": _arctan,
    "mlc_relu": _relu,
    "mlc_square": _square,
    "mlc_exp": _exp,
}
