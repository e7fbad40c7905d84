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
# Name of the block that several nominal passes measure.
TRAINING = "training"


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
        return replace(self, measured=factor * self.measured, training=factor * self.training)


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

    Args:
        values: (R, B), R independent results.

    Returns:
        The covariance (B, B), with R - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two rows.

    Examples:
        >>> import numpy as np
        >>> scatter(np.array([[1.0, 5.0], [3.0, 5.0]])).measured.tolist()
        [[2.0, 0.0], [0.0, 0.0]]
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

    Args:
        values: (R, P, B) contents; of at least two replicas.

    Returns:
        The covariance (B, B) of the mean over P passes; with several, what training adds to it.

    Raises:
        ValueError: fewer than two replicas.
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

    Args:
        sides: (P, B) for each side, one or two.
        origins: what the variation was made from.

    Returns:
        The block (B, B); with several passes, what training adds to it.

    Examples:
        >>> import numpy as np
        >>> up, down = np.array([[1.0, -2.0]]), np.array([[-1.0, 2.0]])
        >>> of_shifts([up, down]).matrix.tolist()
        [[1.0, -2.0], [-2.0, 4.0]]
    """
    means = [side.mean(axis=0) for side in sides]
    measured = np.mean([np.outer(mean, mean) for mean in means], axis=0)
    passes = len(sides[0])
    if passes == 1:
        return Block(measured, np.inf, origins)
    training = np.mean([scatter(side).measured for side in sides], axis=0) / passes
    return Block(measured, np.inf, origins, training)


def training_error(shifts: np.ndarray) -> np.ndarray:
    """Return the error (B,) by training of the mean of shifts (P, B); NaN for one pass.

    Args:
        shifts: (P, B) by pass.

    Returns:
        (B,) standard deviation of the mean over passes.
    """
    passes, bins = shifts.shape
    if passes == 1:
        return np.full(bins, np.nan)
    return np.sqrt(shifts.var(axis=0, ddof=1) / passes)


def statistical(counts: sparse.csr_matrix, weights: np.ndarray) -> np.ndarray:
    """Return the covariance (B, B) of a histogram with entries (n, B) of events of weights (n,).

    Args:
        counts: (n, B), entries of each event per bin.
        weights: (n,) of the events.

    Returns:
        (B, B); events are independent.
    """
    weighted = counts.multiply(np.square(weights)[:, None]).tocsr()
    return np.asarray((counts.T @ weighted).todense())


def unit(content: np.ndarray) -> np.ndarray:
    """Return contents (..., B) scaled to unit sum; those without content stay 0.

    Args:
        content: (..., B).

    Returns:
        (..., B) of sum 1 over the last axis, or 0.
    """
    total = content.sum(axis=-1, keepdims=True)
    return content / np.where(total == 0, 1.0, total)


def of_unit(content: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the covariance (B, B) of `unit(content)` to first order, for that of content (B,).

    Args:
        content: (B,).
        covariance: (B, B) of it.

    Returns:
        (B, B), of which every row adds up to 0; all 0 without content.

    Examples:
        >>> import numpy as np
        >>> of_unit(np.array([3.0, 1.0]), np.diag([3.0, 1.0])).round(4).tolist()
        [[0.0469, -0.0469], [-0.0469, 0.0469]]
    """
    total = content.sum()
    if total == 0:
        return np.zeros_like(covariance)
    jacobian = (np.eye(len(content)) - unit(content)[:, None]) / total
    return jacobian @ covariance @ jacobian.T


