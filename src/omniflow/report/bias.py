"""Bias: how much of it statistics alone give to a result that has none."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from omniflow.evaluation.metrics import FLOORS
from omniflow.report.tables import ReportTables

# A bias up to so many times its expectation cannot be told from none: in the square, as for the
# floor of the triangular discriminator.
FACTOR = math.sqrt(FLOORS)


def unbiased(
    spread: np.ndarray | float, passes: np.ndarray | int, statistics: np.ndarray | float = 0.0
) -> np.ndarray | float:
    """Return the magnitude of the bias that a result without bias shows on average.

    The mean of N passes scatters by spread / √N about the mean over all possible passes, which
    differs from truth by the statistical fluctuations of both. The mean magnitude of a normal
    variable is √(2 / π) of its width.

    Args:
        spread: of single passes, relative.
        passes: N.
        statistics: relative statistical error of the difference between result and truth.
    """
    return np.sqrt(2 / np.pi * (np.square(statistics) + np.square(spread) / passes))


def statistics(tables: ReportTables) -> pd.DataFrame:
    """Return the statistical error of content less truth over truth (method, observable).

    The mean over bins, of headline results of the last iteration, as if the simulation and the
    events of the truth were independent and the detector lost and smeared nothing.
    """
    rows = tables.headline("metrics", tables.study.iterations)
    return _mean(tables, rows, np.hypot(rows["truth_error"], rows["mean_error"]) / _size(rows))


def expected(tables: ReportTables) -> pd.DataFrame:
    """Return the average over bins of |bias_rel| without any bias (method, observable).

    By `unbiased` in each bin, with the scatter of passes (none where there is one pass).
    """
    rows = tables.headline("metrics", tables.study.iterations)
    fluctuation = np.hypot(rows["truth_error"], rows["mean_error"]) / _size(rows)
    spread = (rows["sigma_rel"] * rows["mean"].abs() / _size(rows)).fillna(0.0)
    return _mean(tables, rows, unbiased(spread, rows["passes"], fluctuation))


def _size(rows: pd.DataFrame) -> pd.Series:
    """Return what a bias is relative to: the magnitude of truth, NaN where that is 0."""
    return rows["truth"].abs().where(rows["truth"] != 0)


def _mean(tables: ReportTables, rows: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    found = values.groupby([rows["method"], rows["observable"]]).mean().unstack("observable")
    study = tables.study
    return found.reindex(
        index=[m.name for m in study.methods], columns=[o.name for o in study.observables]
    )
