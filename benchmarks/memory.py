"""Anonymous memory of a training process against the number of events.

    python benchmarks/memory.py [100000 10000000]

Synthetic events on disk, memory-mapped as those of a study. Each size has a process of its own,
which counts all events, sums all weights, trains for 300 updates and evaluates held-out events.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

UPDATES, PARTICLES, COLUMNS, EVENT, NEIGHBOURS = 300, 4, 7, 5, 5
CHUNK = 100_000


def main(sizes: list[int]) -> None:
    """Print a table of sizes."""
    print("| events | on disk, MB | anonymous memory while training, MB | updates/s |")
    print("|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), size)
            disk = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
            done = subprocess.run(
                [sys.executable, __file__, "--train", folder],
                check=True,
                capture_output=True,
                text=True,
            )
            print(f"| {size:,} | {disk:,.0f} | {done.stdout.strip()} |", flush=True)


def write(folder: Path, size: int) -> None:
    """Write features, weights and ids of so many events, a chunk at a time."""
    shapes = {
        "particles": ((size * PARTICLES, COLUMNS), np.float32),
        "neighbours": ((size * PARTICLES, NEIGHBOURS), np.int16),
        "offsets": ((size + 1,), np.int64),
        "event": ((size, EVENT), np.float32),
        "event_id": ((size,), np.uint64),
        "weight": ((size,), np.float64),
    }
    rng = np.random.default_rng(1)
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
        for name, (shape, dtype) in shapes.items()
    }
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        rows = slice(start * PARTICLES, stop * PARTICLES)
        count = rows.stop - rows.start
        arrays["particles"][rows] = rng.normal(size=(count, COLUMNS))
        near = np.arange(1, NEIGHBOURS + 1) + np.arange(count)[:, None]
        near = np.where(np.arange(NEIGHBOURS) < PARTICLES - 1, near % PARTICLES, -1)
        arrays["neighbours"][rows] = near
        arrays["event"][start:stop] = rng.normal(size=(stop - start, EVENT))
        arrays["event_id"][start:stop] = np.arange(start, stop)
        arrays["weight"][start:stop] = rng.exponential(size=stop - start)
        arrays["offsets"][start : stop + 1] = np.arange(start, stop + 1) * PARTICLES
        for array in arrays.values():
            array.flush()


def train(folder: Path) -> None:
    """Train, and print the largest anonymous memory (MB) and the rate."""
    from omniflow.training import runtime

    runtime.configure(1)
    from omniflow.config.training import Classifier, Training
    from omniflow.events.batches import Part, Source
    from omniflow.events.features import Features
    from omniflow.models import registry
    from omniflow.training.native import Native
    from omniflow.training.prefetch import prefetch
    from omniflow.training.trainer import Trainer

    found = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    features = Features(*(found[n] for n in ("particles", "neighbours", "offsets", "event")))
    select = np.broadcast_to(np.True_, len(features))
    source = Source(features, found["event_id"], select, (found["weight"],), (found["weight"],))
    settings = Classifier()
    model = registry.build(settings, COLUMNS, EVENT)
    trainer = Trainer(model, Training(), Native(model, settings, features, 1))
    learner = trainer.learner()
    initial = registry.initial_weights(model, np.random.SeedSequence(1))
    learner.start(registry.flatten(initial))
    peak = Peak()
    part, held_out = (Part(source, 1, 0.2, validation) for validation in (False, True))
    _ = part.totals(), held_out.totals()
    order = part.shuffled(np.random.default_rng(1), 256)
    batches = (trainer.engine.prepare([([source], [index])]) for index in order)
    begin = time.perf_counter()
    for step, batch in enumerate(prefetch(batches), start=1):
        (loss,), (gradient,) = trainer.engine.gradient([learner.parameters], batch)
        learner.update(gradient, loss, 1e-5, 0.99)
        if step == UPDATES:
            break
    rate = UPDATES / (time.perf_counter() - begin)
    for index, _ in zip(held_out.ordered(4096), range(5), strict=False):
        list(trainer.engine.outputs([learner.average], source, index))
    print(f"{peak.stop():,.0f} | {rate:.1f}")


class Peak:
    """Largest anonymous resident memory, looked at every 10 ms."""

    def __init__(self) -> None:
        self.value, self.ended = 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self) -> None:
        while not self.ended.wait(0.01):
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
                if line.startswith("RssAnon:"):
                    self.value = max(self.value, int(line.split()[1]) / 1e3)

    def stop(self) -> float:
        """Return the peak in MB."""
        self.ended.set()
        self.thread.join()
        return self.value


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(Path(sys.argv[2]))
    else:
        main([int(size) for size in sys.argv[1:]] or [100_000, 10_000_000])