def total(blocks: Iterable[Block]) -> np.ndarray:
    """Return the sum of the matrices of blocks, (B, B), positive semi-definite.

    Where the scatter of training that was subtracted leaves negative eigenvalues in the sum,
    relative to the errors as measured, these are set to 0.

    Args:
        blocks: one at least, (B, B) each.

    Returns:
        (B, B).
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
    sources: Sequence[str] = (),
) -> Chi2:
    """Test whether a difference (B,) is 0 within a covariance.

    Blocks are taken as measured: what scatter of training adds to them makes p-values too large,
    not too small. Bins without variance are left out. The p-value knows which blocks are known,
    and from how many replicas and passes the others are estimated (`significance`). Whether there
    is one depends on these numbers and that of bins alone (`lacking`).

    Args:
        difference: (B,) what is tested; sums to 0 where `normalised`.
        blocks: its covariance by name.
        origins: what the prediction in the difference was made by.
        normalised: contents have unit sum, so that V has one vanishing eigenvalue, whose direction
            is left out.
        sources: blocks without which there is no p-value.

    Returns:
        Chi-square, number of bins, freedom, p-value (NaN where there is none) and why there is
        none.

    Raises:
        ValueError: no block, or a block contains the difference that is tested.
    """
    _refuse(blocks, origins)
    variance = np.diagonal(_measured(blocks.values()))
    keep = variance > 0
    bins = max(int(keep.sum()) - normalised, 0)
    axes = _axes(_measured(blocks.values()), keep, bins)
    reason = lacking(blocks, bins, sources)
    if axes is None:
        return Chi2(np.nan, bins, np.nan, np.nan, reason or "the bins depend on one another")
    along, here = axes.T @ difference[keep], np.ix_(keep, keep)
    parts = [
        Estimate(block.measured[here], block.freedom).within(axes) for block in blocks.values()
    ]
    freedom = significance.effective_freedom(parts, bins)
    p_value = np.nan if reason else _p_value(along, parts)
    return Chi2(float(along @ along), bins, freedom, p_value, reason)


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


def lacking(blocks: Mapping[str, Block], bins: int, sources: Sequence[str] = ()) -> str:
    """Return why there is no p-value for so many bins, with what would do; empty if there is one.

    Replicas have to measure all directions with some freedom to spare, each kind by itself, because
    either may be the larger. Passes need not where replicas do.
    """
    estimated = [block for block in blocks.values() if np.isfinite(block.freedom)]
    missing = [name for name in sources if name not in blocks]
    if estimated and all(block.passes == 1 for block in estimated):
        missing = list(dict.fromkeys([*missing, TRAINING]))
    enough = bins + SPARE + 1
    return "; ".join([*too_few(blocks, bins), *(_missing(name, enough) for name in missing)])


def too_few(blocks: Mapping[str, Block], bins: int) -> list[str]:
    """Return which blocks have too few replicas or passes for an inverse, with what would do."""
    estimated = {name: block for name, block in blocks.items() if np.isfinite(block.freedom)}
    short = {name: block for name, block in estimated.items() if block.freedom < bins + SPARE}
    enough = bins + SPARE + 1
    found = [
        f"{name}: {block.freedom + 1} replicas are too few for {bins} bins, {enough} would do"
        for name, block in short.items()
        if block.passes
    ]
    found += [
        f"{name}: {block.freedom + 1} passes alone are too few for {bins} bins; {enough} would do, "
        "or as many replicas"
        for name, block in short.items()
        if len(short) == len(estimated) and not any(b.passes for b in estimated.values())
    ]
    return found


def error_of_errors(blocks: Mapping[str, Block]) -> float:
    """Return the relative error of an error bar, 1 / sqrt(2 f), of the block of least freedom f."""
    return float(1 / np.sqrt(2 * max(min(block.freedom for block in blocks.values()), 1.0)))


def _missing(name: str, enough: int) -> str:
    if name == TRAINING:
        return f"{name}: one pass does not measure it, 2 would do"
    return f"{name}: no replicas measure its statistics, {enough} would do"


def _p_value(along: np.ndarray, parts: Sequence[Estimate]) -> float:
    """Return the p-value of a difference (B,) in units in which parts sum to the unit matrix."""
    enough = len(along) + SPARE
    known = np.eye(len(along)) - sum(p.matrix for p in parts if np.isfinite(p.freedom))
    full = [part for part in parts if enough <= part.freedom < np.inf]
    few = [part for part in parts if part.freedom < enough]
    if not few:
        return significance.p_value(along, known, full)
    matrix = sum((part.matrix for part in few), np.zeros_like(known))
    passes = Estimate(matrix, min(part.freedom for part in few))
    return significance.p_value(along, known, full, passes)


def pulls(differences: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return differences (k, B) over the error of each bin; NaN in bins without variance.

    Args:
        differences: (k, B) between results and truth.
        covariance: (B, B) of a result.

    Returns:
        (k, B).

    Examples:
        >>> import numpy as np
        >>> pulls(np.array([[1.0, -1.0]]), np.diag([4.0, 0.25])).tolist()
        [[0.5, -2.0]]
    """
    variance = np.diagonal(covariance)
    error = np.sqrt(np.where(variance > 0, variance, np.nan))
    return differences / error


def coverage(pulls: np.ndarray) -> dict[str, float]:
    """Return how often 68.3% intervals cover, with mean and width of the pulls (k, B).

    The error comes from the scatter between rows: bins of one row are correlated. Bins that are
    NaN do not count.

    Args:
        pulls: (k, B), NaN for bins without variance.

    Returns:
        `coverage` and its error, `pull_mean` and `pull_width`; NaN without bins.
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
