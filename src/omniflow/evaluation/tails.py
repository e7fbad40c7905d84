"""Tails: how event weights are distributed, and how they change from iteration to iteration."""

from __future__ import annotations

import math

import numpy as np

from omniflow.events.quality import measure

QUANTILES = {"quantile_0_001": 0.001, "median": 0.5, "quantile_0_999": 0.999}
# Bins of log10 of the ratio: as wide as 5% of a weight.
WIDTH = 0.02


def tails(base: np.ndarray, ratio: np.ndarray, before: np.ndarray) -> dict[str, float]:
    """Return what describes the weights of one iteration.

    Args:
        base: (n,) base weights.
        ratio: (n,) ratios nu to the base weight after the iteration.
        before: (n,) the same before it.

    Returns:
        `change`: sum of base |nu - before| over the sum of base nu, the mean absolute change of a
        weight in units of the mean weight; minimum, maximum and quantiles of nu, events counted
        alike; `share_of_largest`: the fraction of the sum of weights that the 1% of events with
        the largest weights carry; `ess`: (sum w)^2 / sum w^2 with w = base nu.
    """
    weight = base * ratio
    total = float(weight.sum())
    few = math.ceil(len(weight) / 100)
    largest = np.partition(weight, len(weight) - few)[-few:]
    values = np.quantile(ratio, list(QUANTILES.values())).tolist()
    return {
        "change": float(np.abs(base * (ratio - before)).sum()) / total,
        "minimum": float(ratio.min()),
        "maximum": float(ratio.max()),
        **dict(zip(QUANTILES, values, strict=True)),
        "share_of_largest": float(largest.sum()) / total,
        "ess": measure(weight).effective,
    }


def distribution(ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower edges (k,) of bins in log10 of positive ratios (n,), and their events.

    Edges are multiples of WIDTH, from the smallest ratio to the largest, so that histograms of
    several passes have the same bins.

    Args:
        ratio: (n,) above 0.

    Returns:
        Edges and numbers of events, (k,) each.

    Examples:
        >>> import numpy as np
        >>> edges, events = distribution(np.array([1.0, 1.0, 10.0]))
        >>> float(edges[0]), int(events[0]), int(events[-1])
        (0.0, 2, 1)
    """
    place = np.floor(np.log10(ratio) / WIDTH).astype(int)
    counts = np.bincount(place - place.min())
    return (place.min() + np.arange(len(counts))) * WIDTH, counts
