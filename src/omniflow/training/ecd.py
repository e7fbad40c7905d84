"""ECD with q = 1: energy-conserving descent (arXiv:2501.18419, section II)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from omniflow.config.training import Training
from omniflow.training.losses import LOSSES


@dataclass(frozen=True)
class Constants:
    """What the optimiser needs to know of one training.

    Attributes:
        dt: length of every step.
        eta: concentration.
        f0: offset of the loss, below all of its values.
        seed: of the bounces.
    """

    dt: float
    eta: float
    f0: float
    seed: int


def constants(settings: Training, updates: int, variance: float, seed: int) -> Constants:
    """Return the constants of `training.ecd`, with defaults from the run.

    Args:
        settings: of the training.
        updates: most updates of the training.
        variance: summed variance of the initial parameters, the square of the distance to cover.
        seed: of the bounces.
    """
    given = settings.ecd
    eta = (updates * given.dt_hat) ** 2 / variance if given.eta == "auto" else given.eta
    # One below the lowest loss that is expected: ln 2 or 0, up to what little classes differ.
    f0 = LOSSES[settings.loss].uninformed - 1 if given.f0 == "auto" else given.f0
    return Constants(given.dt_hat / math.sqrt(eta), eta, f0, seed)


class ECD:
    """Moves d parameters by the rate dt along a unit vector u, which the gradient turns.

    Per update, with loss F, gradient g and random numbers z ~ N(0, 1)^d:

        u <- normalise(u + nu_hat / sqrt(d) z)
        u <- normalise(u - dt eta d / (2 (d - 1) (F - f0)) (g - (u . g) u))
        parameters <- parameters + dt u

    The first update is along -g, and has no bounce. The random numbers depend on the seed and the
    number of the update alone. An optimiser as `optimizers.Optimizer` describes it.
    """

    number: int | None = None
    betas, decay = (0.0, 0.0), 0.0

    def __init__(self, size: int, kind: str = "float32", nu_hat: float = 0.0) -> None:
        """Make room for `size` numbers of a float type.

        Raises:
            ValueError: fewer than two parameters, which have no direction to turn to.
        """
        if size < 2:
            raise ValueError(f"ECD needs at least two parameters, got {size}")
        self.state = {"direction": np.zeros(size, kind), "updates": np.zeros((), np.int64)}
        self._size, self._nu_hat = size, nu_hat
        self._work = np.empty(size, kind)

    def start(self, constants: Constants | None = None) -> None:
        """Forget earlier updates, and take the constants of a training.

        Raises:
            ValueError: there are none.
        """
        if constants is None:
            raise ValueError("ECD needs the constants of a training")
        for array in self.state.values():
            array[...] = 0
        self._constants = constants

    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, loss: float, rate: float
    ) -> None:
        """Change `parameters` (d,) in place by a step of length `rate`.

        Args:
            parameters: of the network.
            gradient: of the loss (d,).
            loss: its value, above f0.
            rate: dt.
        """
        u, d, work = self.state["direction"], self._size, self._work
        if self._nu_hat and np.any(u):
            self._bounce(u)
        turn = rate * self._constants.eta * d / (2 * (d - 1)) / (loss - self._constants.f0)
        along = self._dot(u, gradient)
        np.multiply(u, along, out=work)
        np.subtract(gradient, work, out=work)
        work *= turn
        u -= work
        self._normalise(u)
        np.multiply(u, rate, out=work)
        parameters += work
        self.state["updates"] += 1

    def _bounce(self, u: np.ndarray) -> None:
        key = (self._constants.seed, int(self.state["updates"]))
        rng = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
        rng.standard_normal(out=self._work, dtype=u.dtype)
        self._work *= self._nu_hat / math.sqrt(self._size)
        u += self._work
        self._normalise(u)

    def _dot(self, a: np.ndarray, b: np.ndarray) -> float:
        # Not by BLAS, whose sums depend on the number of its threads.
        np.multiply(a, b, out=self._work)
        return float(np.add.reduce(self._work))

    def _normalise(self, u: np.ndarray) -> None:
        """Give u length 1; 0 stays 0."""
        if norm := math.sqrt(self._dot(u, u)):
            u /= norm
