"""Comparison of two methods' scatter over passes, by rotation tests: paired, and not.

Passes of different methods share random numbers, and the bins of one pass move together. Let a and
b be the deviations of two methods, one row per pass and one column per bin. If the methods do not
differ, (a, b) and (b, a) are distributed alike, so that s = a + b and d = a - b are uncorrelated;
of normal numbers they are independent. Rows are independent and alike, so d and Q d are distributed
alike for any rotation Q of the rows. In one bin the squares of a and b differ by s.d, whose
correlation is the test of Pitman (Biometrika 31 (1939) 9) and Morgan (ibid. 13). Here s.Qd of all
bins together, for random Q (Langsrud, Stat. Comput. 15 (2005) 53), gives the distribution of any
average over bins, whatever the correlation between bins, observables and methods: it is in s and d.

Passes that share nothing are compared apart: if the methods do not differ, all rows of both are
independent and alike, so that they are distributed as Q of them all, and the first rows of Q are as
good as those of the first method. Rows with a mean are turned about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import digamma

from omniflow.evaluation.histograms import Histogram, normalise
from omniflow.evaluation.spectra import Normalization
from omniflow.tables.comparisons import COMPARISONS

ALL = ""  # observable of rows that average over all of them
ROTATIONS = 10_000  # p-values of 0.05 to 4%
SEED = 19390101
_ROUNDING = 1e-6  # relative spreads below are taken for rounding
_BELOW_1 = 1 - 1e-12


@dataclass(frozen=True)
class Comparison:
    """Scatter of one method over that of another; the first entry of each (1 + O,) is of all.

    Attributes:
        ratio: geometric mean over bins of the ratio of root mean squares; of all, over observables.
        log_error: standard deviation of its logarithm, if the true ratio is the one found; NaN with
            one row of deviations, which tells nothing about it.
        p_value: probability of a ratio as far from 1, two-sided, if the methods do not differ.
        bins: that took part; of an observable without any, ratio and error are NaN, and p is 1.
    """

    ratio: np.ndarray
    log_error: np.ndarray
    p_value: np.ndarray
    bins: np.ndarray


def spreads(contents: np.ndarray) -> np.ndarray:
    """Return relative deviations from the mean over passes, (N - 1, B) of contents (N, B).

    N - 1 orthonormal contrasts: the sum of their squares is that of the deviations, and they are
    independent.

    Args:
        contents: (N, B) of N passes, not 0 on average.

    Returns:
        (N - 1, B); not finite in bins without content.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return _contrasts(len(contents)) @ (contents / contents.mean(axis=0))


