"""Optimisers of one vector of parameters, in NumPy: the same for every engine.

They are those of Keras, to rounding: weight decay is decoupled from the gradient, and Adam corrects
its moments for their start. An update works in place, on vectors that stay in the cache, and costs
a small network tens of microseconds.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from omniflow.config.training import Training
from omniflow.training.ecd import ECD, Constants

_EPSILON = 1e-7  # of Adam's denominator


class Optimizer(Protocol):
    """Changes a vector (d,) by its gradients.

    Attributes:
        state: vectors (d,) by name, and `updates` (), the number of updates so far: with the
            parameters, all that the next update depends on.
        number: what native/optimizer.h calls it; None: it has no such optimiser.
        betas: of the momenta.
        decay: of the parameters.
    """

    state: dict[str, np.ndarray]
    number: int | None
    betas: tuple[float, float]
    decay: float

    def start(self, constants: Constants | None = None) -> None:
        """Forget earlier updates."""

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, loss: float, rate: float
    ) -> None:
        """Change `parameters` (d,) in place.

        Args:
            parameters: (d,) of the network.
            gradient: of the loss (d,); it may be overwritten.
            loss: its value.
            rate: learning rate.
        """


class _Momenta:
    """State of an optimiser, and the memory that its updates work in."""

    number: int | None
    betas: tuple[float, float]
    decay: float

    def __init__(self, size: int, kind: str, *names: str) -> None:
        self.state = {name: np.zeros(size, kind) for name in names}
        self.state["updates"] = np.zeros((), np.int64)
        self._work = np.empty(size, kind)

    def start(self, constants: Constants | None = None) -> None:
        for array in self.state.values():
            array[...] = 0


class SGD(_Momenta):
    """Plain gradient descent."""

    number: int | None = 0
    betas, decay = (0.0, 0.0), 0.0

    def __init__(self, size: int, kind: str = "float32") -> None:
        """Make room for `size` numbers of a float type."""
        super().__init__(size, kind)

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, loss: float, rate: float
    ) -> None:
        """Change `parameters` in place; see `Optimizer`."""
        np.multiply(gradient, rate, out=self._work)
        parameters -= self._work


class Lion(_Momenta):
    """Signs of an interpolated momentum (Chen et al., arXiv:2302.06675)."""

    number: int | None = 1

    def __init__(
        self, size: int, kind: str, beta_1: float, beta_2: float, weight_decay: float
    ) -> None:
        """Make room for `size` numbers of a float type."""
        super().__init__(size, kind, "momentum")
        self.betas, self.decay = (beta_1, beta_2), weight_decay

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, loss: float, rate: float
    ) -> None:
        """Change `parameters` in place; see `Optimizer`."""
        (one, two), momentum, work = self.betas, self.state["momentum"], self._work
        if self.decay:
            parameters *= 1 - rate * self.decay
        np.multiply(momentum, one, out=work)
        gradient *= 1 - one
        work += gradient
        np.sign(work, out=work)
        work *= rate
        parameters -= work
        momentum *= two
        gradient *= (1 - two) / (1 - one)
        momentum += gradient


class Adam(_Momenta):
    """Adam (arXiv:1412.6980); with weight decay, AdamW (arXiv:1711.05101)."""

    number: int | None = 2

    def __init__(
        self, size: int, kind: str, beta_1: float, beta_2: float, weight_decay: float = 0.0
    ) -> None:
        """Make room for `size` numbers of a float type."""
        super().__init__(size, kind, "momentum", "square")
        self.betas, self.decay = (beta_1, beta_2), weight_decay

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, loss: float, rate: float
    ) -> None:
        """Change `parameters` in place; see `Optimizer`."""
        (one, two), work = self.betas, self._work
        momentum, square, updates = (self.state[n] for n in ("momentum", "square", "updates"))
        updates += 1
        if self.decay:
            parameters *= 1 - rate * self.decay
        np.multiply(gradient, gradient, out=work)
        work *= 1 - two
        square *= two
        square += work
        gradient *= 1 - one
        momentum *= one
        momentum += gradient
        np.sqrt(square, out=work)
        work += _EPSILON
        np.divide(momentum, work, out=work)
        count = int(updates)
        work *= rate * math.sqrt(1 - two**count) / (1 - one**count)
        parameters -= work


def optimizer(settings: Training, size: int, kind: str) -> Optimizer:
    """Return the configured optimiser of `size` parameters of a float type."""
    betas = settings.beta_1, settings.beta_2
    if settings.optimizer == "lion":
        return Lion(size, kind, *betas, settings.weight_decay)
    if settings.optimizer == "adamw":
        return Adam(size, kind, *betas, settings.weight_decay)
    if settings.optimizer == "adam":
        return Adam(size, kind, *betas)
    if settings.optimizer == "sgd":
        return SGD(size, kind)
    return ECD(size, kind, settings.ecd.nu_hat)
