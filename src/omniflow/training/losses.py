"""Loss functions of weighted events."""

from __future__ import annotations

import tensorflow as tf


def binary_cross_entropy(
    logits: tf.Tensor, numerator: tf.Tensor, denominator: tf.Tensor
) -> tf.Tensor:
    """Return sum of a * softplus(-z) + b * softplus(z), a scalar.

    Every event carries its weight a in class A (label 1) and b in class B (label 0); an event that
    stands in both classes (step 2) is evaluated once. With weights normalised to sum 1/2 in
    each class the uninformed loss is ln 2, and the minimum is at
    z = log of p_A / p_B (arXiv:2503.20753, section 2, with balanced classes).

    Args:
        logits: (B,).
        numerator: (B,) weights a.
        denominator: (B,) weights b.
    """
    return tf.reduce_sum(numerator * tf.nn.softplus(-logits) + denominator * tf.nn.softplus(logits))
