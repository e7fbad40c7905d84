"""Checks and training speed of the TensorFlow engine on a GPU; `gpu.sh` runs it.

    python benchmarks/gpu.py [--networks 1 5 20] [--xla no yes] [--precision P ...] [--seconds S]
                             [--particles N] [--width W] [--blocks B] [--class-blocks C] [--batch N]

First whether a GPU is seen, whether trainings on it repeat themselves, and how far its outputs and
gradients are from those of the CPU. Then events per second for each number of networks, trained
one after the other and together (`execution.stack`), with and without XLA, in float32 and in
mixed precision. Everything is printed as Markdown. Without a GPU the same runs on the CPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import studies

from omniflow.events import store
from omniflow.events.batches import Source
from omniflow.events.features import open_features
from omniflow.models.architecture import Architecture
from omniflow.models.classifiers import architecture
from omniflow.training import runtime
from omniflow.training.graph import Graph
from omniflow.training.trainer import Trainer
from omniflow.unfolding.plan import Plan

PRECISIONS = ("float32", "mixed_bfloat16")
# Updates before the clock starts: XLA compiles for each multiplicity that it meets.
WARM = 8


class Bench:
    """Events in memory and a network of given sizes, trained in each way that is asked for."""

    def __init__(self, plan: Plan) -> None:
        """Open the events of a study of `studies.make`."""
        self.settings = plan.config
        events = store.open_store(plan.store("data"))
        self.features = open_features(plan.features("data", "detector"))
        select, weight = np.ones(len(events), bool), (events.weight,)
        # Every event stands in both classes, as in step 2.
        self.source = Source(self.features, events.event_id, select, weight, weight)
        self.batch = self.settings.training.batch_size
        self._graphs: dict[tuple, Graph] = {}

    def classifier(self, precision: str = "float32") -> Architecture:
        """Return the network of the study."""
        sizes = self.features.particles.shape[1], self.features.event.shape[1]
        return architecture(self.settings.classifier, *sizes, precision)

    def graph(
        self,
        stack: int = 1,
        xla: bool = False,
        precision: str = "float32",
        place: str | None = None,
    ) -> Graph:
        """Return the engine for so many networks at a time, made once.

        `place` is the device that the caller asks TensorFlow for, if any.
        """
        key = stack, xla, precision, place
        if key not in self._graphs:
            model = self.classifier(precision).keras()
            parts = self.settings.training.micro_batches
            self._graphs[key] = Graph(model, self.features, parts, stack, xla=xla)
        return self._graphs[key]

    def initial(self, seed: int) -> np.ndarray:
        """Return parameters (d,) to start from."""
        return self.classifier().layout.initial(np.random.SeedSequence(seed))

    def updates(self, engine: Graph, networks: int) -> Callable[[], list[np.ndarray]]:
        """Return a function that updates every network once and returns their parameters."""
        trainer = Trainer(self.classifier().layout, self.settings.training, engine)
        learners = [trainer.learner(index) for index in range(networks)]
        for index, learner in enumerate(learners):
            learner.start(self.initial(index))
        rng = np.random.default_rng(1)
        chosen = [rng.choice(len(self.source.event_id), self.batch) for _ in learners]

        def update() -> list[np.ndarray]:
            for first in range(0, networks, engine.stack):
                rows = slice(first, first + engine.stack)
                vectors = [learner.parameters for learner in learners[rows]]
                batches = [([self.source], [index[np.newaxis]]) for index in chosen[rows]]
                (prepared,) = engine.prepare(batches)
                losses, gradients = engine.gradient(vectors, prepared)
                for learner, loss, gradient in zip(learners[rows], losses, gradients, strict=True):
                    learner.update(gradient, loss, 1e-4, 0.99)
            for index, events in enumerate(chosen):
                chosen[index] = rng.permutation(len(self.source.event_id))[: len(events)]
            return [learner.parameters.copy() for learner in learners]

        return update

    def rate(self, networks: int, stack: int, xla: bool, precision: str, seconds: float) -> str:
        """Return events per second of all networks together: median, lowest, highest of five."""
        import tensorflow as tf

        try:
            update = self.updates(self.graph(stack, xla, precision), networks)
            for _ in range(WARM):
                update()
            rates = []
            for _ in range(5):
                begin, done = time.perf_counter(), 0
                while time.perf_counter() - begin < seconds / 5:
                    update()
                    done += networks * self.batch
                rates.append(done / (time.perf_counter() - begin))
        except tf.errors.ResourceExhaustedError:
            return "does not fit into memory"
        return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"

    def checks(self) -> dict[str, str]:
        """Return what is compared, and what came out."""
        import tensorflow as tf

        twice, engine = [], self.graph()
        for _ in range(2):
            update = self.updates(engine, 1)
            twice.append([update() for _ in range(5)][-1][0])
        found = {"two trainings agree bit by bit": "yes" if np.equal(*twice).all() else "NO"}
        gpus = {gpu.name: "/GPU:0" for gpu in _gpus()}
        # Without a GPU there is nothing to choose from.
        places: dict[str, str | None] = {"CPU": "/CPU:0" if gpus else None}
        places |= gpus
        parameters = self.initial(1)
        index = np.arange(self.batch)
        gradients, outputs = {}, {}
        for precision, (name, place) in product(PRECISIONS, places.items()):
            with tf.device(place):
                engine = self.graph(precision=precision, place=place)
                (prepared,) = engine.prepare([([self.source], [index[np.newaxis]])])
                _, (gradient,) = engine.gradient([parameters], prepared)
                gradients[precision, name] = np.asarray(gradient, np.float64)
                values = np.empty(len(index))
                for events, parts in engine.outputs([parameters], self.source, index):
                    values[events] = parts[0]
                outputs[precision, name] = values
        first = next(iter(gradients))
        for key in list(gradients)[1:]:
            distance = np.abs(outputs[key] - outputs[first]).max()
            relative = np.linalg.norm(gradients[key] - gradients[first])
            relative /= np.linalg.norm(gradients[first])
            found[f"{' on '.join(key)} against {' on '.join(first)}"] = (
                f"outputs differ by at most {distance:.1e}, the gradient by {relative:.1e} of it"
            )
        return found


def main() -> None:
    """Make events, check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", type=int, default=[1, 5, 20])
    parser.add_argument("--xla", nargs="+", choices=("no", "yes"), default=["no", "yes"])
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="of the rows"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="per row")
    parser.add_argument("--particles", type=int, default=20, help="per event")
    parser.add_argument("--width", type=int, default=64, help="of the PET")
    parser.add_argument("--blocks", type=int, default=4, help="of the PET")
    parser.add_argument("--class-blocks", type=int, default=2, help="of the PET")
    parser.add_argument("--batch", type=int, default=256, help="events per update of a network")
    options = parser.parse_args()
    runtime.configure(os.cpu_count() or 1, 0, "it is what is measured")
    with tempfile.TemporaryDirectory() as folder:
        plan = studies.make(
            Path(folder),
            classifier={
                "kind": "pet",
                "width": options.width,
                "blocks": options.blocks,
                "class_blocks": options.class_blocks,
            },
            training={"batch_size": options.batch, "micro_batches": 4},
        )
        events = studies.synthetic(20_000, options.particles, 1)
        studies.write(plan, {"data": events, "simulation": events}, ("detector",))
        bench = Bench(plan)
        print(
            f"{runtime.device()}; {options.particles} particles per event, width {options.width},"
        )
        print(f"batches of {options.batch}.\n\n| check | |\n|---|---|")
        found = bench.checks()
        for what, result in found.items():
            print(f"| {what} | {result} |", flush=True)
        print("\n| networks | at a time | XLA | precision | events/s of all networks |")
        print("|---|---|---|---|---|")
        for networks in options.networks:
            stacks = sorted({1, networks})
            for stack, xla, precision in product(stacks, options.xla, options.precision):
                rate = bench.rate(networks, stack, xla == "yes", precision, options.seconds)
                print(f"| {networks} | {stack} | {xla} | {precision} | {rate} |", flush=True)
    if "NO" in found.values():
        sys.exit("Trainings on this device do not repeat themselves: see the checks.")


def _gpus() -> list:
    import tensorflow as tf

    return tf.config.list_physical_devices("GPU")


if __name__ == "__main__":
    main()
