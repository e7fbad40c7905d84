"""What the other codes have in common: a compiled Keras 2 model, trained by its own step."""

import time

import numpy as np
import tensorflow as tf
from protocol import serve


def lion():
    """Return the optimiser of arXiv:2503.20753."""
    return tf.keras.optimizers.Lion(learning_rate=1e-5, beta_1=0.95, beta_2=0.99)


def load(folder: str, name: str) -> list[dict[str, np.ndarray]]:
    """Return the events of step 1 and of step 2: `label`, `event` and, padded, `particle`."""
    files = [np.load(f"{folder}/{name}-{step}.npz") for step in (1, 2)]
    return [{key: file[key].astype(np.float32) for key in file.files} for file in files]


def serve_model(model, predictor, steps) -> None:
    """Serve `train`, `infer` and `epoch`.

    Args:
        model: compiled; its `fit` trains it.
        predictor: its `predict` evaluates.
        steps: inputs and labels (n,) of step 1 and of step 2.
    """
    inputs, label = steps[1]
    n = len(label)
    iterator = iter(dataset(inputs, label).shuffle(n).repeat().batch(256).prefetch(-1))
    step = tf.function(model.train_step)

    def train() -> int:
        step(next(iterator))["loss"].numpy()
        return 256

    def infer() -> int:
        predictor.predict(first(inputs, 2000), batch_size=1000, verbose=0)
        return min(n, 2000)

    def prepare() -> int:
        few = dataset(first(inputs, 300), label[:300]).batch(256)
        model.fit(few, validation_data=few, verbose=0)
        predictor.predict(first(inputs, 1300), batch_size=1000, verbose=0)
        return 300

    def epoch(_: float) -> tuple[int, float]:
        begin = time.perf_counter()
        for inputs, label in steps:
            everything, n = dataset(inputs, label), len(label)
            training, held_out = everything.skip(n // 5).shuffle(n), everything.take(n // 5)
            model.fit(
                training.batch(256).prefetch(-1),
                validation_data=held_out.batch(256).prefetch(-1),
                verbose=0,
            )
            predictor.predict(where(inputs, label == 0), batch_size=1000, verbose=0)
        return sum(len(label) for _, label in steps), time.perf_counter() - begin

    serve(epoch=epoch, train=train, infer=infer, prepare=prepare)


def dataset(inputs, label: np.ndarray) -> tf.data.Dataset:
    """Return events one by one, with labels and weights as both codes want them."""
    target = np.stack([label, np.ones_like(label)], axis=1)
    return tf.data.Dataset.from_tensor_slices((inputs, target))


def first(inputs, n: int):
    """Return the first n events."""
    return tf.nest.map_structure(lambda array: array[:n], inputs)


def where(inputs, select: np.ndarray):
    """Return the selected events."""
    return tf.nest.map_structure(lambda array: array[select], inputs)
