"""Results of known content and covariance."""

from __future__ import annotations

import numpy as np

from omniflow.export.binned import Binned
from omniflow.export.references import Reference
from omniflow.observables.axes import Axis


def axis(name: str, bins: int) -> Axis:
    """Return an axis of bins of width 1."""
    edges = tuple(map(float, range(bins + 1)))
    return Axis(name, name, f"${name}$", "GeV", "event", edges)


def correlated(errors: np.ndarray, length: float) -> np.ndarray:
    """Return a covariance whose correlations fall off over so many bins."""
    places = np.arange(len(errors))
    rho = np.exp(-np.abs(places[:, None] - places) / length)
    return rho * np.outer(errors, errors)


def result(
    content: np.ndarray,
    blocks: dict[str, np.ndarray],
    bins: dict[str, int] | None = None,
    normalization: str = "absolute",
    references: dict[str, Reference] | None = None,
) -> Binned:
    """Return a result with these blocks, of one observable `x` or of several."""
    axes = tuple(axis(name, size) for name, size in (bins or {"x": len(content)}).items())
    total = np.sum(list(blocks.values()), axis=0) if blocks else None
    named = {n for n in blocks if n not in ("data", "simulation", "training")}
    shifts = {n: (np.sqrt(np.diagonal(blocks[n])),) for n in named}
    told = ("toy", "plain", "none", 1, normalization, axes, content)
    return Binned(*told, blocks, blocks, total, shifts, references or {}, {})


def falling(bins: int) -> np.ndarray:
    """Return yields that fall from 1000 to 135."""
    return 1000 * np.exp(-np.linspace(0, 2, bins))


def measured(bins: int = 6, seed: int = 1) -> Binned:
    """Return a draw about `falling` with statistics of 3%, training of 1% and a scale of 2%."""
    mean = falling(bins)
    tilt = 0.02 * mean * np.linspace(-1, 2, bins)
    blocks = {
        "data": correlated(0.03 * mean, 1.5),
        "training": 1e-4 * np.outer(mean, mean),
        "scale": np.outer(tilt, tilt),
    }
    rng = np.random.default_rng(seed)
    return result(rng.multivariate_normal(mean, sum(blocks.values())), blocks)
