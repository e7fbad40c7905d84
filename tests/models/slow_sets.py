"""Deep sets and MLPs the slow way: loops over events, particles and layers, in NumPy.

Parameters are one flat vector, kernel and bias of each layer one after the other. All operations
also take complex numbers, so that derivatives come from a complex step, without rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr
from slow_pet import gelu

Event = dict[str, np.ndarray]  # particles (N, F), event (E,)


@dataclass(frozen=True)
class Network:
    """Widths of the layers of particles (None: an MLP) and of events; F and E features of each."""

    per_particle: tuple[int, ...] | None
    per_event: tuple[int, ...]
    particle: int
    event: int

    def shapes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of all layers, the head last."""
        found, inputs = [], self.particle
        for width in self.per_particle or ():
            found.append((inputs, width))
            inputs = width
        inputs = self.event if self.per_particle is None else inputs + 1 + self.event
        for width in (*self.per_event, 1):
            found.append((inputs, width))
            inputs = width
        return found

    def size(self) -> int:
        return sum(a * b + b for a, b in self.shapes())

    def output(self, vector: np.ndarray, event: Event) -> complex:
        layers, at = [], 0
        for a, b in self.shapes():
            kernel = vector[at : at + a * b].reshape(a, b)
            layers.append((kernel, vector[at + a * b : at + a * b + b]))
            at += a * b + b
        x = event["event"]
        if self.per_particle is not None:
            depth, total = len(self.per_particle), 0
            width = (self.particle, *self.per_particle)[-1]
            for row in event["particles"]:
                for kernel, bias in layers[:depth]:
                    row = gelu(row @ kernel + bias)
                total = total + row
            count = len(event["particles"])
            mean = total / count if count else np.zeros(width)
            x = np.concatenate([mean, [count / 10], x])
            layers = layers[depth:]
        for kernel, bias in layers[:-1]:
            x = gelu(x @ kernel + bias)
        kernel, bias = layers[-1]
        return (x @ kernel + bias)[0]

    def slope(self, vector, direction, events, a, b, loss) -> float:
        """The loss's derivative along `direction` (d,) at the parameters `vector` (d,)."""
        step = 1e-30
        moved = vector + 1j * step * direction
        z = np.array([self.output(moved, event) for event in events])
        return total(loss, z, a, b).imag / step


# f and the costs of a class A and of a class B event, for outputs about 0; training/losses.py.
COSTS = {
    "bce_logistic": lambda z: (np.log1p(np.exp(-z)), np.log1p(np.exp(z))),
    "bce_normal": lambda z: (-log_ndtr(z), -log_ndtr(-z)),
    "bce_arctan": lambda z: tuple(-np.log(np.arctan(s * z) / np.pi + 0.5) for s in (1, -1)),
    "mlc_relu": lambda z: _likelihood(z),
    "mlc_square": lambda z: _likelihood(z * z),
    "mlc_exp": lambda z: (-z, np.exp(z) - 1),
}


def _likelihood(f):
    f = np.where(f.real < 1e-6, 1e-6, f)
    return -np.log(f), f - 1


def total(loss: str, z: np.ndarray, a: np.ndarray, b: np.ndarray) -> complex:
    cost_a, cost_b = COSTS[loss](z)
    return a @ cost_a + b @ cost_b
