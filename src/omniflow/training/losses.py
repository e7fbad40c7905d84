"""Losses of weighted events, each with an output function and the likelihood ratio at its minimum.

Every event has weight a in class A (label 1) and b in class B (label 0); weights of each class are
normalised to sum 1/2, and an event that stands in both classes (step 2) is evaluated once. A loss
is the sum over events of a A(z) + b B(z), where z is the network's output:

    bce_*:  A = -ln f,  B = -ln(1 - f),  minimum at f / (1 - f) = p_A / p_B
    mlc_*:  A = -ln f,  B = f - 1,       minimum at f = p_A / p_B

(arXiv:2501.18419, table II, with signs and arctan as they must be.) All arithmetic is in float64.
Costs stand in NumPy and as tensors, which the TensorFlow engine differentiates; `native/loss.h` has
the slopes of the native engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# Least f of mlc_relu and mlc_square, whose f can be 0: the cost of an event in class A has a bound.
FLOOR = 1e-6

# Beyond this distance from 0 the tail of the normal distribution is that of its series.
_FAR = 30.0

Costs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A loss and an output function.

    Attributes:
        number: what native/loss.h calls it; None: the native engine does not know it.
        uninformed: its value for a ratio of 1 everywhere.
        neutral: output z whose ratio is 1, where networks start.
        costs: A(z) and B(z) of float64 outputs (n,).
        tensors: the same of float64 tensors.
        log_ratio: ln(p_A / p_B) at the minimum, of float64 outputs.
        likelihood: whether it is that of the maximum-likelihood classifier (mlc).
    """

    number: int | None
    uninformed: float
    neutral: float
    costs: Callable[[np.ndarray], Costs]
    tensors: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    log_ratio: Callable[[np.ndarray], np.ndarray]
    likelihood: bool

    def values(self, z: np.ndarray) -> Costs:
        """Return A(z) and B(z) of outputs (n,) of any float type.

        Args:
            z: (n,) outputs of any float type.

        Returns:
            A(z) and B(z), (n,) float64 each.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at what comes out
            return self.costs(np.asarray(z, np.float64))

    def total(self, z: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """Return the sum over events of a A(z) + b B(z), a float64 scalar, for z, a, b (B,)."""
        import tensorflow as tf

        z, a, b = (tf.cast(tensor, tf.float64) for tensor in (z, a, b))
        cost_a, cost_b = self.tensors(z)
        return tf.reduce_sum(a * cost_a + b * cost_b)


def _logistic(z: np.ndarray) -> Costs:
    """Return softplus(-z) and softplus(z), which share what takes time."""
    rest = np.log1p(np.exp(-np.abs(z)))
    return np.maximum(-z, 0) + rest, np.maximum(z, 0) + rest


def _log_normal(z: np.ndarray) -> np.ndarray:
    """Return ln Phi(z), of the normal distribution function."""
    from scipy.special import log_ndtr  # few need it, and it takes a tenth of a second to load

    return log_ndtr(z)


def _normal(z: np.ndarray) -> Costs:
    return -_log_normal(z), -_log_normal(-z)


def _normal_ratio(z: np.ndarray) -> np.ndarray:
    return _log_normal(z) - _log_normal(-z)


def _arctan(z: np.ndarray) -> Costs:
    """Return the costs of f = arctan(z) / pi + 1/2, as an angle that is exact in both tails."""
    return -np.log(np.arctan2(1, -z) / math.pi), -np.log(np.arctan2(1, z) / math.pi)


def _relu(z: np.ndarray) -> Costs:
    f = np.maximum(z, FLOOR)
    return -np.log(f), f - 1


def _square(z: np.ndarray) -> Costs:
    return _relu(z * z)


def _exp(z: np.ndarray) -> Costs:
    return -z, np.expm1(z)


def _same(z: np.ndarray) -> np.ndarray:
    return z


def _angle(z: np.ndarray) -> np.ndarray:
    return np.log(np.arctan2(1, -z) / np.arctan2(1, z))


def _log(f: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(f, FLOOR))


def _logistic_tensors(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    return tf.nn.softplus(-z), tf.nn.softplus(z)


def _normal_tensors(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the costs of f = Phi(z), the normal distribution function."""
    import tensorflow as tf

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


def _arctan_tensors(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the costs of f = arctan(z) / pi + 1/2, as an angle that is exact in both tails."""
    import tensorflow as tf

    def cost(z: tf.Tensor) -> tf.Tensor:
        return -tf.math.log(tf.math.atan2(tf.ones_like(z), -z) / math.pi)

    return cost(z), cost(-z)


def _relu_tensors(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    f = tf.maximum(z, FLOOR)
    return -tf.math.log(f), f - 1


def _square_tensors(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return _relu_tensors(z * z)


def _exp_tensors(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    return -z, tf.math.expm1(z)


_LN_2 = math.log(2)

LOSSES = {
    "bce_logistic": Loss(0, _LN_2, 0.0, _logistic, _logistic_tensors, _same, False),
    "bce_normal": Loss(1, _LN_2, 0.0, _normal, _normal_tensors, _normal_ratio, False),
    "bce_arctan": Loss(2, _LN_2, 0.0, _arctan, _arctan_tensors, _angle, False),
    "mlc_relu": Loss(3, 0.0, 1.0, _relu, _relu_tensors, _log, True),
    "mlc_square": Loss(4, 0.0, 1.0, _square, _square_tensors, lambda z: _log(z * z), True),
    "mlc_exp": Loss(5, 0.0, 0.0, _exp, _exp_tensors, _same, True),
}
