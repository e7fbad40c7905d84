"""Tables of final event weights: their sums and sizes, their tails, their distribution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from omniflow.evaluation import tails
from omniflow.evaluation.histograms import Histogram
from omniflow.events.quality import effective_size, measure
from omniflow.tables.event_weights import EFFECTIVE_SIZES, TAILS, WEIGHT_DISTRIBUTIONS, WEIGHTS


@dataclass(frozen=True)
class FinalWeights:
    """Event weights of one method, combination and pass.

    Attributes:
        method, combine, pass_: whose they are.
        scale: factor s on the simulation.
        base: (n,) base weights of the unfolded events, times s.
        ratios: nu of every iteration, (n,) each, made when it is asked for.
    """

    method: str
    combine: str
    pass_: int
    scale: float
    base: np.ndarray
    ratios: Iterable[np.ndarray]


def weights_table(results: Iterable[FinalWeights]) -> pd.DataFrame:
    """Build weights.csv: what sums, extremes and effective sizes are after each iteration."""
    rows = []
    for result in results:
        before = result.base.sum()
        for iteration, ratio in enumerate(result.ratios, start=1):
            found = measure(result.base * ratio)
            rows.append(
                {
                    "method": result.method,
                    "combine": result.combine,
                    "pass": result.pass_,
                    "iteration": iteration,
                    "sum": found.total,
                    "minimum": ratio.min(),
                    "maximum": ratio.max(),
                    "mean": ratio.mean(),
                    "ess": found.effective,
                    "scale": result.scale,
                    "events": found.events,
                    "largest": found.largest,
                    "negative": found.negative,
                    "sum_before": before,
                }
            )
    return WEIGHTS.build(rows)


def tails_tables(results: Iterable[FinalWeights]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build tails.csv and weight_distributions.csv.

    Args:
        results: of all passes, in the order of the methods.

    Returns:
        Tails per pass and iteration, and the distribution after the last iteration.
    """
    rows, parts = [], []
    for result in results:
        before = np.ones(len(result.base))
        for iteration, ratio in enumerate(result.ratios, start=1):
            keys = {"method": result.method, "pass": result.pass_, "iteration": iteration}
            rows.append(keys | tails.tails(result.base, ratio, before))
            before = ratio
        low, events = tails.distribution(before)
        parts.append(pd.DataFrame({"low": low.round(4), "fraction": events / len(before)}))
        parts[-1].insert(0, "method", result.method)
    return TAILS.build(rows), _distribution(parts, len({row["pass"] for row in rows}))


def _distribution(parts: list[pd.DataFrame], passes: int) -> pd.DataFrame:
    """Return the mean over passes; a bin that a pass has no event in counts with 0."""
    total = pd.concat(parts).groupby(["method", "low"], sort=False)["fraction"].sum()
    found = (total / passes).reset_index()
    found["high"] = (found["low"] + tails.WIDTH).round(4)
    order = {method: i for i, method in enumerate(found["method"].unique())}
    found = found.sort_values(
        ["method", "low"], key=lambda c: c.map(order) if c.name == "method" else c
    )
    return WEIGHT_DISTRIBUTIONS.build(found)


def effective_sizes_table(
    results: Mapping[str, Mapping[str, Histogram]],
    prior: Mapping[str, Histogram],
    edges: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Build effective_sizes.csv.

    Args:
        results: method -> observable -> contents (passes, B).
        prior: observable -> simulation before unfolding, (B,).
        edges: observable -> (B + 1,).

    Returns:
        One row per method, observable and bin with entries.
    """
    found = []
    for method, histograms in results.items():
        for name, edge in edges.items():
            after, before = histograms[name], prior[name]
            columns = {
                "bin": np.arange(len(edge) - 1),
                "low": edge[:-1],
                "high": edge[1:],
                "ess": effective_size(after.content, after.variance).mean(axis=0),
                "ess_prior": effective_size(before.content, before.variance),
            }
            rows = pd.DataFrame({"method": method, "observable": name} | columns)
            found.append(rows[after.filled.any(axis=0)])
    return EFFECTIVE_SIZES.build(pd.concat(found))
