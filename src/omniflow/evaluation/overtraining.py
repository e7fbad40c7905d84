"""Overtraining: weights of events that a network was trained on, against those it held out."""

from __future__ import annotations

import numpy as np
from scipy import stats

from omniflow.evaluation.histograms import CountMatrix


def compare(
    matrix: CountMatrix, base: np.ndarray, ratio: np.ndarray, held_out: np.ndarray
) -> dict[str, float]:
    """Return how the mean ratio per bin differs between held-out and other events.

    Which events are held out is random, so the means agree within statistics unless the network
    has learned its training events by heart. Comparing means of the ratio, and not contents, takes
    the fluctuations of the events themselves out. With m = sum base nu / sum base per bin, the
    variance is sum base^2 (nu - m)^2 / (sum base)^2, the entries of one event counted together.

    Args:
        matrix: entries per event and bin.
        base: (n,) base weights.
        ratio: (n,) positive ratios nu.
        held_out: (n,) bool.

    Returns:
        `chi2` over `bins` bins that both sets have, the probability `p_value` of a larger one
        (bins taken as independent: approximate with several entries per event), and
        `difference`, the mean ratio of all entries that trained over that of those that did not,
        less 1.
    """
    means, variances, totals = [], [], []
    for chosen in (~held_out, held_out):
        weights = np.where(chosen, base, 0.0)
        columns = np.stack([weights, weights * ratio, weights * np.sqrt(ratio)], axis=1)
        filled = matrix.fill(columns)
        norm, content, _ = filled.content
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = content / norm
            square, upper, mixed = filled.variance
            variance = (upper - 2 * mean * mixed + mean**2 * square) / norm**2
        means.append(np.where(norm > 0, mean, np.nan))
        variances.append(variance)
        totals.append(content.sum() / norm.sum())
    variance = variances[0] + variances[1]
    used = variance > 0  # False where it is NaN
    chi2 = float(((means[0] - means[1])[used] ** 2 / variance[used]).sum())
    bins = int(used.sum())
    return {
        "chi2": chi2,
        "bins": bins,
        "p_value": float(stats.chi2.sf(chi2, bins)) if bins else np.nan,
        "difference": float(totals[0] / totals[1] - 1),
    }
