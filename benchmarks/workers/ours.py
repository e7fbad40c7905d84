"""omniflow's trainer, batch by batch: reading, gradient and update, with the engine asked for."""

import functools
import sys
import time

import numpy as np
from protocol import serve


def main(folder: str, kind: str, threads: str) -> None:
    """Serve `train`, `infer` and `forward` on the events of step 2, and `epoch`."""
    from omniflow import config
    from omniflow.events import store
    from omniflow.events.batches import Source
    from omniflow.events.features import open_features
    from omniflow.events.split import Part, Shuffled
    from omniflow.models.classifiers import architecture
    from omniflow.training.engines import engine
    from omniflow.training.prefetch import prefetch
    from omniflow.training.progress import Seeds, Task
    from omniflow.training.trainer import Trainer
    from omniflow.unfolding.plan import Plan

    settings = config.load(f"{folder}/config.yaml")
    kind, _, compiled = kind.partition("-")  # tensorflow-xla
    execution = settings.execution.model_copy(update={"engine": kind, "threads": int(threads)})
    settings = settings.model_copy(update={"execution": execution})
    plan = Plan(settings)
    data, simulation = (store.open_store(plan.store(role)) for role in ("data", "simulation"))
    measured, detector, particle = (
        open_features(plan.features(role, level))
        for role, level in (
            ("data", "detector"),
            ("simulation", "detector"),
            ("simulation", "particle"),
        )
    )
    classifier = architecture(
        settings.classifier, particle.particles.shape[1], particle.event.shape[1]
    )
    initial = classifier.layout.initial(np.random.SeedSequence(1))
    runner = engine(settings, classifier, particle)
    if compiled:
        from omniflow.training.graph import Graph

        runner = Graph(classifier.keras(), particle, settings.training.micro_batches, xla=True)
    trainer = Trainer(classifier.layout, settings.training, runner)
    size, per_call, inferred = settings.training.batch_size, 8, 4096
    weight = (simulation.weight,)

    def chosen(select: np.ndarray, fraction: float) -> np.ndarray:
        return select & (np.arange(len(select)) < fraction * len(select))

    def step_2(fraction: float) -> Source:
        select = chosen(np.ones(len(simulation), bool), fraction)
        return Source(particle, simulation.event_id, select, weight, weight)

    def step_1(fraction: float) -> tuple[Source, Source]:
        select = chosen(data.pass_detector, fraction), chosen(simulation.pass_detector, fraction)
        return (
            Source(measured, data.event_id, select[0], (data.weight,), ()),
            Source(detector, simulation.event_id, select[1], (), weight),
        )

    source, few = step_2(1.0), step_2(inferred / len(simulation))
    part = Part.of(source, 1, 1e-9, False)
    learner = trainer.learner()
    learner.start(initial)

    def batches():
        order = Shuffled(part, np.random.default_rng(1))
        while True:
            yield from trainer.engine.prepare([([source], [order.take(size)[np.newaxis]])])

    stream = prefetch(batches())

    def train() -> int:
        for _ in range(per_call):
            (loss,), (gradient,) = trainer.engine.gradient([learner.parameters], next(stream))
            learner.update(gradient, loss, 1e-5, 0.99)
        return per_call * size

    def infer() -> int:
        for _ in trainer.predict([initial], few):
            pass
        return inferred

    order = Shuffled(part, np.random.default_rng(2))

    def forward() -> int:
        """The forward pass of training, on its batches."""
        for _ in range(per_call):
            for _ in trainer.engine.outputs([initial], source, order.take(size)):
                pass
        return per_call * size

    def epoch(fraction: float) -> tuple[int, float]:
        """Both steps: an epoch with its held-out events, and the logits that reweight."""
        events, seconds = 0, 0.0
        for sources in (step_1(fraction), (step_2(fraction),)):
            seeds = Seeds(1, np.random.SeedSequence(1))
            (fit,) = trainer.fit([Task("epoch", sources, initial, seeds)])
            events += sum(np.count_nonzero(source.select) for source in sources)
            begin = time.perf_counter()
            for _ in trainer.predict([fit.parameters], sources[-1]):
                pass
            # Without the held-out loss before training, which is no part of an epoch.
            seconds += fit.history[1]["seconds"] + time.perf_counter() - begin
        return events, seconds

    @functools.cache
    def tensors() -> tuple:
        """TensorFlow and its matrices, which the native engine starts without."""
        from omniflow.training import runtime

        runtime.configure(int(threads))
        import tensorflow as tf

        rng, shapes = np.random.default_rng(1), ((4096, 4096), (4608, 64), (64, 128))
        return tf, *(tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes)

    def matrix() -> int:
        """One product of 4096^3: 2 * 4096^3 operations."""
        tf, square, *_ = tensors()
        tf.matmul(square, square).numpy()
        return 2 * 4096**3

    def shape() -> int:
        """Products at the network's shape; the result stays where it is."""
        tf, _, rows, kernel = tensors()
        for _ in range(20):
            product = tf.matmul(rows, kernel)
        product[0, 0].numpy()
        return 20 * 2 * 4608 * 64 * 128

    serve(epoch=epoch, train=train, infer=infer, forward=forward, matrix=matrix, shape=shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
