"""Point-edge transformer (PET), arXiv:2503.20753 section 2."""

from __future__ import annotations

import keras
import tensorflow as tf

from omniflow.config.training import Classifier
from omniflow.models.layers import (
    ClassAttention,
    Hidden,
    LayerNorm,
    LayerScale,
    LocalEmbedding,
    SelfAttention,
    head,
    learned_neighbours,
    standardised,
)


class TransformerBlock(keras.layers.Layer):
    """Norm, self-attention, LayerScale, residual; norm, two dense layers, LayerScale, residual."""

    def __init__(self, settings: Classifier, **kwargs: object) -> None:
        """Size the layers from the configuration."""
        super().__init__(**kwargs)
        width = settings.width
        self.norm_1 = LayerNorm(name="norm_1")
        self.attention = SelfAttention(width, settings.heads, name="attention")
        self.scale_1 = LayerScale(settings.layer_scale, name="scale_1")
        self.norm_2 = LayerNorm(name="norm_2")
        self.hidden = Hidden(2 * width, width, "gelu", name="hidden")
        self.scale_2 = LayerScale(settings.layer_scale, name="scale_2")

    def build(self, shape: tuple[int, ...]) -> None:
        """Create the parameters of all sublayers."""
        _build(self, shape)

    def call(self, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Return (B * N, D) for x (B * N, D) and mask (B, N)."""
        x = x + self.attention(standardised(x), mask, norm=self.norm_1, scale=self.scale_1)
        return x + self.hidden(standardised(x), norm=self.norm_2, scale=self.scale_2)


class ClassBlock(keras.layers.Layer):
    """Class attention: the token asks, token and particles answer (arXiv:2103.17239)."""

    def __init__(self, settings: Classifier, **kwargs: object) -> None:
        """Size the layers from the configuration."""
        super().__init__(**kwargs)
        width = settings.width
        self.norm_1 = LayerNorm(name="norm_1")
        self.attention = ClassAttention(width, settings.heads, name="attention")
        self.norm_2 = LayerNorm(name="norm_2")
        self.hidden = Hidden(2 * width, width, "gelu", name="hidden")

    def build(self, shape: tuple[int, ...]) -> None:
        """Create the parameters of all sublayers."""
        _build(self, shape)

    def call(self, token: tf.Tensor, particles: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Return the token (B, D) for standardised particles (B * N, D) and mask (B, N)."""
        token = token + self.attention(standardised(token), particles, mask, norm=self.norm_1)
        return token + self.hidden(standardised(token), norm=self.norm_2)


class ClassToken(keras.layers.Layer):
    """The learned token that the class attention starts from."""

    def __init__(self, width: int, **kwargs: object) -> None:
        """Create a token of `width` channels."""
        super().__init__(**kwargs)
        self.width = width

    def build(self, *_: object) -> None:
        """Create the token (1, D), inside a layer so that it is trained and saved."""
        self.token = self.add_weight(name="token", shape=(1, self.width))

    def call(self, event: tf.Tensor) -> tf.Tensor:
        """Return one copy per event, (B, D)."""
        return tf.repeat(self.token, tf.shape(event)[0], axis=0)


class PET(keras.Model):
    """Logit of a set of particles with event features.

    Inputs: particles (B, N, F), mask (B, N), neighbours (B, N, K) int32 with -1 for none, event
    (B, E). Output: outputs (B,). They depend neither on padding nor on the order of the particles.
    """

    def __init__(self, settings: Classifier, particle_features: int, event_features: int) -> None:
        """Create all parameters, for F particle and E event features."""
        super().__init__(name="pet")
        width = settings.width
        self.neighbours = settings.neighbours
        self.embedding = Hidden(2 * width, width, "leaky_relu", name="embedding")
        self.local_1 = LocalEmbedding(width, name="local_1")
        self.local_2 = LocalEmbedding(width, name="local_2")
        self.condition = keras.layers.Dense(2 * width, name="condition")
        self.transformer = [
            TransformerBlock(settings, name=f"block_{i}") for i in range(settings.blocks)
        ]
        self.token = ClassToken(width, name="token")
        self.class_blocks = [
            ClassBlock(settings, name=f"class_{i}") for i in range(settings.class_blocks)
        ]
        self.norm = LayerNorm(name="norm")
        self.head = head()
        self.width = width
        rows = (None, width)
        self.embedding.build((None, particle_features))
        self.local_1.build((None, particle_features))
        self.condition.build((None, event_features))
        for layer in (self.local_2, *self.transformer, *self.class_blocks, self.norm, self.head):
            layer.build(rows)
        self.token.build(rows)
        self.built = True

    @property
    def dropped(self) -> list[keras.Variable]:
        """Kernels that read hidden units: of the feed-forward and edge layers, and of the head."""
        inside = [
            *(block.hidden for block in self.transformer),
            *(block.hidden for block in self.class_blocks),
        ]
        hidden = [layer.second.kernel for layer in (self.embedding, *inside)]
        return [self.local_1.dense.kernel, self.local_2.dense.kernel, *hidden, self.head.kernel]

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return the outputs (B,)."""
        mask, event = inputs["mask"], inputs["event"]
        batch, length = tf.shape(mask)[0], tf.shape(mask)[1]
        raw = tf.reshape(inputs["particles"], (batch * length, inputs["particles"].shape[-1]))
        local = self.local_1(raw, inputs["neighbours"])
        x = self.embedding(raw) + local
        x = x + self.local_2(local, learned_neighbours(local, mask, self.neighbours))
        scale, shift = tf.split(self.condition(event), 2, axis=1)
        x = tf.reshape(x, (batch, length, self.width))
        x = x * tf.expand_dims(1 + scale, 1) + tf.expand_dims(shift, 1)
        skip = x = tf.reshape(x, (-1, self.width))
        for block in self.transformer:
            x = block(x, mask)
        x = standardised(x + skip)  # what every class block starts with
        token = self.token(event)
        for block in self.class_blocks:
            token = block(token, x, mask)
        return self.head(self.norm(token))[:, 0]


def _build(layer: keras.layers.Layer, shape: tuple[int, ...]) -> None:
    for sublayer in layer._flatten_layers(include_self=False, recursive=False):
        sublayer.build(shape)
