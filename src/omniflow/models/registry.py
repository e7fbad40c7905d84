"""The one place that knows every kind of classifier, builds it and draws its initial weights."""

from __future__ import annotations

import math

import keras
import numpy as np

from omniflow.config.training import Classifier
from omniflow.models.pet import PET
from omniflow.models.sets import MLP, DeepSets

KINDS: dict[str, type[keras.Model]] = {"pet": PET, "deepsets": DeepSets, "mlp": MLP}


def build(
    settings: Classifier,
    particle_features: int,
    event_features: int,
    precision: str | None = None,
    output: float = 0.0,
) -> keras.Model:
    """Return the configured classifier with all parameters created.

    Every kind maps a dict of particles (B, N, F), mask (B, N), neighbours (B, N, K) and event
    (B, E) to outputs (B,), and has a last layer `head`.

    Args:
        settings: kind and sizes.
        particle_features: F.
        event_features: E.
        precision: Keras' name of a dtype policy, such as `mixed_bfloat16`; None: the current one.
        output: what networks start around, the head's bias.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision or before)
    try:
        model = KINDS[settings.kind](settings)
        model.build_for(particle_features, event_features)
        model.head.bias.assign([output])
    finally:
        keras.config.set_dtype_policy(before)
    # Kept apart, because a model that trained a network before no longer has them.
    model.constants = tuple(model.get_weights())
    return model


def initial_weights(model: keras.Model, seed: np.random.SeedSequence) -> list[np.ndarray]:
    """Return freshly drawn weights for `model`, in the order of `model.get_weights()`.

    Matrices are Glorot-uniform (Glorot and Bengio 2010), drawn by NumPy so that they depend on the
    seed alone; all others (biases, norms, LayerScale) keep the constants they are built with.
    """
    rng = np.random.default_rng(seed)
    weights = []
    for constant in model.constants:
        if constant.ndim == 2:
            bound = np.sqrt(6 / sum(constant.shape))
            weights.append(rng.uniform(-bound, bound, constant.shape).astype(constant.dtype))
        else:
            weights.append(constant.copy())
    return weights


def initial_variance(model: keras.Model) -> float:
    """Return the sum of the variances of all weights that `initial_weights` draws."""
    shapes = [constant.shape for constant in model.constants if constant.ndim == 2]
    return float(sum(2 * math.prod(shape) / sum(shape) for shape in shapes))


def with_neutral_head(model: keras.Model, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return `weights` with a layer `head` that gives every event the ratio 1.

    Its kernel is 0 and its bias the one the model is built with, the output of a ratio of 1.
    """
    head = {id(variable) for variable in model.head.weights}
    return [
        old
        if id(variable) not in head
        else np.zeros_like(old)
        if old.ndim == 2
        else constant.copy()
        for variable, old, constant in zip(model.weights, weights, model.constants, strict=True)
    ]


def backbone_size(model: keras.Model) -> int:
    """Return how many parameters come before those of the layer `head` in the flat vector."""
    count = len(model.head.weights)
    if [id(v) for v in model.weights[-count:]] != [id(v) for v in model.head.weights]:
        raise AssertionError(f"the head of {model.name} is not its last layer")
    return sum(math.prod(variable.shape) for variable in model.weights[:-count])


def flatten(weights: list[np.ndarray]) -> np.ndarray:
    """Return all weights as one vector (d,)."""
    return np.concatenate([np.ravel(array) for array in weights])


def unflatten(model: keras.Model, parameters: np.ndarray) -> list[np.ndarray]:
    """Return a vector (d,) as weights in the order of `model.get_weights()`."""
    shapes = [variable.shape for variable in model.weights]
    pieces = np.split(parameters, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    return [piece.reshape(shape).copy() for piece, shape in zip(pieces, shapes, strict=True)]
