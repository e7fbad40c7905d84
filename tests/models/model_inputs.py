"""Hand-made inputs of networks, and plain NumPy implementations to compare with."""

from __future__ import annotations

import keras
import numpy as np

from omniflow.config.schema import Classifier
from omniflow.models import registry

PARTICLE, EVENT, NEIGHBOURS = 4, 3, 3
COUNTS = (0, 1, 2, 3, 5, 9)


def small(kind: str, **changes: object) -> Classifier:
    # LayerScale of 1 instead of 1e-3, so that a leak in the transformer blocks would show.
    settings = {"width": 8, "heads": 2, "blocks": 2, "class_blocks": 2, "layer_scale": 1.0}
    return Classifier(kind=kind, neighbours=NEIGHBOURS, **(settings | changes))


def randomised(settings: Classifier, seed: int = 0) -> keras.Model:
    """A network whose biases, norms and scales differ from their neutral initial values."""
    model = registry.build(settings, PARTICLE, EVENT)
    rng = np.random.default_rng(seed)
    weights = registry.initial_weights(model, np.random.SeedSequence(seed))
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
                "neighbours": brute_neighbours(particles[:, :2], NEIGHBOURS),
                "event": rng.normal(size=EVENT),
            }
        )
    return events


def brute_neighbours(points: np.ndarray, k: int) -> np.ndarray:
    result = np.full((len(points), k), -1)
    for i, point in enumerate(points):
        others = [j for j in range(len(points)) if j != i]
        others.sort(key=lambda j: ((points[j] - point) ** 2).sum())
        result[i, : len(others)] = others[:k]
    return result


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


def dense(layer, x):
    bias = 0 if layer.bias is None else np.array(layer.bias)
    return x @ np.array(layer.kernel) + bias


def leaky(x):
    return np.where(x > 0, x, np.float32(0.01) * x)  # TensorFlow keeps the slope in float32


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def norm(layer, x):
    mean = x.mean(axis=-1, keepdims=True)
    scaled = (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6)
    return scaled * np.array(layer.gamma) + np.array(layer.beta)


def hidden(layer, x, activation):
    return dense(layer.second, activation(dense(layer.first, x)))


def edge_convolution(layer, x, neighbours):
    """Both dense layers on [x_j - x_i, x_i] for every edge, then the mean over edges."""
    result = np.zeros((len(x), layer.width))
    for i, row in enumerate(neighbours):
        outputs = []
        for j in row[row >= 0]:
            edge = np.concatenate([x[j] - x[i], x[i]])
            first = leaky(edge @ np.array(layer.kernel) + np.array(layer.bias))
            outputs.append(dense(layer.dense, first))
        if outputs:
            result[i] = np.mean(outputs, axis=0)
    return result


def attention(layer, queries, keys):
    """Multi-head attention of the rows `queries` (Q, D) to the rows `keys` (N, D), all real."""
    q, k, v = dense(layer.query, queries), dense(layer.key, keys), dense(layer.value, keys)
    depth = layer.width // layer.heads
    mixed = np.zeros_like(q)
    for head in range(layer.heads):
        part = slice(head * depth, (head + 1) * depth)
        for i in range(len(q)):
            score = k[:, part] @ q[i, part] / np.sqrt(depth)
            share = np.exp(score - score.max())
            mixed[i, part] = (share / share.sum()) @ v[:, part]
    return dense(layer.output_dense, mixed)


def pet(model, event):
    """The logit of one event, after method and sizes of arXiv:2503.20753 section 2."""
    x = event["particles"]
    local = edge_convolution(model.local_1, x, event["neighbours"])
    second = edge_convolution(model.local_2, local, brute_neighbours(local, NEIGHBOURS))
    x = hidden(model.embedding, x, leaky) + local + second
    scale, shift = np.split(dense(model.condition, event["event"]), 2)
    x = skip = x * (1 + scale) + shift
    for block in model.transformer:
        if len(x):
            y = norm(block.norm_1, x)
            x = x + attention(block.attention, y, y) * np.array(block.scale_1.scale)
            y = hidden(block.hidden, norm(block.norm_2, x), gelu)
            x = x + y * np.array(block.scale_2.scale)
    x = x + skip
    token = np.array(model.token.token)
    for block in model.class_blocks:
        rows = norm(block.norm_1, np.concatenate([token, x]))
        token = token + attention(block.attention, rows[:1], rows)
        token = token + hidden(block.hidden, norm(block.norm_2, token), gelu)
    return dense(model.head, norm(model.norm, token))[0, 0]


def deepsets(model, event):
    x = event["particles"]
    for layer in model.per_particle:
        x = gelu(dense(layer, x))
    mean = x.mean(axis=0) if len(x) else np.zeros(model.width)
    return mlp(model, {"event": np.concatenate([mean, [len(x) / 10], event["event"]])})


def mlp(model, event):
    x = event["event"]
    for layer in model.per_event:
        x = gelu(dense(layer, x))
    return dense(model.head, x)[0]


REFERENCES = {"pet": pet, "deepsets": deepsets, "mlp": mlp}
