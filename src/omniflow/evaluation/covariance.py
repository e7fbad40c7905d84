"""Covariance matrices in blocks, chi-square tests with them, pulls and coverage.

Replicas and variations are unfolded in one or several passes. Several passes measure how much of a
block is scatter of training; it is subtracted from what is reported, and stays in what is tested
with. A difference of two scattered matrices has no known distribution and may be singular.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from omniflow.evaluation import significance
from omniflow.evaluation.significance import Estimate

# Eigenvalues of a correlation matrix below so much of the largest are zero but for rounding.
RANK = 1e-10
# Degrees of freedom that replicas have to have beyond the number of bins.
SPARE = 1


@dataclass(frozen=True)
class Block:
    """One contribution to the covariance of B bins.

    Attributes:
        measured: (B, B), positive semi-definite; scatter of training adds to it.
        freedom: degrees of freedom of a matrix that is estimated from scatter; infinite otherwise.
        origins: what the samples were made by that the block holds differences between. A test
            against a prediction of the same origin would compare a difference with itself.
        training: (B, B) what scatter of training adds, without bias; 0 where it is not measured.
        passes: in how many passes replicas were run; None for what no replicas measure.
    """

    measured: np.ndarray
    freedom: float = np.inf
    origins: frozenset[str] = frozenset()
    training: np.ndarray | float = 0.0
    passes: int | None = None

    @property
    def matrix(self) -> np.ndarray:
        """The block (B, B) without bias; variances below 0 are 0 within the scatter of training."""
        return self.measured - self.training

    def __mul__(self, factor: float) -> Block:
        """Return the block times a number."""
        return replace(
            self, measured=factor * self.measured, training=factor * self.training
        )


@dataclass(frozen=True)
class Chi2:
    """A chi-square test; NaN where the covariance does not allow one.

    Attributes:
        chi2: d^T V^-1 d.
        bins: degrees of freedom, the rank of V.
        freedom: effective degrees of freedom of V itself, infinite where it is known exactly.
        p_value: probability of a larger difference; NaN where there is a reason for none.
        reason: why there is no p-value, and what would do; empty where there is one.
    """

    chi2: float
    bins: int
    freedom: float
    p_value: float
    reason: str = ""


def scatter(values: np.ndarray) -> Block:
    """Return the sample covariance of rows (R, B), of one row.

    Raises:
        ValueError: fewer than two rows.
    """
    rows = len(values)
    if rows < 2:
        raise ValueError(f"a covariance takes at least 2 rows, got {rows}")
    centred = values - values.mean(axis=0)
    return Block(centred.T @ centred / (rows - 1), rows - 1)


def of_replicas(values: np.ndarray) -> Block:
    """Return the covariance that replicas (R, P, B), each run in P passes, have of one another.

    Several passes measure the scatter of training that is left in the means over passes: what
    remains of values after the mean of each replica and the mean of each pass are taken away
    (two-way analysis of variance).
    """
    replicas, passes, bins = values.shape
    block = replace(scatter(values.mean(axis=1)), passes=passes)
    if passes == 1:
        return block
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean((0, 1))
    rest = rest.reshape(-1, bins)
    training = rest.T @ rest / ((replicas - 1) * (passes - 1) * passes)
    return replace(block, training=training)


def of_shifts(sides: Sequence[np.ndarray], origins: frozenset[str] = frozenset()) -> Block:
    """Return the covariance of one fully correlated variation from its shifts (P, B) by pass.

    The outer product of the mean shift holds the covariance of that mean, which several passes
    measure. The block without it is the mean of the products of shifts of *different* passes: their
    scatter of training is independent, so that a variation of the same events without effect gives
    0 on average. What all passes share, the statistics of a varied sample, stays in the block. Such
    a matrix has eigenvalues below 0, which are not clipped: the scatter that is subtracted points
    to other directions than the mean shift, so that clipping would give it all back.

    Two sides of a variation are averaged as matrices, so that shifts in the same direction do not
    cancel; symmetric sides give the matrix of either.
    """
    means = [side.mean(axis=0) for side in sides]
    measured = np.mean([np.outer(mean, mean) for mean in means], axis=0)
    passes = len(sides[0])
    if passes == 1:
        return Block(measured, np.inf, origins)
    training = np.mean([scatter(side).measured for side in sides], axis=0) / passes
    return Block(measured, np.inf, origins, training)


def training_error(shifts: np.ndarray) -> np.ndarray:
    """Return the error (B,) by training of the mean of shifts (P, B); NaN for one pass."""
    passes, bins = shifts.shape
    if passes == 1:
        return np.full(bins, np.nan)
    return np.sqrt(shifts.var(axis=0, ddof=1) / passes)


def statistical(counts: sparse.csr_matrix, weights: np.ndarray) -> np.ndarray:
    """Return the covariance (B, B) of a histogram with entries (n, B) of events of weights (n,)."""
    weighted = counts.multiply(np.square(weights)[:, None]).tocsr()
    return np.asarray((counts.T @ weighted).todense())


def unit(content: np.ndarray) -> np.ndarray:
    """Return contents (..., B) scaled to unit sum; those without content stay 0."""
    total = content.sum(axis=-1, keepdims=True)
    return content / np.where(total == 0, 1.0, total)


def of_unit(content: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the covariance (B, B) of `unit(content)` to first order, for that of content (B,)."""
    total = content.sum()
    if total == 0:
        return np.zeros_like(covariance)
    jacobian = (np.eye(len(content)) - unit(content)[:, None]) / total
    return jacobian @ covariance @ jacobian.T


