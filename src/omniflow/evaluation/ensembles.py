"""Spread over passes against the number of lanes, or members of the last step, that are combined.

With v_b(n) the variance over passes of the content of bin b, averaged over the ensembles of n lanes
and divided by the squared mean content of all lanes, sigma_rel(n) is the mean over bins of
sqrt(v_b(n)). Lanes of independent scatter give sigma_rel(1) / sqrt(n). What the lanes of one pass
share does not average away; then v_b(n) = f_b + (v_b(1) - f_b) / n, exactly so for the mean.

Members of the last step share the weights of earlier steps, in which all members took part: their
spread is conditional on these, and f_b holds what earlier steps scatter by.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from omniflow.evaluation.histograms import Histogram
from omniflow.evaluation.metrics import spread
from omniflow.evaluation.spectra import Normalization
from omniflow.tables.comparisons import NETWORKS

# Relative spreads below are taken for rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Ensembles:
    """Histograms of smaller ensembles of one method.

    Attributes:
        method, combine: which lanes, and how they are combined.
        varied: what ensembles differ by: `lanes`, or `members` of the last step.
        lanes, members: of the whole ensemble.
        networks: per step, of the whole ensemble.
        subsets: lanes or members of each ensemble, by size, single ones first and all last.
        contents: observable -> contents (subset, pass, B) after the last iteration.
    """

    method: str
    combine: str
    varied: str
    lanes: int
    members: int
    networks: int
    subsets: Sequence[tuple[int, ...]]
    contents: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Curve:
    """Spread by size of the ensemble, K sizes, with errors from a bootstrap over passes.

    Attributes:
        sizes: (K,) lanes or members that are combined.
        sigma_rel: (2, K) mean over bins of the relative spread, and its error.
        expected: (2, K) that of a single one over the square root of the size.
        ratio: (2, K) spread of all over that of fewer.
        floor_squared: (2,) mean over bins of f_b from a straight line in 1 / n, signed.
    """

    sizes: np.ndarray
    sigma_rel: np.ndarray
    expected: np.ndarray
    ratio: np.ndarray
    floor_squared: np.ndarray


def curve(contents: np.ndarray, sizes: np.ndarray) -> Curve:
    """Return the spread by size of the ensemble.

    Args:
        contents: (subset, pass, B) contents, not 0 on average, of two passes or more.
        sizes: (subset,) lanes or members of each, increasing from 1.

    Returns:
        Sizes (K,), and by size spread, expectation and ratio with their errors, (2, K) each.
    """
    found = spread(contents.swapaxes(0, 1).reshape(contents.shape[1], -1), None)
    several, which = np.unique(sizes, return_inverse=True)
    average = np.equal.outer(np.arange(len(several)), which)  # (K, subset)
    average = average / average.sum(axis=1, keepdims=True)
    fit = np.linalg.pinv(np.stack([np.ones(len(several)), 1 / several], axis=1))[0]

    def numbers(statistics: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        shape = (-1, len(contents), contents.shape[2])
        mean, sigma = (statistics[name].reshape(shape) for name in ("mean", "sigma_rel"))
        variance = average @ (sigma * mean) ** 2 / mean[:, -1:] ** 2
        spreads = np.sqrt(variance).mean(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = spreads[:, -1:] / spreads
        # Replicas of one pass alone have no spread but that of rounding.
        ratio[spreads[:, 0] < _ROUNDING] = np.nan
        return {
            "sigma_rel": spreads,
            "expected": spreads[:, :1] / np.sqrt(several),
            "ratio": ratio,
            "floor_squared": np.einsum("k,rkb->rb", fit, variance).mean(axis=1),
        }

    values, replicas = numbers(found.values), numbers(found.replicas)
    with warnings.catch_warnings():
        # Of ratios that no replica has.
        warnings.simplefilter("ignore", RuntimeWarning)
        errors = {name: np.nanstd(value, axis=0, ddof=1) for name, value in replicas.items()}
    return Curve(
        several, **{name: np.stack([value[0], errors[name]]) for name, value in values.items()}
    )


def networks_table(
    results: Iterable[Ensembles],
    truth: Mapping[str, Histogram] | None,
    normalization: Normalization,
) -> pd.DataFrame:
    """Build networks.csv; bins and averages are those of `unfolding_tables`.

    Args:
        results: ensembles of every method that has several lanes or members.
        truth: observable -> truth, (B,); None for real data.
        normalization: of contents.
    """
    frames = []
    for result in results:
        sizes = np.array([len(subset) for subset in result.subsets])
        for observable, contents in result.contents.items():
            keep = contents[-1].mean(axis=0) != 0
            if truth is not None:
                keep &= truth[observable].filled
            if not keep.any():
                continue
            if normalization == "shape":
                contents = contents / contents.sum(axis=2, keepdims=True)
            found = curve(contents[:, :, keep], sizes)
            columns = {"varied": result.varied, "lanes": result.lanes, "members": result.members}
            columns[result.varied] = found.sizes
            columns["networks"] = found.sizes * result.networks // sizes.max()
            columns["subsets"] = [int((sizes == size).sum()) for size in found.sizes]
            for name in ("sigma_rel", "expected", "ratio", "floor_squared"):
                columns[name], columns[f"{name}_error"] = getattr(found, name)
            keys = {"method": result.method, "combine": result.combine, "observable": observable}
            frames.append(pd.DataFrame(keys | columns | {"passes": contents.shape[1]}))
    return NETWORKS.build(pd.concat(frames) if frames else [])
