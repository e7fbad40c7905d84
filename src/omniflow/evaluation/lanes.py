"""Whether a method has enough lanes: the scatter of training of one pass, from its own lanes.

Lanes of a pass draw all random numbers independently. So their mean has the variance of a single
one over their number, and no other pass is needed to know it. Other combinations are not linear:
lanes are drawn with replacement and combined (bootstrap, Efron 1979).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy.special import chdtri

# One-sided, of the upper limits that have to meet a target. Without it rounds would stop where the
# measured scatter is low by chance (docs/method/adaptive.md).
CONFIDENCE = 0.68
# Combinations of lanes drawn with replacement; errors of the scatter of 16% from one pass.
DRAWS, SEED = 20, 20260
# So many more lanes at most are looked at by one round.
MOST = 1_000


def draws(lanes: int, how: str) -> list[tuple[int, ...]]:
    """Return which lanes are combined to measure their scatter, the same every time.

    Args:
        lanes: their number.
        how: their combination.

    Returns:
        Single lanes for the mean; `DRAWS` times as many as there are, with replacement, for others.

    Examples:
        >>> draws(3, "mean")
        [(0,), (1,), (2,)]
        >>> len(draws(3, "median")), len(draws(3, "median")[0])
        (20, 3)
    """
    if how == "mean":
        return [(lane,) for lane in range(lanes)]
    drawn = np.random.default_rng(SEED).integers(lanes, size=(DRAWS, lanes))
    return [tuple(each) for each in drawn.tolist()]


def variance(contents: np.ndarray, lanes: int, how: str) -> np.ndarray:
    """Return the variance over passes of the combination of all lanes, from `draws` of each pass.

    Args:
        contents: (P, K, B) of P passes and K draws.
        lanes: combined.
        how: their combination.

    Returns:
        (B,), the mean over passes.
    """
    pooled = contents.var(axis=1, ddof=1).mean(axis=0)
    # Of the mean that of single lanes over their number; a bootstrap is too small by (n - 1) / n.
    return pooled / lanes if how == "mean" else pooled * lanes / (lanes - 1)


def average(variances: np.ndarray, unit: np.ndarray) -> float:
    """Return the mean over bins of the standard deviation in units of something else.

    Args:
        variances: (B,).
        unit: (B,), the content, or an error; bins where it is 0 or not finite do not count.

    Returns:
        NaN without any bin.
    """
    used = np.isfinite(unit) & (unit != 0)
    if not used.any():
        return float("nan")
    return float(np.mean(np.sqrt(variances[used]) / np.abs(unit[used])))


def upper_factor(passes: int, lanes: int | np.ndarray) -> np.ndarray:
    """Return the upper confidence limit of a scatter over its measured value.

    For lanes of normal scatter, from P (n - 1) degrees of freedom, as if all bins scattered
    together; they do not, and the limit is on the safe side.

    Args:
        passes: P.
        lanes: n, or (K,) numbers of them.

    Returns:
        (), or (K,) for K numbers of lanes.

    Examples:
        >>> upper_factor(3, np.array([4, 16, 100])).round(2)
        array([1.17, 1.06, 1.02])
    """
    freedom = passes * (np.asarray(lanes) - 1)
    return np.sqrt(freedom / chdtri(freedom, CONFIDENCE))


def wanted(values: Collection[float], target: float, passes: int, lanes: int, step: int) -> int:
    """Return how many lanes a target takes, by the scatter of those that are there.

    It falls with the square root of their number, and is known better by more of them.

    Args:
        values: scatter by observable.
        target: for the upper limit of the largest.
        passes: that the values are pooled over.
        lanes: that there are.
        step: more of them are multiples of it.

    Returns:
        As many as there are if they meet it.

    Examples:
        >>> wanted([0.01], 0.02, passes=3, lanes=4, step=2)
        4
        >>> wanted([0.04], 0.02, passes=3, lanes=4, step=2)  # 16, and some for the upper limit
        18
    """
    counts = np.arange(lanes, lanes + MOST + 1, step)
    limits = max(values) * np.sqrt(lanes / counts) * upper_factor(passes, counts)
    enough = np.flatnonzero(limits <= target)
    return int(counts[enough[0]] if len(enough) else counts[-1])
