"""Learner: parameters, averaged parameters and optimiser of one network."""

from __future__ import annotations

import itertools
import math

import numpy as np

from omniflow.config.training import Training
from omniflow.training.ecd import Constants
from omniflow.training.optimizers import optimizer
from omniflow.training.steps import Steps


class Learner:
    """Turns gradients into parameters, kept as one vector (d,).

    Optimiser, averaging and clipping are a few operations in place. Where backbone and head have
    rates of their own, they are a part of the vector each, with an optimiser each: momenta and
    corrections for their start count the updates of that part alone.
    """

    def __init__(
        self, settings: Training, size: int, kind: str = "float32", backbone: int = 0
    ) -> None:
        """Make room for `size` parameters of the float type `kind`.

        The first `backbone` of them can be frozen or have a rate of their own; 0: none can.
        """
        self._clip_norm = None if settings.optimizer == "ecd" else settings.clip_norm
        cuts = (0, backbone, size) if backbone else (0, size)
        self._parts = [slice(*cut) for cut in itertools.pairwise(cuts)]
        self._optimizers = [
            optimizer(settings, part.stop - part.start, kind) for part in self._parts
        ]
        self._parameters, self._average, self._gradient, self._work = (
            np.zeros(size, kind) for _ in range(4)
        )

    @property
    def parameters(self) -> np.ndarray:
        """The parameters (d,) after the last update, which the next one changes in place."""
        return self._parameters

    @property
    def average(self) -> np.ndarray:
        """Their exponential average over the updates (d,), changed in place as well."""
        return self._average

    def start(self, parameters: np.ndarray, ecd: Constants | None = None) -> None:
        """Start a new network from `parameters` (d,): nothing of an earlier one stays.

        Args:
            parameters: (d,), which are copied.
            ecd: constants of the optimiser ECD.
        """
        for one in self._optimizers:
            one.start(ecd)
        self._parameters[...] = self._average[...] = parameters

    def update(
        self,
        gradient: np.ndarray,
        loss: float,
        rate: float,
        momentum: float,
        backbone: float = 1.0,
    ) -> float:
        """Change the parameters and return the gradient's norm before clipping.

        A frozen backbone (factor 0) is left alone: no bit of its parameters, averages and momenta
        changes, and norm and clipping are those of the head's gradient.

        Args:
            gradient: (d,) of the loss of one batch.
            loss: its value, which ECD needs.
            rate: learning rate.
            momentum: of the average.
            backbone: factor on the backbone's learning rate, where it has one of its own.

        Returns:
            The norm.
        """
        rates = [backbone * rate, rate][-len(self._parts) :]
        first = 1 if len(self._parts) > 1 and backbone == 0 else 0
        moved = slice(self._parts[first].start, None)
        own, work = self._gradient[moved], self._work[moved]
        # What is not finite is found by the caller.
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(own, gradient[moved])
            np.multiply(own, own, out=work)
            norm = math.sqrt(np.add.reduce(work))
            if self._clip_norm is not None and norm > self._clip_norm:
                own *= self._clip_norm / norm
            for part, one, each in zip(
                self._parts[first:], self._optimizers[first:], rates[first:], strict=True
            ):
                one.update(self._parameters[part], self._gradient[part], loss, each)
            np.subtract(self._parameters[moved], self._average[moved], out=work)
            work *= 1 - momentum
            self._average[moved] += work
        return norm

    def steps(self) -> Steps | None:
        """Return what the native engine needs to do updates itself; None where it cannot."""
        first = self._optimizers[0]
        if len(self._optimizers) > 1 or first.number is None or self._parameters.dtype != "f4":
            return None
        return Steps(
            *(first.number, first.betas, first.decay, self._clip_norm),
            *(self._parameters, self._average, first.state),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that the next update depends on, for a checkpoint."""
        return {"parameters": self._parameters, "average": self._average, **self._state()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go back to the state that `arrays` returned.

        Args:
            arrays: (d,) by name.
        """
        self._parameters[...], self._average[...] = arrays["parameters"], arrays["average"]
        for name, array in self._state().items():
            array[...] = arrays[name]

    def _state(self) -> dict[str, np.ndarray]:
        return {
            f"{name}-{number}": array
            for number, one in enumerate(self._optimizers)
            for name, array in one.state.items()
        }
