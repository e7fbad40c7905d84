"""Small trainers, and the MLP and its loss in plain NumPy."""

from __future__ import annotations

import functools
from dataclasses import replace

import keras
import numpy as np
from training_inputs import classifier, settings, two_classes

from omniflow.errors import TrainingError
from omniflow.events.batches import Source
from omniflow.events.split import held_out
from omniflow.models import registry
from omniflow.models.keras_model import KerasModel
from omniflow.models.layout import Layout
from omniflow.training.checkpoint import Checkpoint
from omniflow.training.graph import Graph
from omniflow.training.losses import LOSSES
from omniflow.training.native import Native
from omniflow.training.progress import Fit, Seeds, Task
from omniflow.training.trainer import Trainer

SPLIT = 17


def seeds(split: int = SPLIT, order: int = 3, resample: int | None = None) -> Seeds:
    return Seeds(split, np.random.SeedSequence(order), resample)


@functools.cache
def _graph(_, kind: str, loss: str, parts: int, stack: int, xla: bool) -> Graph:
    model = registry.build(classifier(kind), 3, 2, output=LOSSES[loss].neutral)
    return Graph(model, two_classes(2)[0].features, parts, stack, xla, loss)


@functools.cache
def _native(_, kind: str, loss: str) -> Native:
    model = registry.build(classifier(kind), 3, 2, output=LOSSES[loss].neutral)
    features = two_classes(2)[0].features
    engine = Native(KerasModel(model).layout, classifier(kind), features, 1, loss)
    engine.model = model
    return engine


def make_trainer(
    kind: str = "mlp", stack: int = 1, xla: bool = False, **changes: object
) -> Trainer:
    """A new trainer; its engine, which holds no state, is the one of all that are alike."""
    chosen = settings(**changes)
    sizes = chosen.loss, chosen.micro_batches, stack, xla
    engine = _graph(keras.config.floatx(), kind, *sizes)
    return Trainer(KerasModel(engine.model).layout, chosen, engine)


def native_trainer(kind: str = "mlp", **changes: object) -> Trainer:
    """The same with the native engine, of one thread."""
    chosen = settings(**changes)
    engine = _native(keras.config.floatx(), kind, chosen.loss)
    return Trainer(KerasModel(engine.model).layout, chosen, engine)


def layout(trainer: Trainer) -> Layout:
    return KerasModel(trainer.engine.model).layout


def initial_weights(trainer: Trainer, seed: int = 1) -> np.ndarray:
    """Return parameters (d,)."""
    return layout(trainer).initial(np.random.SeedSequence(seed))


def weights_of(trainer: Trainer, parameters: np.ndarray) -> list[np.ndarray]:
    return layout(trainer).split(np.array(parameters))


def fit_one(
    trainer: Trainer,
    sources: tuple[Source, ...],
    initial: np.ndarray,
    name: str = "network",
    rate_factor: float = 1.0,
    checkpoint: Checkpoint | None = None,
    shrink: bool = False,
    **numbers: int,
) -> Fit:
    """Train one network; its error is raised."""
    task = Task(name, sources, initial, seeds(**numbers), rate_factor, checkpoint, shrink=shrink)
    (outcome,) = trainer.fit([task])
    if isinstance(outcome, TrainingError):
        raise outcome
    return outcome


def train(trainer: Trainer, sources: tuple[Source, ...], initial: int = 1, **numbers: int) -> Fit:
    return fit_one(trainer, sources, initial_weights(trainer, initial), **numbers)


def predict(trainer: Trainer, parameters: np.ndarray, source: Source) -> np.ndarray:
    """Return the logits (n,) of one network."""
    return np.concatenate([found[0] for _, found in trainer.predict([parameters], source)])


def changed(source: Source, **changes: object) -> Source:
    return replace(source, **changes)


def mlp(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The logit of the MLP (2 inputs, 8 hidden) for its parameters as one vector, in float64."""
    kernel, bias, head, offset = np.split(np.asarray(parameters, float), [16, 24, 32])
    kernel, head = kernel.reshape(2, 8), head.reshape(8, 1)
    x = x @ kernel + bias
    x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return (x @ head + offset)[:, 0]


def held_out_loss(
    parameters: np.ndarray, sources: tuple[Source, ...], fraction: float = 0.2
) -> float:
    """Mean over both classes of the weighted cross entropy, in plain NumPy."""
    total, norm = np.zeros(2), np.zeros(2)
    for source in sources:
        index = np.flatnonzero(held_out(source.event_id, SPLIT, fraction) & source.select)
        z = mlp(parameters, source.features.event[index].astype(float))
        a, b = source.weights(index)
        total += [a @ np.log1p(np.exp(-z)), b @ np.log1p(np.exp(z))]
        norm += [a.sum(), b.sum()]
    return float((total / norm).mean())
