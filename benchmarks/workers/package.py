"""The `omnifold` package from PyPI, its PET (padded) or its MLP, with its own training step."""

import sys

import numpy as np
from protocol import serve


def main(folder: str, kind: str) -> None:
    """Serve `train` and `infer`: PET with the sizes of arXiv:2503.20753, MLP with its defaults."""
    import tensorflow as tf
    from omnifold import net

    arrays = np.load(f"{folder}/padded.npz")
    if kind == "pet":
        inputs = arrays["particle"].astype(np.float32)
        sizes = {"num_heads": 4, "num_transformer": 4, "projection_dim": 64, "K": 5}
        model = net.PET(inputs.shape[2], num_part=inputs.shape[1], **sizes)
    else:
        inputs = arrays["event"].astype(np.float32)
        model = net.MLP(inputs.shape[1])
    n = len(inputs)
    target = np.stack([np.arange(n) % 2, np.ones(n)], axis=1).astype(np.float32)
    optimizer = tf.keras.optimizers.Lion(learning_rate=1e-5, beta_1=0.95, beta_2=0.99)
    model.compile(loss=net.weighted_binary_crossentropy, optimizer=optimizer)
    data = tf.data.Dataset.from_tensor_slices((inputs, target))
    data = data.shuffle(n).repeat().batch(256).prefetch(tf.data.AUTOTUNE)
    iterator = iter(data)
    step = tf.function(model.train_step)

    def train() -> int:
        step(next(iterator))["loss"].numpy()
        return 256

    def infer() -> int:
        model.predict(inputs, batch_size=1000, verbose=0)
        return n

    serve(train=train, infer=infer)


if __name__ == "__main__":
    main(*sys.argv[1:])
