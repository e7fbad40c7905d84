"""Overtraining: weights of events that a network was trained on, against those it held out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import special

from omniflow.evaluation.histograms import CountMatrix, Histogram
from omniflow.tables.classifiers import OVERTRAINING
from omniflow.unfolding.coordinates import Network


def fill(
    matrix: CountMatrix, base: np.ndarray, ratio: np.ndarray, held_out: np.ndarray
) -> tuple[Histogram, Histogram]:
    """Return what `compare` takes, for all events or a slice of them.

    Args:
        matrix: entries per event and bin.
        base: (n,) base weights.
        ratio: (n,) positive ratios nu.
        held_out: (n,) bool.

    Returns:
        Histograms (3, B) of events that trained and of those held out, for the weights base, base
        nu, and base sqrt(nu), whose squares are base^2 nu.
    """
    weights = [np.where(chosen, base, 0.0) for chosen in (~held_out, held_out)]
    columns = [np.stack([w, w * ratio, w * np.sqrt(ratio)], axis=1) for w in weights]
    return matrix.fill(columns[0]), matrix.fill(columns[1])


def compare(trained: Histogram, held_out: Histogram) -> dict[str, float]:
    """Return how the mean ratio per bin differs between held-out and other events.

    Which events are held out is random, so the means agree within statistics unless the network
    has learned its training events by heart. Comparing means of the ratio, and not contents, takes
    the fluctuations of the events themselves out. The variance of a set's mean is that of nu among
    all events of the bin times sum base^2 / (sum base)^2 of the set, the entries of one event
    counted together; so a bin with one held-out event has an error too.

    Args:
        trained: (3, B), as `fill` returns them.
        held_out: (3, B), as `fill` returns them.

    Returns:
        `chi2` over `bins` bins that both sets have, the probability `p_value` of a larger one
        (bins taken as independent: approximate with several entries per event), and
        `difference`, the mean ratio of all entries that trained over that of those that did not,
        less 1 (NaN without entries).
    """
    means, shares, totals = [], [], []
    square = upper = mixed = norm = content = 0.0
    for filled in (trained, held_out):
        own_norm, own_content, _ = filled.content
        own_square, own_upper, own_mixed = filled.variance
        norm, content = norm + own_norm, content + own_content
        square, upper, mixed = square + own_square, upper + own_upper, mixed + own_mixed
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(np.where(own_norm != 0, own_content / own_norm, np.nan))
            shares.append(own_square / own_norm**2)
            totals.append(own_content.sum() / own_norm.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, size = content / norm, norm**2 / square
        scatter = (upper - 2 * mean * mixed + mean**2 * square) / square * size / (size - 1)
        variance = np.where(size > 1, scatter * (shares[0] + shares[1]), np.nan)
    used = variance > 0  # False where it is NaN
    chi2 = float(((means[0] - means[1])[used] ** 2 / variance[used]).sum())
    bins = int(used.sum())
    return {
        "chi2": chi2,
        "bins": bins,
        "p_value": float(special.chdtrc(bins, chi2)) if bins else np.nan,
        "difference": float(totals[0] / totals[1] - 1),
    }


def overtraining_table(
    found: Mapping[tuple[Network, str], tuple[Histogram, Histogram]],
) -> pd.DataFrame:
    """Build overtraining.csv.

    Args:
        found: by network and observable what `fill` returned, of all events, (3, B).

    Returns:
        One row per network and observable.
    """
    rows = []
    for (network, name), pair in found.items():
        keys = {"chain": network.chain, "lane": network.lane, "member": network.member}
        keys |= {"iteration": network.iteration, "observable": name}
        rows.append(keys | compare(*pair))
    return OVERTRAINING.build(rows)
