"""Spread and bias over passes (arXiv:2503.20753, eqs. 4 and 5) and the triangular discriminator.

Pure functions on arrays: N passes, B bins. u_bi is the content of bin b unfolded in pass i, m_b its
mean over passes, t_b truth:

    bias_rel      = (m - t) / |t|
    sigma_rel     = sqrt(sum_i (u_i - m)^2 / (N - 1)) / |m|
    sigma_rel_paper = the same with 1 / N, as eq. 5 (which prints sigma^2 but means sigma)
    rel_mse       = mean_i (t - u_i)^2 / t^2
    mse_rel_paper = mean_i (t - u_i)^2 / |t|, as eq. 4, in units of the content

so that rel_mse = bias_rel^2 + (spread / t)^2 with the spread in 1 / N, exactly. Contents are below
0 where negative weights outweigh the others: magnitudes let such bins count like all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

STATISTICS = ("mean", "bias_rel", "sigma_rel", "sigma_rel_paper", "rel_mse", "mse_rel_paper")
TD_SCALE = 1000.0  # the triangular discriminator is quoted x 1000 everywhere; applied only here
# A discriminator up to so many times its floor cannot be told from agreement.
FLOORS, FLOORS_IN_WORDS = 2.0, "twice"
REPLICAS = 500  # bootstrap draws over passes: errors of errors of 3%
SEED = 20250320


@dataclass(frozen=True)
class Spread:
    """Statistics over N passes, each (B,), their bootstrap errors and the replicas behind them.

    Without truth, bias_rel, rel_mse and mse_rel_paper are NaN; with N = 1 both sigmas and all
    errors are NaN.

    Attributes:
        passes: N.
        values: name in STATISTICS -> (B,).
        errors: name -> (B,), standard deviation over bootstrap replicas of the passes.
        replicas: name -> (R, B); for errors of averages over bins.
    """

    passes: int
    values: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    replicas: dict[str, np.ndarray] = field(repr=False)


@lru_cache(maxsize=32)
def _draws(passes: int, replicas: int, seed: int) -> np.ndarray:
    """How often each replica draws each pass, (R, N). One seed for all: a paired bootstrap."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(passes, np.full(passes, 1 / passes), size=replicas).astype(float)
    draws.setflags(write=False)
    return draws


