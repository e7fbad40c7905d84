"""The point-edge transformer the slow way: loops over events, particles and neighbours, in NumPy.

Nothing is padded, folded or shared. Weights are looked up by the layers' names. All operations
also take complex numbers, so that derivatives come from a complex step, without rounding
(Squire and Trapp, SIAM Review 40, 1998).
"""

from __future__ import annotations

import keras
import numpy as np

from omniflow.config.training import Classifier

Weights = dict[str, np.ndarray]
Event = dict[str, np.ndarray]  # particles (N, F), neighbours (N, K) with -1 for none, event (E,)


def weights(network: keras.Model | keras.layers.Layer, vector: np.ndarray | None = None) -> Weights:
    """The parameters by name: those of the network, or of the flat vector (d,)."""
    variables = network.trainable_variables
    if vector is None:
        vector = np.concatenate([np.ravel(v.numpy()) for v in variables]).astype(float)
    ends = np.cumsum([np.prod(v.shape, dtype=int) for v in variables])
    pieces = np.split(vector, ends[:-1])
    return {v.path: p.reshape(v.shape) for v, p in zip(variables, pieces, strict=True)}


def dense(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0)


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x.real > 0, x, np.float32(0.01) * x)  # TensorFlow keeps the slope in float32


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def norm(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 of one particle's channels x (D,), then scale and shift."""
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + 1e-6) * w[f"{name}/gamma"] + w[f"{name}/beta"]


def hidden(w: Weights, name: str, x: np.ndarray, activation) -> np.ndarray:
    return dense(w, f"{name}/second", activation(dense(w, f"{name}/first", x)))


def nearest(points: np.ndarray, k: int) -> np.ndarray:
    """The k nearest other points of each, (N, k); -1 where there are fewer."""
    result = np.full((len(points), k), -1)
    for i, point in enumerate(points):
        others = [j for j in range(len(points)) if j != i]
        others.sort(key=lambda j: ((points[j] - point) ** 2).sum())
        result[i, : len(others)] = others[:k]
    return result


def edge_convolution(
    w: Weights, name: str, x: list[np.ndarray], neighbours: np.ndarray
) -> list[np.ndarray]:
    """Both dense layers on [x_j - x_i, x_i] for every edge, then the mean over a particle's."""
    result = []
    for own, row in zip(x, neighbours, strict=True):
        edges = []
        for j in row[row >= 0]:
            edge = np.concatenate([x[j] - own, own])
            first = leaky(edge @ w[f"{name}/edge_kernel"] + w[f"{name}/edge_bias"])
            edges.append(dense(w, f"{name}/dense", first))
        result.append(np.mean(edges, axis=0) if edges else 0 * w[f"{name}/dense/bias"])
    return result


def attention(
    w: Weights, name: str, query: np.ndarray, rows: list[np.ndarray], heads: int
) -> np.ndarray:
    """Multi-head attention of one row `query` (D,) to the rows (D,)."""
    q = dense(w, f"{name}/query", query)
    keys = [dense(w, f"{name}/key", row) for row in rows]
    values = [dense(w, f"{name}/value", row) for row in rows]
    mixed = []
    for head in np.split(np.arange(len(q)), heads):
        shares = np.exp([key[head] @ q[head] / np.sqrt(len(head)) for key in keys])
        shares = shares / shares.sum()
        mixed.append(sum(s * value[head] for s, value in zip(shares, values, strict=True)))
    return dense(w, f"{name}/output", np.concatenate(mixed))


def logit(w: Weights, settings: Classifier, event: Event) -> complex:
    """The logit of one event, after arXiv:2503.20753 section 2."""
    raw = list(event["particles"])
    local = edge_convolution(w, "local_1", raw, event["neighbours"])
    near = nearest(np.real(local), settings.neighbours)
    further = edge_convolution(w, "local_2", local, near)
    scale, shift = np.split(dense(w, "condition", event["event"]), 2)
    x = [
        (hidden(w, "embedding", p, leaky) + a + b) * (1 + scale) + shift
        for p, a, b in zip(raw, local, further, strict=True)
    ]
    skip = x
    for block in (f"block_{i}" for i in range(settings.blocks)):
        rows = [norm(w, f"{block}/norm_1", p) for p in x]
        x = [
            p
            + attention(w, f"{block}/attention", row, rows, settings.heads)
            * w[f"{block}/scale_1/scale"]
            for p, row in zip(x, rows, strict=True)
        ]
        x = [
            p
            + hidden(w, f"{block}/hidden", norm(w, f"{block}/norm_2", p), gelu)
            * w[f"{block}/scale_2/scale"]
            for p in x
        ]
    x = [p + q for p, q in zip(x, skip, strict=True)]
    token = w["token/token"][0]
    for block in (f"class_{i}" for i in range(settings.class_blocks)):
        rows = [norm(w, f"{block}/norm_1", row) for row in [token, *x]]
        token = token + attention(w, f"{block}/attention", rows[0], rows, settings.heads)
        token = token + hidden(w, f"{block}/hidden", norm(w, f"{block}/norm_2", token), gelu)
    return dense(w, "head", norm(w, "norm", token))[0]


def loss(z: np.ndarray, a: np.ndarray, b: np.ndarray) -> complex:
    """Sum over events of a softplus(-z) + b softplus(z)."""
    return sum(a * np.log1p(np.exp(-z)) + b * np.log1p(np.exp(z)))


def slope(network, settings, vector, direction, events, a, b) -> float:
    """The loss's derivative along `direction` (d,) at the parameters `vector` (d,)."""
    step = 1e-30
    w = weights(network, vector + 1j * step * direction)
    return loss(np.array([logit(w, settings, event) for event in events]), a, b).imag / step