def total(blocks: Iterable[Block]) -> np.ndarray:
    """Return the sum of the matrices of blocks, (B, B), positive semi-definite.

    Where the scatter of training that was subtracted leaves negative eigenvalues in the sum,
    relative to the errors as measured, these are set to 0.
    """
    blocks = list(blocks)
    found = np.sum([block.matrix for block in blocks], axis=0)
    error = np.sqrt(np.diagonal(_measured(blocks)))
    scale = np.outer(error, error)
    scaled = np.divide(found, scale, out=np.zeros_like(scale), where=scale > 0)
    eigenvalues, vectors = np.linalg.eigh(scaled)
    if eigenvalues[0] >= -RANK * eigenvalues[-1]:
        return found
    return (vectors * np.maximum(eigenvalues, 0)) @ vectors.T * scale


def _measured(blocks: Iterable[Block]) -> np.ndarray:
    return np.sum([block.measured for block in blocks], axis=0)


def independent(blocks: Mapping[str, Block], origins: frozenset[str]) -> dict[str, Block]:
    """Return the blocks that hold no difference to samples of these origins."""
    return {name: block for name, block in blocks.items() if not block.origins & origins}


def chi2_test(
    difference: np.ndarray,
    blocks: Mapping[str, Block],
    origins: frozenset[str] = frozenset(),
    normalised: bool = False,
) -> Chi2:
    """Test whether a difference (B,) is 0 within a covariance.

    Blocks are taken as measured: what scatter of training adds to them makes p-values too large,
    not too small. Bins without variance are left out. The p-value knows which blocks are known,
    and from how many replicas and passes the others are estimated (`significance`). Whether there
    is one depends on these numbers and that of bins alone (`lacking`).

    Args:
        difference: what is tested; sums to 0 where `normalised`.
        blocks: its covariance by name.
        origins: what the prediction in the difference was made by.
        normalised: contents have unit sum, so that V has one vanishing eigenvalue, whose direction
            is left out.

    Raises:
        ValueError: no block, or a block contains the difference that is tested.
    """
    _refuse(blocks, origins)
    variance = np.diagonal(_measured(blocks.values()))
    keep = variance > 0
    bins = max(int(keep.sum()) - normalised, 0)
    axes = _axes(_measured(blocks.values()), keep, bins)
    reason = lacking(blocks, bins)
    if axes is None:
        return Chi2(np.nan, bins, np.nan, np.nan, reason or "the bins depend on one another")
    along = axes.T @ difference[keep]
    within = [
        replace(block, measured=axes.T @ block.measured[np.ix_(keep, keep)] @ axes, training=0.0)
        for block in blocks.values()
    ]
    p_value = np.nan if reason else _p_value(along, within)
    return Chi2(float(along @ along), bins, _freedom(within), p_value, reason)


