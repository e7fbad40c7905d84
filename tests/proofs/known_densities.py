"""A classifier trained on samples of known densities, without any study around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from omniflow import Events
from omniflow.config.training import Classifier, Training
from omniflow.events.batches import Source
from omniflow.features.build import build, fit_scaling
from omniflow.features.presets import columns

TRAINING = Training(
    optimizer="adam",
    learning_rate=3e-3,
    beta_1=0.9,
    beta_2=0.999,
    warmup_epochs=0.2,
    batch_size=1000,
    micro_batches=2,
    epochs=3,
)

# Values, their weights (each, or one for all), whether they are in the numerator.
Part = tuple[np.ndarray, np.ndarray | float, bool]


def learned(
    seed: int,
    parts: Sequence[Part],
    precision: str = "float32",
    epochs: int = TRAINING.epochs,
) -> np.ndarray:
    """Return the logits (n,) of one network for the values of all parts, one after the other.

    Precisions other than float32 are TensorFlow's.
    """
    from omniflow.models.classifiers import architecture
    from omniflow.training.graph import Graph
    from omniflow.training.native import Native
    from omniflow.training.progress import Seeds, Task
    from omniflow.training.trainer import Trainer

    x = np.concatenate([values for values, _, _ in parts])
    part = np.repeat(np.arange(len(parts)), [len(values) for values, _, _ in parts])
    weight = np.concatenate([np.broadcast_to(w, len(v)).astype(float) for v, w, _ in parts])
    in_numerator = np.array([numerator for _, _, numerator in parts])
    level = Events.from_arrays({"value": x}).detector
    wanted = columns(level.event_columns, level.particle_columns)
    scaling = fit_scaling(level, ~in_numerator[part], wanted)
    features = build(level, scaling, wanted, 1)
    ids = np.arange(len(x), dtype=np.uint64)
    sources = tuple(
        Source(features, ids, part == i, *((weight,), ())[:: 1 if numerator else -1])
        for i, numerator in enumerate(in_numerator)
    )
    classifier = Classifier(kind="mlp", width=32, blocks=2, features="columns")
    network = architecture(classifier, 0, 1, precision)
    settings, layout = TRAINING.model_copy(update={"epochs": epochs}), network.layout
    if precision == "float32":
        engine = Native(layout, classifier, features, 1)
    else:
        engine = Graph(network.keras(), features, settings.micro_batches)
    trainer = Trainer(layout, settings, engine)
    initial = layout.initial(np.random.SeedSequence(seed))
    seeds = Seeds(seed, np.random.SeedSequence(seed + 1))
    (fit,) = trainer.fit([Task("ratio", sources, initial, seeds)])
    everything = replace(sources[0], select=np.ones(len(x), bool))
    logits = [found[0] for _, found in trainer.predict([fit.parameters], everything)]
    return np.concatenate(logits).astype(float)
