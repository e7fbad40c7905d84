"""Layers of the point-edge transformer, on particles flattened to (B * N, D).

Indexing by None would cost a copy in the gradient; `tf.expand_dims` costs nothing.
"""

from __future__ import annotations

import keras
import tensorflow as tf

# Kernel (D, C) and bias (C,) of a dense layer. Scales and shifts that stand before or after one are
# multiplied into them: on the few numbers of a kernel instead of on every particle.
Affine = tuple[tf.Tensor, tf.Tensor]


def exact(x: tf.Tensor) -> tf.Tensor:
    """Return x in float32 where it has less: sums, differences and exponentials need the digits."""
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x


def affine(layer: keras.layers.Dense) -> Affine:
    """Return kernel and bias of a dense layer; without bias, 0."""
    kernel = tf.convert_to_tensor(layer.kernel)
    bias = tf.zeros_like(kernel[0]) if layer.bias is None else tf.convert_to_tensor(layer.bias)
    return kernel, bias


def apply(x: tf.Tensor, dense: Affine) -> tf.Tensor:
    """Return x @ kernel + bias for rows x (R, D)."""
    return tf.nn.bias_add(tf.matmul(x, dense[0]), dense[1])


def head() -> keras.layers.Dense:
    """Return the last layer, one output; in mixed precision it alone computes in float32."""
    return keras.layers.Dense(1, name="head", dtype=keras.config.dtype_policy().variable_dtype)


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
def standardised(x: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Return the rows of x (R, D) with mean 0 and variance 1.

    Rows are single particles, so padding never enters the statistics of another particle.
    """
    kind, x = x.dtype, exact(x)
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + 1e-6)
    y = centred * inverse

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        upstream = exact(upstream)
        mean = tf.reduce_mean(upstream, axis=-1, keepdims=True)
        slope = tf.reduce_mean(upstream * y, axis=-1, keepdims=True)
        return tf.cast(inverse * (upstream - mean - y * slope), kind)

    return tf.cast(y, kind), gradient


class LayerNorm(keras.layers.Layer):
    """Normalisation of each row of (R, D) to mean 0 and variance 1, then scale and shift."""

    def build(self, shape: tuple[None, int]) -> None:
        """Create scale and shift (D,)."""
        self.gamma = self.add_weight(name="gamma", shape=(shape[-1],), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(shape[-1],), initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return the normalised rows."""
        return standardised(x) * self.gamma + self.beta

    def fold(self, dense: Affine) -> Affine:
        """Return what maps standardised rows to what `dense` makes of normalised ones."""
        kernel, bias = dense
        return (
            tf.expand_dims(self.gamma, 1) * kernel,
            bias + tf.linalg.matvec(kernel, self.beta, transpose_a=True),
        )


class LayerScale(keras.layers.Layer):
    """Learned scale per channel of a residual branch (Touvron et al., arXiv:2103.17239)."""

    def __init__(self, initial: float, **kwargs: object) -> None:
        """Start all channels at `initial`."""
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, shape: tuple[None, int]) -> None:
        """Create the scale (D,)."""
        self.scale = self.add_weight(
            name="scale",
            shape=(shape[-1],),
            initializer=keras.initializers.Constant(self.initial),
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return x times the scale."""
        return x * self.scale

    def fold(self, dense: Affine) -> Affine:
        """Return `dense` with its output scaled."""
        kernel, bias = dense
        return kernel * self.scale, bias * self.scale


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

    def build(self, shape: tuple[None, int]) -> None:
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
        difference, own = tf.split(tf.convert_to_tensor(self.kernel), 2, axis=0)
        from_neighbour = tf.matmul(x, difference)
        from_self = apply(x, (own - difference, tf.convert_to_tensor(self.bias)))
        exists = tf.reshape(neighbours >= 0, (-1, neighbours.shape[2]))
        first = tf.reshape(tf.range(batch) * length, (-1, 1, 1))
        rows = tf.reshape(first + tf.maximum(neighbours, 0), (-1, neighbours.shape[2]))
        count = tf.reduce_sum(tf.cast(exists, x.dtype), axis=1, keepdims=True)
        weight = tf.cast(exists, x.dtype) / tf.maximum(count, 1.0)
        mean = _edge_mean(from_neighbour, from_self, rows, weight)
        return self.dense(mean) * tf.cast(count > 0, x.dtype)


@tf.custom_gradient
def _edge_mean(
    neighbour: tf.Tensor, own: tf.Tensor, rows: tf.Tensor, weight: tf.Tensor
) -> tuple[tf.Tensor, object]:
    """Return sum over k of weight[:, k] * LeakyReLU(neighbour[rows[:, k]] + own), (R, C).

    One neighbour after the other, so that what is worked on stays in the processor's cache.
    """
    columns = list(zip(tf.unstack(rows, axis=1), tf.split(weight, rows.shape[1], 1), strict=True))
    edges = [tf.gather(neighbour, index) + own for index, _ in columns]
    total = tf.add_n(
        [
            share * tf.nn.leaky_relu(edge, 0.01)
            for edge, (_, share) in zip(edges, columns, strict=True)
        ]
    )

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        slopes = [
            tf.raw_ops.LeakyReluGrad(gradients=share * upstream, features=edge, alpha=0.01)
            for edge, (_, share) in zip(edges, columns, strict=True)
        ]
        to_neighbour = tf.math.unsorted_segment_sum(
            tf.concat(slopes, axis=0), tf.reshape(tf.transpose(rows), (-1,)), tf.shape(own)[0]
        )
        return to_neighbour, tf.add_n(slopes), None, None

    return total, gradient


def learned_neighbours(x: tf.Tensor, mask: tf.Tensor, k: int) -> tf.Tensor:
    """Return the K nearest other particles in feature space, (B, N, K) int32, -1: none.

    Args:
        x: (B * N, D) features.
        mask: (B, N).
        k: neighbours; events with fewer particles get -1 for the rest.
    """
    batch, length = tf.shape(mask)[0], tf.shape(mask)[1]
    # Which particles are neighbours is a discrete choice: no gradient passes through it.
    x = exact(tf.reshape(tf.stop_gradient(x), (batch, length, x.shape[-1])))
    far = tf.constant(float("inf"), x.dtype)
    # |x_j|^2 - 2 x_i x_j orders the particles j as their distances to i do.
    square = tf.where(mask > 0, tf.reduce_sum(x * x, axis=-1), far)
    distance = tf.expand_dims(square, 1) + tf.matmul(-2 * x, x, transpose_b=True)
    distance = tf.linalg.set_diag(distance, tf.fill((batch, length), far))
    found, index = tf.math.top_k(-distance, k=tf.minimum(k, length))
    # Filled up from zeros: in `vectorized_map`, padding with another number gives zeros.
    index = tf.where(found > -far, index + 1, 0)
    index = tf.pad(index, [[0, 0], [0, 0], [0, k - tf.shape(index)[2]]]) - 1
    return tf.ensure_shape(index, (None, None, k))


class Attention(keras.layers.Layer):
    """Parameters of multi-head attention; how they act is the subclasses' matter."""

    def __init__(self, width: int, heads: int, **kwargs: object) -> None:
        """Use `heads` heads of width / heads channels."""
        super().__init__(**kwargs)
        self.width, self.heads, self.depth = width, heads, width // heads

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


class SelfAttention(Attention):
    """Every particle of an event attends to all of them; padding is never attended to."""

    def call(
        self, x: tf.Tensor, mask: tf.Tensor, *, norm: LayerNorm, scale: LayerScale
    ) -> tf.Tensor:
        """Return (B * N, D), scaled by `scale`.

        Args:
            x: (B * N, D) standardised rows, to be normalised by `norm`.
            mask: (B, N), 1 for particles.
            norm: scale and shift of the input.
            scale: LayerScale of the output.
        """
        batch, length = tf.shape(mask)[0], tf.shape(mask)[1]
        query, key, value = (affine(layer) for layer in (self.query, self.key, self.value))
        kernels, biases = zip(_times(query, self.depth**-0.5), key, value, strict=True)
        x = apply(x, norm.fold((tf.concat(kernels, 1), tf.concat(biases, 0))))
        x = tf.reshape(x, (batch, length, 3, self.heads, self.depth))
        query, key, value = tf.unstack(tf.transpose(x, (2, 0, 3, 1, 4)))
        scores = tf.matmul(query, key, transpose_b=True) + _excluded(mask)
        mixed = tf.transpose(tf.matmul(_softmax(scores), value), (0, 2, 1, 3))
        output = scale.fold(affine(self.output_dense))
        return apply(tf.reshape(mixed, (-1, self.width)), output)


class ClassAttention(Attention):
    """A token per event attends to itself and to the event's particles.

    With one query per event the projections act on it instead of on the particles: its score with
    particle x is (W_K q) x, and the mean of values W_V x is W_V times the mean of x, head by head.
    """

    def call(
        self, token: tf.Tensor, x: tf.Tensor, mask: tf.Tensor, *, norm: LayerNorm
    ) -> tf.Tensor:
        """Return (B, D).

        Args:
            token: (B, D) standardised rows, to be normalised by `norm`.
            x: (B * N, D) standardised rows, to be normalised by `norm` as well.
            mask: (B, N), 1 for particles.
            norm: scale and shift of token and particles.
        """
        x = tf.reshape(x, (tf.shape(mask)[0], tf.shape(mask)[1], self.width))
        token = tf.expand_dims(token, 1)
        query = apply(tf.squeeze(token, 1), norm.fold(_times(affine(self.query), self.depth**-0.5)))
        query = tf.reshape(query, (-1, self.heads, self.depth))
        # What the norm's shift adds to the scores is the same for all keys: the softmax drops it.
        key, _ = norm.fold(affine(self.key))
        key = tf.reshape(key, (self.width, self.heads, self.depth))
        query = tf.einsum("bhd,chd->bhc", query, key)
        scores = tf.matmul(query, x, transpose_b=True) + tf.squeeze(_excluded(mask), 1)
        own = tf.matmul(query, token, transpose_b=True)
        shares = _softmax(tf.concat([own, scores], axis=2))
        own, shares = tf.split(shares, (1, tf.shape(x)[1]), axis=2)
        mixed = tf.matmul(shares, x) + own * token
        kernel, bias = norm.fold(affine(self.value))
        kernel = tf.reshape(kernel, (self.width, self.heads, self.depth))
        mixed = tf.reshape(tf.einsum("bhc,chd->bhd", mixed, kernel), (-1, self.width)) + bias
        return self.output_dense(mixed)


def _softmax(scores: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.nn.softmax(exact(scores)), scores.dtype)


def _times(dense: Affine, factor: float) -> Affine:
    return dense[0] * factor, dense[1] * factor


def _excluded(mask: tf.Tensor) -> tf.Tensor:
    """Return what is added to scores, (B, 1, 1, N): 0 for particles, -1e9 for padding.

    Not -inf: an event without particles must not divide 0 by 0.
    """
    return tf.reshape((mask - 1) * 1e9, (tf.shape(mask)[0], 1, 1, -1))


class Hidden(keras.layers.Layer):
    """Dense layer, activation, dense layer."""

    def __init__(self, hidden: int, width: int, activation: str, **kwargs: object) -> None:
        """Map through `hidden` to `width` channels."""
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(hidden, name="first")
        self.second = keras.layers.Dense(width, name="second")
        self.activation = activation
        self.hidden = hidden

    def build(self, shape: tuple[None, int]) -> None:
        """Create both layers' parameters."""
        self.first.build(shape)
        self.second.build((None, self.hidden))

    def call(
        self, x: tf.Tensor, *, norm: LayerNorm | None = None, scale: LayerScale | None = None
    ) -> tf.Tensor:
        """Return (R, width); with `norm` for standardised rows x, with `scale` scaled by it."""
        first, second = affine(self.first), affine(self.second)
        x = apply(x, norm.fold(first) if norm else first)
        x = gelu(x) if self.activation == "gelu" else tf.nn.leaky_relu(x, 0.01)
        return apply(x, scale.fold(second) if scale else second)
