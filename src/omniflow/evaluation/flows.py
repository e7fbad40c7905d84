"""Flows: how much lies below the first bin of an observable and above the last."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from omniflow.evaluation.histograms import Histogram
from omniflow.tables.results import FLOWS

LIMIT = 0.01  # larger shares are told

# Level, sample (data, which are the truth at particle level, or simulation), and the method that
# the simulation is reweighted by, empty before unfolding.
Key = tuple[str, str, str]


def flows_table(histograms: Mapping[Key, Mapping[str, Histogram]]) -> pd.DataFrame:
    """Build flows.csv: weights of entries, and the share of those outside.

    Weights of both signs count by the magnitude of their three sums.

    Args:
        histograms: by observable, (B,) or (passes, B), of which the mean is taken; those without
            flow have no row.
    """
    rows = []
    for key, found in histograms.items():
        for name, histogram in found.items():
            if histogram.flow is None:
                continue
            below, above = np.atleast_2d(histogram.flow).mean(axis=0)
            inside = np.atleast_2d(histogram.content).sum(axis=1).mean()
            whole = abs(below) + abs(inside) + abs(above)
            outside = (abs(below) + abs(above)) / whole if whole else np.nan
            rows.append((name, *key, below, inside, above, outside))
    return FLOWS.build(pd.DataFrame(rows, columns=FLOWS.names))


def notes(flows: pd.DataFrame) -> list[str]:
    """Return a note on every observable of which more than `LIMIT` lies outside of its bins."""
    found = []
    for name, rows in flows[flows["outside"] > LIMIT].groupby("observable", sort=False):
        worst = rows.loc[rows["outside"].idxmax()]
        whole = abs(worst[["below", "inside", "above"]].astype(float)).sum()
        sides = [
            f"{abs(worst[side]) / whole:.1%} {side}" for side in ("below", "above") if worst[side]
        ]
        found.append(
            f"{name}: {worst['outside']:.1%} of {_words(worst)} lies outside of the bins "
            f"({', '.join(sides)}). Results are of what lies inside; flows.csv tells of the rest, "
            "and observables.binning moves the edges."
        )
    return found


def _words(row: pd.Series) -> str:
    if row["sample"] == "data":
        return "the data" if row["level"] == "detector" else "the truth"
    what = f"the result of {row['method']}" if row["method"] else "the simulation"
    return f"{what} at {row['level']} level"
