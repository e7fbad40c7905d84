"""The code behind arXiv:2503.20753 (branch step_ensemble) as it is, padded to 132 particles."""

import sys

import numpy as np
from protocol import serve


def main(folder: str, code: str) -> None:
    """Serve `train` and `infer` of its Classifier with its sizes, batch size and optimiser."""
    sys.path.insert(0, f"{code}/scripts")
    import tensorflow as tf
    from architecture import Classifier

    arrays = np.load(f"{folder}/padded.npz")
    inputs = {
        f"inputs_{name}_1": arrays[name].astype(np.float32)
        for name in ("particle", "event", "mask")
    }
    n = len(arrays["event"])
    target = np.stack([np.arange(n) % 2, np.ones(n)], axis=1).astype(np.float32)
    model = Classifier(
        inputs["inputs_particle_1"].shape[2],
        inputs["inputs_event_1"].shape[1],
        num_part=inputs["inputs_particle_1"].shape[1],
        num_heads=4,
        num_transformer=4,
        projection_dim=64,
    )
    lion = [
        tf.keras.optimizers.Lion(learning_rate=1e-5, beta_1=0.95, beta_2=0.99) for _ in range(2)
    ]
    model.compile(*lion)
    data = tf.data.Dataset.from_tensor_slices((inputs, target))
    data = data.shuffle(n).repeat().batch(256).prefetch(tf.data.AUTOTUNE)
    iterator = iter(data)
    step = tf.function(model.train_step)

    def train() -> int:
        step(next(iterator))["loss"].numpy()
        return 256

    def infer() -> int:
        model.model_ema.predict(inputs, batch_size=1000, verbose=0)
        return n

    serve(train=train, infer=infer)


if __name__ == "__main__":
    main(*sys.argv[1:])