def distances(contents: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return relative deviations from truth (B,), (N, B) of contents (N, B).

    Args:
        contents: (N, B) of N passes.
        truth: (B,) what they should be.

    Returns:
        (N, B); not finite where truth is 0.

    Examples:
        >>> import numpy as np
        >>> distances(np.array([[11.0, 18.0]]), np.array([10.0, 20.0])).round(2).tolist()
        [[0.1, -0.1]]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return contents / truth - 1


def compare(first: np.ndarray, second: np.ndarray, observable: np.ndarray) -> Comparison:
    """Compare the squares of two methods' deviations.

    Bins without a deviation in either, or in which it is not finite, take no part.

    Args:
        first: (n, B) deviations of the same passes: `spreads` or `distances`.
        second: (n, B) deviations of the same passes: `spreads` or `distances`.
        observable: (B,) number of each bin's observable, 0 to O - 1.

    Returns:
        Ratio, its error and p-value for all observables together and for each, (1 + O,) each.
    """
    used = _used(first, second)
    a, b = first[:, used], second[:, used]
    return _compared(
        lambda scale, rotations: _log_ratios(scale * a, b, rotations),
        _rotations(len(a)),
        _averages(observable, used),
    )


def compare_apart(first: np.ndarray, second: np.ndarray, observable: np.ndarray) -> Comparison:
    """Compare two methods' spreads whose passes share nothing, and may differ in number.

    Ratios are corrected for what the logarithm of a spread loses with few passes, which cancels
    where there are as many of both. Bins take part as in `compare`.

    Args:
        first: (n, B) of `spreads`.
        second: (m, B) of `spreads`.
        observable: (B,) number of each bin's observable, 0 to O - 1.

    Returns:
        As `compare`, (1 + O,) each.
    """
    lost = _log_of_few(len(first)) - _log_of_few(len(second))
    return _apart(first, second, observable, np.eye(len(first) + len(second)), lost)


def compare_distances_apart(
    first: np.ndarray, second: np.ndarray, observable: np.ndarray
) -> Comparison:
    """Compare two methods' distances to truth whose passes share nothing.

    The methods do not differ if their passes have the same mean and the same scatter about it.

    Args:
        first: (n, B) of `distances`.
        second: (m, B) of `distances`.
        observable: (B,) number of each bin's observable, 0 to O - 1.

    Returns:
        As `compare`, (1 + O,) each.
    """
    return _apart(first, second, observable, _contrasts(len(first) + len(second)), 0.0)


def adjusted(p_values: Sequence[float]) -> np.ndarray:
    """Return p-values (k,) corrected for k comparisons (Holm, Scand. J. Stat. 6 (1979) 65).

    At most 5% of families of comparisons have any false one among those below 0.05, however many
    of them are true and whatever their correlation.

    Args:
        p_values: (k,) from 0 to 1.

    Returns:
        (k,) in the same order, at most 1.

    Examples:
        >>> adjusted([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(given)
    factors = np.arange(len(order), 0, -1)
    found = np.empty(len(order))
    found[order] = np.minimum(np.maximum.accumulate(factors * given[order]), 1.0)
    return found


def comparison_table(
    spectra: Mapping[str, Mapping[str, Histogram]],
    truth: Mapping[str, Histogram] | None,
    normalization: Normalization,
) -> pd.DataFrame:
    """Build comparisons.csv: every pair of methods, by observable and of all.

    Metrics are sigma_rel and, with truth, rel_mse (whose ratio is that of the squares). p-values
    are adjusted for all pairs. Bins without content or without truth take no part.

    Args:
        spectra: method -> observable -> contents (N, B) of the same passes; with N = 1 there
            is no sigma_rel.
        truth: observable -> truth, (B,); None for real data.
        normalization: of contents.
    """
    deviations = {m: _deviations(own, truth, normalization) for m, own in spectra.items()}
    names = list(next(iter(spectra.values())))
    sizes = [next(iter(spectra.values()))[name].bins for name in names]
    observable = np.repeat(np.arange(len(names)), sizes)
    frames = [
        _pair(metric, (a, b), (found, deviations[b][metric]), observable, [ALL, *names])
        for a, b in combinations(spectra, 2)
        for metric, found in deviations[a].items()
    ]
    if not frames:
        return COMPARISONS.build([])
    table = pd.concat(frames, ignore_index=True)
    table["p_adjusted"] = table.groupby(["metric", "observable"])["p_value"].transform(adjusted)
    return COMPARISONS.build(table)


def _deviations(
    spectra: Mapping[str, Histogram],
    truth: Mapping[str, Histogram] | None,
    normalization: Normalization,
) -> dict[str, np.ndarray]:
    """Return deviations (n, B) by metric, of the bins of all observables."""
    scaled = normalise if normalization == "shape" else lambda histogram: histogram
    contents = np.hstack([scaled(histogram).content for histogram in spectra.values()])
    found = {"sigma_rel": spreads(contents)} if len(contents) > 1 else {}
    if truth is not None:
        target = np.hstack([scaled(truth[name]).content for name in spectra])
        found["rel_mse"] = distances(contents, target)
    return found


def _pair(
    metric: str,
    pair: tuple[str, str],
    deviations: tuple[np.ndarray, np.ndarray],
    observable: np.ndarray,
    names: Sequence[str],
) -> pd.DataFrame:
    found = compare(*deviations, observable)
    power = 2 if metric == "rel_mse" else 1
    return pd.DataFrame(
        {
            "metric": metric,
            "method": pair[0],
            "other": pair[1],
            "observable": names,
            "ratio": found.ratio**power,
            "log_error": power * found.log_error,
            "p_value": found.p_value,
            "bins": found.bins,
            "passes": len(deviations[0]) + (metric == "sigma_rel"),
        }
    )


def _apart(
    first: np.ndarray, second: np.ndarray, observable: np.ndarray, axes: np.ndarray, lost: float
) -> Comparison:
    """Compare rows that are alike along axes (k, n + m), and fixed across them.

    `lost` is the mean of the log ratio where methods do not differ.
    """
    used = _used(first, second)
    a, b = first[:, used], second[:, used]
    across = np.eye(axes.shape[1]) - axes.T @ axes
    return _compared(
        lambda scale, rotations: _log_ratios_apart(scale * a, b, rotations) - lost,
        across + axes.T @ _rotations(len(axes)) @ axes,
        _averages(observable, used),
    )


def _compared(
    log_ratios: Callable[[float, np.ndarray], np.ndarray],
    rotations: np.ndarray,
    averages: tuple[np.ndarray, np.ndarray],
) -> Comparison:
    """Return what log ratios say by a scale of the first method and rotations (R, n, n).

    One row can but change its sign, which tells nothing of errors.
    """
    average, bins = averages
    found = average @ log_ratios(1.0, np.eye(rotations.shape[1])[None])[0]
    alike = log_ratios(1.0, rotations) @ average.T
    farther = np.abs(alike) >= np.abs(found) - _ROUNDING
    p = (1 + farther.sum(axis=0)) / (1 + len(farther))
    scaled = log_ratios(float(np.exp(-found[0])), rotations) @ average.T
    known = bins > 0
    return Comparison(
        np.where(known, np.exp(found), np.nan),
        np.where(known & (rotations.shape[1] > 1), scaled.std(axis=0), np.nan),
        np.where(known, p, 1.0),
        bins,
    )


def _used(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return which bins (B,) have a finite deviation in both."""
    squares = np.stack([np.square(rows).mean(axis=0) for rows in (first, second)])
    return np.isfinite(squares).all(axis=0) & (squares > _ROUNDING**2).all(axis=0)


def _contrasts(rows: int) -> np.ndarray:
    """Return orthonormal contrasts of so many rows, (rows - 1, rows)."""
    from scipy.linalg import helmert  # the report, which reads tables, does not load it

    return helmert(rows)


def _log_of_few(rows: int) -> float:
    """Return the mean log of the root mean square of so many normal numbers of variance 1."""
    return float(digamma(rows / 2) - np.log(rows / 2)) / 2


def _averages(observable: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (1 + O, used bins) of averages over observables and bins, and bins of each."""
    each = (observable[used] == np.arange(observable.max(initial=-1) + 1)[:, None]).astype(float)
    bins = each.sum(axis=1)
    each = each / np.maximum(bins, 1)[:, None]
    overall = each.sum(axis=0) / max(1, np.count_nonzero(bins))
    return np.vstack([overall, each]), np.concatenate([[bins.sum()], bins]).astype(int)


@lru_cache(maxsize=2)
def _rotations(rows: int) -> np.ndarray:
    """Return random rotations and reflections (R, rows, rows), fewer where they are large."""
    rng = np.random.default_rng(SEED)
    count = max(ROTATIONS // 10, min(ROTATIONS, 10**7 // rows**2))
    if rows == 1:
        return rng.choice([-1.0, 1.0], (count, 1, 1))
    # Mezzadri, Not. AMS 54 (2007) 592, as scipy.stats, which takes longer to load than all of this.
    found, upper = np.linalg.qr(rng.normal(size=(count, rows, rows)))
    diagonal = np.diagonal(upper, axis1=1, axis2=2)
    found *= (diagonal / np.abs(diagonal))[:, None]
    return found


def _log_ratios(a: np.ndarray, b: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Return ln(|a'| / |b'|) per rotation Q and bin, (R, B).

    a' + b' = a + b, and a' - b' = Q (a - b).
    """
    total, difference = a + b, a - b
    products = (total[:, None] * difference).reshape(len(a) ** 2, -1)
    cross = rotations.reshape(len(rotations), -1) @ products
    half = (np.square(a) + np.square(b)).sum(axis=0)
    return np.arctanh(np.clip(cross / half, -_BELOW_1, _BELOW_1))


def _log_ratios_apart(a: np.ndarray, b: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Return ln(rms a' / rms b') per rotation Q and bin, (R, B), where (a', b') = Q (a, b)."""
    rows = np.vstack([a, b])
    first = rotations[:, : len(a)]
    products = (rows[:, None] * rows).reshape(len(rows) ** 2, -1)
    squares = (np.swapaxes(first, 1, 2) @ first).reshape(len(rotations), -1) @ products
    share = np.clip(squares / np.square(rows).sum(axis=0), 1 - _BELOW_1, _BELOW_1)
    return np.log(share / (1 - share) * len(b) / len(a)) / 2
