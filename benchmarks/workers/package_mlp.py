"""The `omnifold` package's MLP at its own sizes: its own pipeline, and a fixed batch in memory."""

import sys
import time
from functools import partial

import numpy as np
import tensorflow as tf
from keras_2 import dataset, lion
from protocol import serve

BATCHES = (256, 1024, 8192)
EVENT = 5


def main(events: str, seconds: str) -> None:
    """Serve `epoch` (training at a batch size for so many seconds) and `batch_<n>`."""
    from omnifold import net

    n = int(events)
    rng = np.random.default_rng(1)
    label = np.repeat([1.0, 0.0], n // 2).astype(np.float32)
    inputs = rng.normal(0.1 + 0.1 * label[:, None], 1, (n, EVENT)).astype(np.float32)
    model = net.MLP(EVENT)
    model.compile(loss=net.weighted_binary_crossentropy, optimizer=lion())
    step = tf.function(model.train_step)
    streams = {
        size: iter(dataset(inputs, label).shuffle(n).repeat().batch(size).prefetch(-1))
        for size in BATCHES
    }
    fixed = {size: next(stream) for size, stream in streams.items()}

    def batch(size: int) -> int:
        step(fixed[size])["loss"].numpy()
        return size

    def epoch(size: float) -> tuple[int, float]:
        begin, done = time.perf_counter(), 0
        while (taken := time.perf_counter() - begin) < float(seconds):
            step(next(streams[int(size)]))["loss"].numpy()
            done += int(size)
        return done, taken

    serve(epoch=epoch, **{f"batch_{size}": partial(batch, size) for size in BATCHES})


if __name__ == "__main__":
    main(*sys.argv[1:])
