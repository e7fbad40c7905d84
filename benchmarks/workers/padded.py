"""omniflow's PET written the obvious way: padded to 132, dense layers on every edge, all tokens."""

import sys
import time

import keras
import numpy as np
import tensorflow as tf
from protocol import serve

layers = keras.layers


def mlp(width: int, out: int, activation: str) -> keras.Sequential:
    return keras.Sequential([layers.Dense(width, activation=activation), layers.Dense(out)])


class Plain(keras.Model):
    """Sizes and layers as omniflow.models.pet at its defaults; nothing is folded or shared."""

    def __init__(self, width: int = 64, heads: int = 4, blocks: int = 4, classes: int = 2) -> None:
        super().__init__()
        self.width, self.k = width, 5
        leaky = "leaky_relu"
        self.embedding = mlp(2 * width, width, leaky)
        self.local = [mlp(2 * width, width, leaky) for _ in range(2)]
        self.condition = layers.Dense(2 * width)
        self.blocks = [
            (
                layers.LayerNormalization(epsilon=1e-6),
                layers.MultiHeadAttention(heads, width // heads),
                layers.LayerNormalization(epsilon=1e-6),
                mlp(2 * width, width, "gelu"),
            )
            for _ in range(blocks + classes)
        ]
        self.scales = [self.add_weight(shape=(width,)) for _ in range(2 * blocks)]
        self.token = self.add_weight(shape=(1, 1, width))
        self.norm, self.head = layers.LayerNormalization(epsilon=1e-6), layers.Dense(1)

    def edges(self, dense, x, points, mask):
        square = tf.reduce_sum(points**2, -1)
        distance = square[:, :, None] - 2 * tf.matmul(points, points, transpose_b=True)
        distance += square[:, None] + 1e9 * (1 - mask)[:, None] + 1e9 * tf.eye(tf.shape(x)[1])
        index = tf.math.top_k(-distance, self.k).indices
        near = tf.gather(x, index, batch_dims=1)
        own = tf.repeat(x[:, :, None], self.k, axis=2)
        return tf.reduce_mean(dense(tf.concat([near - own, own], -1)), axis=2)

    def call(self, inputs):
        x, mask, event = inputs
        local = self.edges(self.local[0], x, x[..., :2], mask)
        x = self.embedding(x) + local + self.edges(self.local[1], local, local, mask)
        scale, shift = tf.split(self.condition(event)[:, None], 2, axis=-1)
        x = skip = x * (1 + scale) + shift
        exists = tf.cast(mask, tf.bool)[:, None]
        depth = len(self.scales) // 2
        for i, (first, attention, second, hidden) in enumerate(self.blocks[:depth]):
            y = first(x)
            x = x + attention(y, y, attention_mask=exists) * self.scales[2 * i]
            x = x + hidden(second(x)) * self.scales[2 * i + 1]
        x = x + skip
        token = tf.repeat(self.token, tf.shape(x)[0], axis=0)
        exists = tf.pad(exists, [[0, 0], [0, 0], [1, 0]], constant_values=True)
        for first, attention, second, hidden in self.blocks[depth:]:
            y = first(tf.concat([token, x], 1))
            token = token + attention(y[:, :1], y, attention_mask=exists)
            token = token + hidden(second(token))
        return self.head(self.norm(token))[:, 0, 0]


def main(folder: str, threads: str) -> None:
    """Serve `train`, `infer` and `epoch`."""
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    steps = []
    for step in (1, 2):
        arrays = np.load(f"{folder}/padded-{step}.npz")
        inputs = [arrays["particle"], arrays["mask"][..., 0], arrays["event"]]
        steps.append(([tf.constant(x, tf.float32) for x in inputs], arrays["label"]))
    inputs, label = steps[1]
    n = len(label)
    model = Plain()
    model([x[:2] for x in inputs])
    optimizer = keras.optimizers.Lion(1e-5, beta_1=0.95, beta_2=0.99)
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(1)
    # Any number of events: the last batch of an epoch causes no new trace.
    shapes = [tf.TensorSpec((None, *x.shape[1:]), tf.float32) for x in inputs]

    @tf.function(input_signature=[shapes, tf.TensorSpec((None,), tf.float32)])
    def update(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, model(x)))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return loss

    forward = tf.function(model, input_signature=[shapes])

    def run(function, inputs, label, index, size):
        for first in range(0, len(index), size):
            rows = index[first : first + size]
            found = [tf.gather(x, rows) for x in inputs]
            targets = [] if label is None else [tf.constant(label[rows], tf.float32)]
            function(found, *targets).numpy()

    def train() -> int:
        run(update, inputs, label, rng.integers(0, n, 256), 256)
        return 256

    def infer() -> int:
        few = np.arange(min(n, 2000))
        run(forward, inputs, None, few, 500)
        return len(few)

    def epoch(_: float) -> tuple[int, float]:
        begin = time.perf_counter()
        for inputs, label in steps:
            held_out, training = np.split(np.arange(len(label)), [len(label) // 5])
            run(update, inputs, label, rng.permutation(training), 256)
            run(forward, inputs, None, held_out, 500)
            run(forward, inputs, None, np.flatnonzero(label == 0), 500)
        return sum(len(label) for _, label in steps), time.perf_counter() - begin

    serve(epoch=epoch, train=train, infer=infer)


if __name__ == "__main__":
    main(*sys.argv[1:])
