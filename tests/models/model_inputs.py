"""Hand-made inputs of networks, and plain NumPy implementations to compare with."""

from __future__ import annotations

import keras
import numpy as np
import slow_pet
from slow_pet import dense, gelu, nearest

from omniflow.config.training import Classifier
from omniflow.models import registry
from omniflow.models.keras_model import KerasModel

PARTICLE, EVENT, NEIGHBOURS = 4, 3, 3
COUNTS = (0, 1, 2, 3, 5, 9)


def small(kind: str, **changes: object) -> Classifier:
    # LayerScale of 1 instead of 1e-3, so that a leak in the transformer blocks would show.
    settings = {"width": 8, "heads": 2, "blocks": 2, "class_blocks": 2, "layer_scale": 1.0}
    return Classifier(kind=kind, **(settings | {"neighbours": NEIGHBOURS} | changes))


def randomised(settings: Classifier, seed: int = 0, precision: str | None = None) -> keras.Model:
    """A network whose biases, norms and scales differ from their neutral initial values."""
    model = registry.build(settings, PARTICLE, EVENT, precision)
    rng = np.random.default_rng(seed)
    layout = KerasModel(model).layout
    weights = layout.split(layout.initial(np.random.SeedSequence(seed)))
    model.set_weights([w + rng.normal(0, 0.3, w.shape) for w in weights])
    return model


def some_events(counts=COUNTS, seed: int = 1) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    events = []
    for count in counts:
        particles = rng.normal(size=(count, PARTICLE))
        events.append(
            {
                "particles": particles,
                "neighbours": nearest(particles[:, :2], NEIGHBOURS),
                "event": rng.normal(size=EVENT),
            }
        )
    return events


def permuted(event: dict[str, np.ndarray], order: np.ndarray) -> dict[str, np.ndarray]:
    place = np.argsort(order)
    old = event["neighbours"][order]
    return event | {
        "particles": event["particles"][order],
        "neighbours": np.where(old >= 0, place[old], -1) if len(order) else old,
    }


def padded(
    events: list[dict[str, np.ndarray]], length: int, garbage: np.random.Generator | None = None
) -> dict[str, np.ndarray]:
    """The input of a network; padding holds zeros and -1, or random numbers and indices."""
    shape = (len(events), length)
    if garbage is None:
        particles = np.zeros((*shape, PARTICLE))
        neighbours = np.full((*shape, NEIGHBOURS), -1)
    else:
        particles = garbage.normal(0, 30, (*shape, PARTICLE))
        neighbours = garbage.integers(-1, length, (*shape, NEIGHBOURS))
    mask = np.zeros(shape)
    for i, event in enumerate(events):
        count = len(event["particles"])
        particles[i, :count] = event["particles"]
        neighbours[i, :count] = event["neighbours"]
        mask[i, :count] = 1
    event_features = np.stack([event["event"] for event in events])
    return {
        "particles": particles,
        "mask": mask,
        "neighbours": neighbours.astype(np.int32),
        "event": event_features,
    }


def logits(model: keras.Model, inputs: dict[str, np.ndarray]) -> np.ndarray:
    kind = model.dtype_policy.compute_dtype
    return model({k: v if k == "neighbours" else v.astype(kind) for k, v in inputs.items()}).numpy()


# -- plain NumPy, one event at a time -----------------------------------------------------------


def pet(model, event):
    # The settings of `small`, as far as the layers do not tell.
    sizes = small("pet", blocks=len(model.transformer), class_blocks=len(model.class_blocks))
    return slow_pet.logit(slow_pet.weights(model), sizes, event)


def deepsets(model, event):
    w, x = slow_pet.weights(model), event["particles"]
    for layer in model.per_particle:
        x = gelu(dense(w, layer.name, x))
    mean = x.mean(axis=0) if len(x) else np.zeros(model.width)
    return mlp(model, {"event": np.concatenate([mean, [len(x) / 10], event["event"]])})


def mlp(model, event):
    w, x = slow_pet.weights(model), event["event"]
    for layer in model.per_event:
        x = gelu(dense(w, layer.name, x))
    return dense(w, "head", x)[0]


REFERENCES = {"pet": pet, "deepsets": deepsets, "mlp": mlp}
