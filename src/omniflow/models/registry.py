"""Keras models of every kind of classifier: built, checked, with newly drawn initial weights.

What kinds there are is in `omniflow.registry`; a kind is a function of settings, number of particle
features F and number of event features E that returns a Keras model with all of its parameters.
"""

from __future__ import annotations

import math

import keras
import numpy as np

from omniflow import registry
from omniflow.config.training import Classifier
from omniflow.errors import ConfigError, OmniflowError
from omniflow.models.architecture import Units

# What a model gets, by name.
INPUTS = ("particles", "mask", "neighbours", "event")
_INTERFACE = (
    "it must be a function (settings, particle_features, event_features) that returns a Keras "
    "model, of whose layers the last is keras.layers.Dense(1, name='head')"
)


def build(
    settings: Classifier,
    particle_features: int,
    event_features: int,
    precision: str | None = None,
    output: float = 0.0,
) -> keras.Model:
    """Return the configured classifier with all parameters created.

    Every kind maps a dict of particles (B, N, F), mask (B, N), neighbours (B, N, K) and event
    (B, E) to outputs (B,) or (B, 1), and has a last layer `head`.

    Args:
        settings: kind and sizes.
        particle_features: F.
        event_features: E.
        precision: Keras' name of a dtype policy, such as `mixed_bfloat16`; None: the current one.
        output: what networks start around, the head's bias.

    Raises:
        ConfigError: a classifier of one's own fails, or is not of this form.
    """
    make = registry.find("classifier", settings.kind)
    own = settings.kind not in registry.BUILT_IN["classifier"]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision or before)
    try:
        try:
            model = make(settings, particle_features, event_features)
        except Exception as error:
            if not own or isinstance(error, OmniflowError):
                raise
            raise ConfigError(
                f"classifier.kind: {settings.kind}: fails when it builds a model "
                f"({type(error).__name__}: {error}); it is called with (settings, "
                "particle_features, event_features)"
            ) from error
        if own:
            _require_interface(settings, model)
        head(model).bias.assign([output])
    finally:
        keras.config.set_dtype_policy(before)
    # Kept apart, because a model that trained a network before no longer has them.
    model.constants = tuple(model.get_weights())
    return model


def head(model: keras.Model) -> keras.layers.Layer:
    """Return the last layer, which is called `head`."""
    own = getattr(model, "head", None)
    return own if own is not None else model.get_layer("head")


def inputs_of(model: keras.Model) -> tuple[str, ...]:
    """Return the names of the inputs that a model reads: all, unless it names some of them."""
    try:
        named = model.input  # of a functional model
    except (AttributeError, ValueError):
        return INPUTS
    return tuple(named) if isinstance(named, dict) else INPUTS


def _require_interface(settings: Classifier, model: object) -> None:
    """Refuse a model that cannot be trained as one vector of parameters."""
    where = f"classifier.kind: {settings.kind}"
    if not isinstance(model, keras.Model):
        raise ConfigError(f"{where}: returned {type(model).__name__}; {_INTERFACE}")
    try:
        last = head(model)
        shapes = [tuple(variable.shape) for variable in last.weights]
    except ValueError as error:
        raise ConfigError(f"{where}: has no layer `head`; {_INTERFACE}") from error
    if [len(shape) for shape in shapes] != [2, 1] or shapes[1] != (1,):
        raise ConfigError(f"{where}: its layer `head` has weights {shapes}; {_INTERFACE}")
    activation = getattr(last, "activation", None)
    if activation not in (None, keras.activations.linear):
        raise ConfigError(
            f"{where}: its layer `head` has the activation {activation.__name__}, and what it "
            "returns is the logit: take the activation out"
        )
    if unknown := set(inputs_of(model)) - set(INPUTS):
        raise ConfigError(
            f"{where}: wants inputs {', '.join(sorted(unknown))}; there are {', '.join(INPUTS)}"
        )
    if [id(v) for v in model.weights[-2:]] != [id(v) for v in last.weights]:
        raise ConfigError(f"{where}: its layer `head` is not the last one; {_INTERFACE}")
    if model.non_trainable_weights:
        names = ", ".join(variable.path for variable in model.non_trainable_weights)
        raise ConfigError(
            f"{where}: {names} change without gradients, which is not supported; use layers whose "
            "weights are all trained (LayerNormalization in place of BatchNormalization)"
        )
    if settings.dropout and not hasattr(model, "dropped"):
        raise ConfigError(
            f"{where}: has no list `dropped` of the kernels that classifier.dropout acts on; add "
            "one, or set classifier.dropout to 0"
        )


def initial_weights(model: keras.Model, seed: np.random.SeedSequence) -> list[np.ndarray]:
    """Return freshly drawn weights for `model`, in the order of `model.get_weights()`.

    Matrices, and kernels with more axes, are Glorot-uniform (Glorot and Bengio 2010), drawn by
    NumPy so that they depend on the seed alone; all others (biases, norms, LayerScale) keep the
    constants they are built with.
    """
    rng = np.random.default_rng(seed)
    weights = []
    for constant in model.constants:
        if constant.ndim >= 2:
            bound = np.sqrt(6 / _fans(constant.shape))
            weights.append(rng.uniform(-bound, bound, constant.shape).astype(constant.dtype))
        else:
            weights.append(constant.copy())
    return weights


def initial_variance(model: keras.Model) -> float:
    """Return the sum of the variances of all weights that `initial_weights` draws."""
    shapes = [constant.shape for constant in model.constants if constant.ndim >= 2]
    return float(sum(2 * math.prod(shape) / _fans(shape) for shape in shapes))


def _fans(shape: tuple[int, ...]) -> int:
    """Return inputs plus outputs of a kernel; axes before the last two are those of a window."""
    return math.prod(shape[:-2]) * sum(shape[-2:])


def with_neutral_head(model: keras.Model, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return `weights` with a layer `head` that gives every event the ratio 1.

    Its kernel is 0 and its bias the one the model is built with, the output of a ratio of 1.
    """
    last = {id(variable) for variable in head(model).weights}
    return [
        old
        if id(variable) not in last
        else np.zeros_like(old)
        if old.ndim == 2
        else constant.copy()
        for variable, old, constant in zip(model.weights, weights, model.constants, strict=True)
    ]


def backbone_size(model: keras.Model) -> int:
    """Return how many parameters come before those of the layer `head` in the flat vector."""
    count = len(head(model).weights)
    if [id(v) for v in model.weights[-count:]] != [id(v) for v in head(model).weights]:
        raise AssertionError(f"the head of {model.name} is not its last layer")
    return sum(math.prod(variable.shape) for variable in model.weights[:-count])


def units(model: keras.Model) -> Units:
    """Return the units that dropout acts on: those that the matrices `model.dropped` read."""
    starts, position = {}, 0
    for variable in model.weights:
        starts[id(variable)] = position
        position += math.prod(variable.shape)
    return Units(position, tuple((starts[id(k)], *map(int, k.shape)) for k in model.dropped))


def flatten(weights: list[np.ndarray]) -> np.ndarray:
    """Return all weights as one vector (d,)."""
    return np.concatenate([np.ravel(array) for array in weights])


def unflatten(model: keras.Model, parameters: np.ndarray) -> list[np.ndarray]:
    """Return a vector (d,) as weights in the order of `model.get_weights()`."""
    shapes = [variable.shape for variable in model.weights]
    pieces = np.split(parameters, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    return [piece.reshape(shape).copy() for piece, shape in zip(pieces, shapes, strict=True)]
