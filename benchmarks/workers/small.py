"""omniflow's trainer on small networks of synthetic events: whole trainings, a batch, products."""

import ctypes
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the native engine here; before NumPy is loaded

import numpy as np
from protocol import serve

from omniflow.config.training import Classifier, Training
from omniflow.events.batches import Source
from omniflow.events.features import Features
from omniflow.models.classifiers import architecture
from omniflow.models.layout import Layout, Parameter
from omniflow.training import compiler
from omniflow.training.learner import Learner
from omniflow.training.native import Native
from omniflow.training.progress import Seeds, Task
from omniflow.training.trainer import Trainer

BATCHES = (256, 1024, 8192)
EVENT, SIZES = 5, (64, 128, 64)  # the `omnifold` package's MLP: 17,025 parameters
PARTICLE, COUNT, NEIGHBOURS = 4, 16, 5


def main(kind: str, engine: str, events: str) -> None:
    """Serve `epoch` (a training at a batch size), `batch_<n>`, `tiles_<n>` and `blas_<n>`."""
    classifier = Classifier(kind=kind)
    if kind == "mlp":
        layout = table()
    else:
        found = architecture(classifier, PARTICLE, EVENT)
        layout = found.layout
    each = int(events) // 2
    sources = [source(kind, each, seed) for seed in (1, 2)]
    features = sources[0].features
    if engine == "native":
        runner = Native(layout, classifier, features, 1)
    else:
        from omniflow.training import runtime

        runtime.configure(2)
        from omniflow.training.graph import Graph

        runner = Graph(found.keras(), features, 4)
    initial = layout.initial(np.random.SeedSequence(1))

    def epoch(size: float) -> tuple[int, float]:
        """Train for an epoch; what is timed are its updates, with their reading."""
        training = settings(int(size))
        task = Task("epoch", tuple(sources), initial, Seeds(1, np.random.SeedSequence(1)))
        (fit,) = Trainer(layout, training, runner).fit([task])
        done = fit.summary["updates_per_epoch"] * training.batch_size
        return done, done / fit.history[1]["events_per_second"]

    def batch(size: int) -> int:
        """Train on batches in memory, as many as the trainer reads at a time."""
        times = max(1, runner.ahead // size)
        if size not in prepared:
            positions = [np.tile(np.arange(size // 2), (times, 1))] * 2
            found = runner.prepare([(sources, positions)])
            learner = Learner(settings(size), layout.size)
            learner.start(initial)
            prepared[size] = found, learner.steps()
        events, steps = prepared[size]
        runner.train(steps, events, [1e-5] * times, [0.99] * times)
        return size * times

    prepared = {}
    tasks = {}
    if kind == "mlp":
        tasks |= {f"batch_{size}": partial(batch, size) for size in BATCHES}
        library = built()
        widths = np.array([EVENT, *SIZES], np.int64)

        def tiles(size: int) -> int:
            times = max(1, 8192 // size)
            numbers = (ctypes.c_int64(n) for n in (len(SIZES), size, 128, times))
            library.products(ctypes.c_void_p(widths.ctypes.data), *numbers)
            return size * times

        tasks |= {f"tiles_{size}": partial(tiles, size) for size in BATCHES}
        tasks |= {f"blas_{size}": partial(blas, arrays(size), size) for size in BATCHES}
    for size in BATCHES:  # what is traced or loaded at its first use
        if engine == "native" or size == BATCHES[0]:
            epoch(size)
    serve(epoch=epoch, **tasks)


def settings(size: int) -> Training:
    return Training(batch_size=size, epochs=1, warmup_epochs=0.0, schedule="constant")


def table() -> Layout:
    """Return the layout of an MLP of the package's sizes."""
    found, inputs = [], EVENT
    for name, width in (*((f"event_{i}", n) for i, n in enumerate(SIZES)), ("head", 1)):
        found.append(Parameter(f"{name}/kernel", (inputs, width)))
        found.append(Parameter(f"{name}/bias", (width,)))
        inputs = width
    return Layout(tuple(found))


def source(kind: str, events: int, seed: int) -> Source:
    """Return events of class A (seed 1) or class B (2), moved against each other."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(events, np.int64) if kind == "mlp" else rng.poisson(COUNT, events)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    features = Features(
        rng.normal(0.1 * seed, 1, (offsets[-1], PARTICLE)).astype(np.float32),
        np.full((offsets[-1], NEIGHBOURS), -1, np.int16),
        offsets,
        rng.normal(0.1 * seed, 1, (events, EVENT)).astype(np.float32),
    )
    weights = (rng.uniform(0.5, 1.5, events),)
    ids = np.arange(events).astype(np.uint64)
    yes = np.ones(events, bool)
    return Source(features, ids, yes, *((weights, ()) if seed == 1 else ((), weights)))


def built() -> ctypes.CDLL:
    """Compile and load products.cpp as the native engine is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "products.so"
        command = ["c++", *compiler.FLAGS, *compiler.PROCESSOR, f"-I{compiler.SOURCES}"]
        own = Path(__file__).parent / "products.cpp"
        subprocess.run([*command, str(own), "-o", str(path)], check=True)
        return ctypes.CDLL(str(path))


def arrays(size: int) -> list[tuple[np.ndarray, ...]]:
    """Return inputs, kernel, gradient and room for all products of each layer."""
    pairs = zip((EVENT, *SIZES), SIZES, strict=False)
    shapes = [((size, a), (a, b), (size, b), (size, b), (size, a), (a, b)) for a, b in pairs]
    return [tuple(np.zeros(shape, np.float32) for shape in each) for each in shapes]


def blas(layers: list[tuple[np.ndarray, ...]], size: int) -> int:
    """Return after the products of one batch by NumPy's BLAS."""
    for x, w, _, y, _, _ in layers:
        np.matmul(x, w, out=y)
    for i, (x, w, g, _, down, to_w) in enumerate(layers):
        np.matmul(x.T, g, out=to_w)
        if i:
            np.matmul(g, w.T, out=down)
    return size


if __name__ == "__main__":
    main(*sys.argv[1:])
