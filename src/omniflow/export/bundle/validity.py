"""Validity: what the weights of a bundle cannot be used for.

The two checks of bins are those that the ATLAS Z + jets release (arXiv:2405.20041) recommends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from omniflow.export.bundle.histogram import Histograms
from omniflow.export.bundle.more import Bins, Limits


def warn(found: Histograms, limits: Limits, data: str | None) -> tuple[str, ...]:
    """Return what is to be said of bins, by observable.

    Args:
        found: contents and covariance.
        limits: that bins are held against.
        data: block of the statistics of the data; None: not measured.

    Returns:
        Sentences; none where all is within the limits.
    """
    lines = []
    for (name, rows), edges in zip(found.rows.items(), found.edges, strict=True):
        lines += list(_of_effective(name, found.effective[rows], edges, limits))
        error = data_error(found, rows, data)
        if error is not None:
            lines += list(_of_data(name, error, edges, limits))
    return tuple(lines)


def data_error(found: Histograms, rows: slice, data: str | None) -> np.ndarray | None:
    """Return the relative error (B,) of bins by the statistics of the data.

    Args:
        found: contents and covariance.
        rows: the bins.
        data: block of these statistics.

    Returns:
        (B,), infinite without content; None where it is not measured.
    """
    if data is None:
        return None
    content = np.abs(found.content[rows])
    error = np.sqrt(np.maximum(np.diagonal(found.blocks[data])[rows], 0))
    return np.divide(error, content, out=np.full_like(content, np.inf), where=content > 0)


def bins(found: Histograms, data: str | None) -> dict[str, Bins]:
    """Return what the bins of each observable rest on.

    Args:
        found: contents and covariance, not normalised.
        data: block of the statistics of the data.
    """
    told = {}
    for at, (name, rows) in enumerate(found.rows.items()):
        error = data_error(found, rows, data)
        outside, inside = found.flow[at].sum(), found.content[rows].sum()
        whole = outside + inside
        told[name] = Bins(
            edges=tuple(found.edges[at].tolist()),
            effective=tuple(found.effective[rows].round(1).tolist()),
            data_error=None
            if error is None
            else tuple(each if np.isfinite(each) else None for each in error.tolist()),
            outside=float(outside / whole) if whole else 0.0,
        )
    return told


def _of_effective(
    name: str, effective: np.ndarray, edges: np.ndarray, limits: Limits
) -> Iterator[str]:
    empty = np.flatnonzero(effective == 0)
    if len(empty):
        yield f"{name}: no simulated event in {_where(edges, empty)}; nothing is known there"
    few = np.flatnonzero((effective > 0) & (effective < limits.effective))
    if len(few):
        yield (
            f"{name}: fewer than {limits.effective:,g} effective events in {_where(edges, few)} "
            f"(least: {effective[few].min():,.0f})"
        )


def _of_data(name: str, error: np.ndarray, edges: np.ndarray, limits: Limits) -> Iterator[str]:
    large = np.flatnonzero(np.isfinite(error) & (error >= limits.data_error))
    if len(large):
        yield (
            f"{name}: the statistics of the data are {limits.data_error:.0%} or more in "
            f"{_where(edges, large)} (most: {error[large].max():.0%})"
        )


def _where(edges: np.ndarray, which: Sequence[int] | np.ndarray) -> str:
    shown = [f"[{edges[i]:g}, {edges[i + 1]:g})" for i in which[:3]]
    more = f" and {len(which) - 3} more" if len(which) > 3 else ""
    return f"{len(which)} of {len(edges) - 1} bins: {', '.join(shown)}{more}"