def _statistics(
    draws: np.ndarray, unfolded: np.ndarray, truth: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Statistics of weighted passes: draws (R, N), unfolded (N, B) -> (R, B) each."""
    passes = len(unfolded)
    # about the overall mean, so that the variance does not suffer from cancellation
    centre = unfolded.mean(axis=0)
    shifted = unfolded - centre
    first = draws @ shifted / passes
    variance = np.maximum(draws @ shifted**2 / passes - first**2, 0.0)
    mean = centre + first
    nan = np.full_like(mean, np.nan)
    result = dict.fromkeys(STATISTICS, nan) | {"mean": mean}
    if passes > 1:
        result["sigma_rel_paper"] = _relative(np.sqrt(variance), mean)
        result["sigma_rel"] = result["sigma_rel_paper"] * np.sqrt(passes / (passes - 1))
    if truth is not None:
        squares = draws @ (truth - unfolded) ** 2 / passes
        result["bias_rel"] = _relative(mean - truth, truth)
        result["mse_rel_paper"] = _relative(squares, truth)
        result["rel_mse"] = _relative(result["mse_rel_paper"], truth)
    return result


def _relative(values: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return values over the magnitude of what they are relative to; NaN where that is 0."""
    with np.errstate(over="ignore"):
        return values / np.where(to == 0, np.nan, np.abs(to))


def spread(
    unfolded: np.ndarray,
    truth: np.ndarray | None,
    replicas: int = REPLICAS,
    seed: int = SEED,
) -> Spread:
    """Compute the statistics of unfolded (N, B) about truth (B,), or None without truth.

    The errors come from `replicas` bootstrap draws over passes. Equal seed and N give equal draws,
    so that methods can be compared in pairs. Like any bootstrap they are too small for few passes:
    by sqrt((N - 1) / N) for the mean, 18% at N = 3. What is relative to 0 is NaN.

    Args:
        unfolded: (N, B) contents of N passes.
        truth: (B,), or None.
        replicas: number of bootstrap draws R.
        seed: of the draws.

    Returns:
        Statistics (B,) by name, their errors (B,) and replicas (R, B).

    Raises:
        ValueError: shapes that do not fit.
    """
    unfolded = np.asarray(unfolded, dtype=np.float64)
    if unfolded.ndim != 2 or not len(unfolded):
        raise ValueError(f"unfolded must be (passes, bins), got {unfolded.shape}")
    if truth is not None:
        truth = np.asarray(truth, dtype=np.float64)
        if truth.shape != unfolded.shape[1:]:
            raise ValueError(f"truth has {truth.shape}, unfolded {unfolded.shape}")
    passes, bins = unfolded.shape
    nominal = _statistics(np.ones((1, passes)), unfolded, truth)
    values = {name: value[0] for name, value in nominal.items()}
    if passes == 1:
        none = np.full((replicas, bins), np.nan)
        return Spread(1, values, dict.fromkeys(values, none[0]), dict.fromkeys(values, none))
    drawn = _statistics(_draws(passes, replicas, seed), unfolded, truth)
    with np.errstate(invalid="ignore"):
        errors = {name: value.std(axis=0, ddof=1) for name, value in drawn.items()}
    return Spread(passes, values, errors, drawn)


def relative_spread(unfolded: np.ndarray) -> np.ndarray:
    """Return sigma_rel alone, without the bootstrap behind its error.

    Args:
        unfolded: (N, B) contents of N passes.

    Returns:
        (B,); NaN with one pass, and relative to 0.
    """
    return _statistics(np.ones((1, len(unfolded))), unfolded, None)["sigma_rel"][0]


def bin_average(
    result: Spread, name: str, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Average |statistic| over bins: plainly, or by the magnitudes of weights (B,) such as truth.

    Bins in which the statistic is not defined (relative to 0) do not count.

    Args:
        result: statistics (B,) with replicas (R, B).
        name: of the statistic.
        weights: (B,), of either sign; None: all bins count the same.

    Returns:
        The average and its bootstrap error over passes; NaN without bins.
    """
    values = result.values[name]
    known = ~np.isnan(values)
    if not known.any():
        return float("nan"), float("nan")
    weights = np.ones_like(values) if weights is None else np.abs(weights)
    weights = weights[known] / weights[known].sum()
    replicas = np.abs(result.replicas[name][:, known]) @ weights
    if result.passes > 1:
        replicas = replicas[~np.isnan(replicas)]
    return float(np.abs(values[known]) @ weights), float(replicas.std(ddof=1))


def triangular_discriminator(p: np.ndarray, q: np.ndarray) -> float:
    """1/2 sum_b (p_b - q_b)^2 / (|p_b| + |q_b|), x 1000, of unit-normalised histograms (B,).

    Bins that are empty in both contribute nothing; those below 0 count by their magnitude.

    Args:
        p: (B,) of sum 1.
        q: (B,) of sum 1.

    Returns:
        From 0 (equal) to 1000 (disjoint).

    Examples:
        >>> import numpy as np
        >>> half = np.array([0.5, 0.5])
        >>> triangular_discriminator(half, half), triangular_discriminator(*np.eye(2))
        (0.0, 1000.0)
        >>> round(triangular_discriminator(half, np.array([0.6, 0.4])), 1)
        10.1
    """
    total = np.abs(p) + np.abs(q)
    keep = total > 0
    return TD_SCALE * 0.5 * float(np.sum((p - q)[keep] ** 2 / total[keep]))


def td_floor(p: np.ndarray, var_p: np.ndarray, q: np.ndarray, var_q: np.ndarray) -> float:
    """Expected discriminator (x 1000) of independent samples of one parent distribution.

    1/2 sum_b (var p_b + var q_b) / (|p_b| + |q_b|), with variances of the unit-normalised
    histograms in which the entries of one event count together.

    Args:
        p: (B,) of sum 1.
        var_p: (B,) its variances.
        q: (B,) of sum 1.
        var_q: (B,) its variances.

    Returns:
        In the units of `triangular_discriminator`.

    Examples:
        >>> import numpy as np
        >>> p, events = np.array([0.5, 0.5]), 1000
        >>> variance = p * (1 - p) / events
        >>> round(td_floor(p, variance, p, variance), 3)
        0.5
    """
    total = np.abs(p) + np.abs(q)
    keep = total > 0
    return TD_SCALE * 0.5 * float(np.sum((var_p + var_q)[keep] / total[keep]))
