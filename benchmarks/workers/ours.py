"""omniflow's trainer, batch by batch: reading, gradient and update, with the engine asked for."""

import sys

import numpy as np
from protocol import serve


def main(folder: str, kind: str, threads: str) -> None:
    """Serve `train` (step 1's and step 2's common cost per event) and `infer`."""
    from omniflow.training import runtime

    runtime.configure(int(threads))
    import tensorflow as tf

    from omniflow import config
    from omniflow.events import store
    from omniflow.events.batches import Part, Source
    from omniflow.events.features import open_features
    from omniflow.models import registry
    from omniflow.training.engines import engine
    from omniflow.training.prefetch import prefetch
    from omniflow.training.trainer import Trainer
    from omniflow.unfolding.plan import Plan

    settings = config.load(f"{folder}/config.yaml")
    execution = settings.execution.model_copy(update={"engine": kind, "threads": int(threads)})
    settings = settings.model_copy(update={"execution": execution})
    plan = Plan(settings)
    features = open_features(plan.features("simulation", "particle"))
    events = store.open_store(plan.store("simulation"))
    yes = np.ones(len(events), bool)
    source = Source(features, events.event_id, yes, (events.weight,), (events.weight,))
    model = registry.build(
        settings.classifier, features.particles.shape[1], features.event.shape[1]
    )
    initial = registry.initial_weights(model, np.random.SeedSequence(1))
    trainer = Trainer(model, settings.training, engine(settings, model, features))
    size, per_call = settings.training.batch_size, 8
    part = Part(source, 1, 1e-9, False)
    trainer.start(initial)

    def batches():
        for index in part.shuffled(np.random.default_rng(1), size):
            yield trainer.engine.prepare([source], [index])

    stream = prefetch(batches())
    logits = np.empty(len(events), np.float32)

    def train() -> int:
        for _ in range(per_call):
            _, gradient = trainer.engine.gradient(next(stream))
            trainer.update(gradient, 1e-5, 0.99)
        return per_call * size

    def infer() -> int:
        trainer.predict(initial, source, logits)
        return len(events)

    rng = np.random.default_rng(1)
    square, rows, kernel = (
        tf.constant(rng.normal(size=shape), tf.float32)
        for shape in ((4096, 4096), (4608, 64), (64, 128))
    )

    def matrix() -> int:
        """One product of 4096^3: 2 * 4096^3 operations."""
        tf.matmul(square, square).numpy()
        return 2 * 4096**3

    def shape() -> int:
        """Products at the network's shape; the result stays where it is."""
        for _ in range(20):
            product = tf.matmul(rows, kernel)
        product[0, 0].numpy()
        return 20 * 2 * 4608 * 64 * 128

    serve(train=train, infer=infer, matrix=matrix, shape=shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
