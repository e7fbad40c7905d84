"""Layers of the point-edge transformer, on particles flattened to (B * N, D)."""

from __future__ import annotations

import keras
import tensorflow as tf


def masked_mean(x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Return the mean over axis 1 of x (B, N, D) where mask (B, N) is 1; 0 where it is empty."""
    total = tf.einsum("bnd,bn->bd", x, mask)
    return total / tf.maximum(tf.reduce_sum(mask, axis=1, keepdims=True), 1.0)


@tf.custom_gradient
def gelu(x: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Return the Gaussian error linear unit (arXiv:1606.08415, its tanh form).

    The same function as `tf.nn.gelu(x, approximate=True)`, whose cube is a slow power function, in
    the form x * sigmoid(x (a + b x^2)) that needs the fewest passes over memory.
    """
    a, b = 1.5957691216057308, 0.07135481627159498  # 2 sqrt(2/pi), and 0.044715 of that
    square = x * x
    sigmoid = tf.sigmoid(x * (a + b * square))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        slope = x * (1 - sigmoid) * (a + (3 * b) * square)
        return upstream * (sigmoid * (1 + slope))

    return x * sigmoid, gradient


@tf.custom_gradient
def _standardise(x: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Return the rows of x (R, D) with mean 0 and variance 1."""
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + 1e-6)
    y = centred * inverse

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(upstream, axis=-1, keepdims=True)
        slope = tf.reduce_mean(upstream * y, axis=-1, keepdims=True)
        return inverse * (upstream - mean - y * slope)

    return y, gradient


class LayerNorm(keras.layers.Layer):
    """Normalisation of each row of (R, D) to mean 0 and variance 1, then scale and shift.

    Rows are single particles, so padding never enters the statistics of another particle.
    """

    def build(self, shape: tuple[int, ...]) -> None:
        """Create scale and shift (D,)."""
        self.gamma = self.add_weight(name="gamma", shape=(shape[-1],), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(shape[-1],), initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return the normalised rows."""
        return _standardise(x) * self.gamma + self.beta


class LayerScale(keras.layers.Layer):
    """Learned scale per channel of a residual branch (Touvron et al., arXiv:2103.17239)."""

    def __init__(self, initial: float, **kwargs: object) -> None:
        """Start all channels at `initial`."""
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, shape: tuple[int, ...]) -> None:
        """Create the scale (D,)."""
        self.scale = self.add_weight(
            name="scale",
            shape=(shape[-1],),
            initializer=keras.initializers.Constant(self.initial),
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return x times the scale."""
        return x * self.scale


class LocalEmbedding(keras.layers.Layer):
    """Edge convolution over the K nearest neighbours, averaged over those a particle has.

    The first dense layer on `[x_j - x_i, x_i]` equals `x_j A + x_i (B - A)` and the second is
    linear, so that it commutes with the mean over neighbours: both run once per particle instead of
    once per edge, with the same value. A particle without neighbours gets 0.
    """

    def __init__(self, width: int, **kwargs: object) -> None:
        """Map to `width` channels through a hidden layer of twice that."""
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape: tuple[int, ...]) -> None:
        """Create both dense layers' parameters."""
        inputs, hidden = shape[-1], 2 * self.width
        self.kernel = self.add_weight(name="edge_kernel", shape=(2 * inputs, hidden))
        self.bias = self.add_weight(name="edge_bias", shape=(hidden,), initializer="zeros")
        self.dense = keras.layers.Dense(self.width, name="dense")
        self.dense.build((None, hidden))

    def call(self, x: tf.Tensor, neighbours: tf.Tensor) -> tf.Tensor:
        """Return (B * N, width).

        Args:
            x: (B * N, D).
            neighbours: (B, N, K) int32 index within the event, -1: none.
        """
        batch, length = tf.shape(neighbours)[0], tf.shape(neighbours)[1]
        inputs = x.shape[-1]
        difference, own = self.kernel[:inputs], self.kernel[inputs:]
        both = tf.matmul(x, tf.concat([difference, own - difference], axis=1))
        from_neighbour, from_self = tf.split(both, 2, axis=1)
        first = (tf.range(batch) * length)[:, None, None]
        exists = tf.reshape(neighbours >= 0, (batch * length, -1, 1))
        rows = tf.reshape(first + tf.maximum(neighbours, 0), (batch * length, -1))
        weight = tf.cast(exists, x.dtype)
        edges = tf.gather(from_neighbour, rows) + (from_self + self.bias)[:, None, :]
        edges = tf.nn.leaky_relu(edges, 0.01) * weight
        count = tf.reduce_sum(weight, axis=1)
        mean = tf.reduce_sum(edges, axis=1) / tf.maximum(count, 1.0)
        return self.dense(mean) * tf.cast(count > 0, x.dtype)


def learned_neighbours(x: tf.Tensor, mask: tf.Tensor, k: int) -> tf.Tensor:
    """Return the K nearest other particles in feature space, (B, N, K) int32, -1: none.

    Args:
        x: (B * N, D) features.
        mask: (B, N).
        k: neighbours; events with fewer particles get -1 for the rest.
    """
    batch, length = tf.shape(mask)[0], tf.shape(mask)[1]
    # Which particles are neighbours is a discrete choice: no gradient passes through it.
    x = tf.reshape(tf.stop_gradient(x), (batch, length, x.shape[-1]))
    square = tf.reduce_sum(x * x, axis=-1)
    distance = square[:, None, :] - 2 * tf.matmul(x, x, transpose_b=True) + square[:, :, None]
    excluded = (1 - mask)[:, None, :] + tf.eye(length, dtype=x.dtype)[None]
    distance = tf.where(excluded > 0, tf.constant(float("inf"), x.dtype), distance)
    found, index = tf.math.top_k(-distance, k=tf.minimum(k, length))
    index = tf.where(found > -float("inf"), index, -1)
    return tf.pad(index, [[0, 0], [0, 0], [0, k - tf.shape(index)[2]]], constant_values=-1)


class Attention(keras.layers.Layer):
    """Multi-head attention over the particles of an event; padding is never attended to."""

    def __init__(self, width: int, heads: int, **kwargs: object) -> None:
        """Use `heads` heads of width / heads channels."""
        super().__init__(**kwargs)
        self.width, self.heads = width, heads

    def build(self, *_: object) -> None:
        """Create the projections."""
        self.query = keras.layers.Dense(self.width, name="query")
        # No bias: it would add the same to all scores of a query, which the softmax takes out
        # again, so that nothing but rounding would ever train it.
        self.key = keras.layers.Dense(self.width, use_bias=False, name="key")
        self.value = keras.layers.Dense(self.width, name="value")
        self.output_dense = keras.layers.Dense(self.width, name="output")
        for layer in (self.query, self.key, self.value, self.output_dense):
            layer.build((None, self.width))

    def call(self, queries: tf.Tensor, keys: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Return (B * Q, D).

        Args:
            queries: (B * Q, D).
            keys: (B * N, D).
            mask: (B, N), 1 for keys that exist.
        """
        depth = self.width // self.heads

        def heads(x: tf.Tensor) -> tf.Tensor:
            x = tf.reshape(x, (tf.shape(mask)[0], -1, self.heads, depth))
            return tf.transpose(x, (0, 2, 1, 3))

        query, key, value = (
            heads(self.query(queries) * depth**-0.5),
            heads(self.key(keys)),
            heads(self.value(keys)),
        )
        # -1e9 rather than -inf: an event without particles must not divide 0 by 0.
        scores = tf.matmul(query, key, transpose_b=True) + ((mask - 1) * 1e9)[:, None, None, :]
        mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), (0, 2, 1, 3))
        return self.output_dense(tf.reshape(mixed, (-1, self.width)))


class Hidden(keras.layers.Layer):
    """Dense layer, activation, dense layer."""

    def __init__(self, hidden: int, width: int, activation: str, **kwargs: object) -> None:
        """Map through `hidden` to `width` channels."""
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(hidden, name="first")
        self.second = keras.layers.Dense(width, name="second")
        self.activation = activation
        self.hidden = hidden

    def build(self, shape: tuple[int, ...]) -> None:
        """Create both layers' parameters."""
        self.first.build(shape)
        self.second.build((None, self.hidden))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return (R, width)."""
        x = self.first(x)
        x = gelu(x) if self.activation == "gelu" else tf.nn.leaky_relu(x, 0.01)
        return self.second(x)
