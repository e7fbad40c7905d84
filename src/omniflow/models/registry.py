"""Keras models of every kind of classifier: built and checked.

What kinds there are is in `omniflow.registry`; a kind is a function of settings, number of particle
features F and number of event features E that returns a Keras model with all of its parameters.
"""

from __future__ import annotations

import keras

from omniflow import registry
from omniflow.config.training import Classifier
from omniflow.errors import ConfigError, OmniflowError
from omniflow.models.classifiers import is_built_in

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
    own = not is_built_in(settings)
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
