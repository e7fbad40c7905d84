"""Learning rate as a function of the update."""

from __future__ import annotations

import math
from collections.abc import Iterable

from omniflow.config.training import Training


def learning_rates(
    settings: Training, updates: Iterable[int], updates_per_epoch: int, factor: float
) -> list[float]:
    """Return the learning rates of updates, by their numbers from 0.

    Linear warm-up over `warmup_epochs`, then constant or a cosine that falls to 1% of the peak at
    the last epoch. `factor` multiplies the peak (restart policy).
    """
    peak = settings.learning_rate * factor
    warmup = settings.warmup_epochs * updates_per_epoch
    constant = settings.schedule == "constant"
    length = max(settings.epochs * updates_per_epoch - warmup, 1)

    def rate(update: int) -> float:
        if update < warmup:
            return peak * (update + 1) / (warmup + 1)
        if constant:
            return peak
        progress = min((update - warmup) / length, 1.0)
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    return [rate(update) for update in updates]