def _refuse(blocks: Mapping[str, Block], origins: frozenset[str]) -> None:
    if not blocks:
        raise ValueError("no block of a covariance to test with")
    for name, block in blocks.items():
        if block.origins & origins:
            raise ValueError(
                f"block {name!r} holds differences to {', '.join(sorted(block.origins & origins))}"
                ", which made the prediction too: it contains the difference that is tested. Leave "
                "it out (`independent`)."
            )


def _axes(matrix: np.ndarray, keep: np.ndarray, wanted: int) -> np.ndarray | None:
    """Return axes, the columns, along which a matrix is the unit matrix; None if too few are."""
    if not wanted:
        return None
    scale = 1 / np.sqrt(np.diagonal(matrix)[keep])
    values, vectors = np.linalg.eigh(matrix[np.ix_(keep, keep)] * np.outer(scale, scale))
    if values[-wanted] <= RANK * values[-1]:
        return None
    return scale[:, None] * vectors[:, -wanted:] / np.sqrt(values[-wanted:])


def lacking(blocks: Mapping[str, Block], bins: int) -> str:
    """Return why there is no p-value for so many bins, with what would do; empty if there is one.

    Replicas have to measure all directions with some freedom to spare, each kind by itself, because
    either may be the larger. Passes need not where replicas do.
    """
    enough = bins + SPARE
    short = {n: b for n, b in blocks.items() if np.isfinite(b.freedom) and b.freedom < enough}
    found = [
        f"{name}: {block.freedom + 1} replicas are too few for {bins} bins, {enough + 1} would do"
        for name, block in short.items()
        if block.passes
    ]
    scattered = {n: b for n, b in blocks.items() if np.isfinite(b.freedom) and not b.passes}
    if all(name in short for name, block in blocks.items() if np.isfinite(block.freedom)):
        found += [
            f"{name}: {block.freedom + 1} are too few for {bins} bins without replicas, "
            f"{enough + 1} would do"
            for name, block in short.items()
            if not block.passes
        ]
    if not scattered and any(block.passes == 1 for block in blocks.values()):
        found.append("training: one pass does not measure its scatter, 2 would do")
    return "; ".join(found)


def _p_value(along: np.ndarray, blocks: Sequence[Block]) -> float:
    """Return the p-value of a difference in units in which blocks sum to the unit matrix."""
    bins = len(along)
    known = sum((b.measured for b in blocks if np.isinf(b.freedom)), np.zeros((bins, bins)))
    estimates = [Estimate(b.measured, b.freedom) for b in blocks if np.isfinite(b.freedom)]
    full = [each for each in estimates if each.freedom >= bins + SPARE]
    few = [each for each in estimates if each.freedom < bins + SPARE]
    if not few:
        return significance.p_value(along, known, full)
    passes = Estimate(sum(each.matrix for each in few), min(each.freedom for each in few))
    return significance.p_value(along, known, full, passes)


def _freedom(blocks: Sequence[Block]) -> float:
    """Return the effective degrees of freedom of blocks that sum to the unit matrix."""

    def size(matrix: np.ndarray) -> float:
        return float(np.sum(matrix**2) + np.trace(matrix) ** 2)

    lost = sum(size(block.measured) / block.freedom for block in blocks)
    return size(_measured(blocks)) / lost if lost > 0 else np.inf


def pulls(differences: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return differences (k, B) over the error of each bin; NaN in bins without variance."""
    variance = np.diagonal(covariance)
    error = np.sqrt(np.where(variance > 0, variance, np.nan))
    return differences / error


def coverage(pulls: np.ndarray) -> dict[str, float]:
    """Return how often 68.3% intervals cover, with mean and width of the pulls (k, B).

    The error comes from the scatter between rows: bins of one row are correlated. Bins that are
    NaN do not count.
    """
    found = pulls[:, ~np.isnan(pulls).any(axis=0)]
    if not found.size:
        return dict.fromkeys(("coverage", "coverage_error", "pull_mean", "pull_width"), np.nan)
    rows = (np.abs(found) <= 1).mean(axis=1)
    error = rows.std(ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.nan
    return {
        "coverage": float(rows.mean()),
        "coverage_error": float(error),
        "pull_mean": float(found.mean()),
        "pull_width": float(np.sqrt(np.mean((found - found.mean()) ** 2))),
    }
