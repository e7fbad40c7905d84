"""Shrinkage: how much of what a network has learned held-out events confirm.

A network that has learned by heart is too sure of itself: its logarithm of a ratio is that of the
events it was trained on. The factor on it, between 0 and 1, with the lowest loss on events that it
has not seen is the slope of a calibration through the ratio of 1 (Cox, Biometrika 45 (1958) 562;
shrinkage of van Houwelingen and le Cessie, Statistics in Medicine 9 (1990) 1303). Pure noise gets
0 on events that did not also choose the epoch, what generalises gets 1.
"""

from __future__ import annotations

import numpy as np

from omniflow.training.losses import Loss

# The loss is flat about its minimum: finer steps change nothing that could be measured.
FACTORS = np.linspace(0, 1, 41)


class Shrinkage:
    """Sums the losses of held-out events with outputs that are moved towards a ratio of 1.

    Attributes:
        losses: mean over both classes so far, one for each of FACTORS, (41,).
    """

    def __init__(self, loss: Loss, sums: tuple[float, float]) -> None:
        """Begin without events.

        Args:
            loss: of the training.
            sums: of the weights of all held-out events in class A and class B.
        """
        self._loss, self._sums = loss, sums
        self.losses = np.zeros(len(FACTORS))

    def add(self, outputs: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
        """Add events.

        Args:
            outputs: (n,) of the network.
            a: (n,) weights in class A.
            b: (n,) weights in class B.
        """
        away = np.asarray(outputs, np.float64) - self._loss.neutral
        for row, factor in enumerate(FACTORS):
            cost_a, cost_b = self._loss.values(self._loss.neutral + factor * away)
            self.losses[row] += (a @ cost_a / self._sums[0] + b @ cost_b / self._sums[1]) / 2


def best_factor(losses: np.ndarray) -> float:
    """Return the factor with the lowest loss; of equal ones the smallest.

    Args:
        losses: (41,), one for each of FACTORS.

    Returns:
        The factor, between 0 and 1.
    """
    return float(FACTORS[np.argmin(losses)])
