"""Bias: how much of it passes and statistics alone give to a result that has none."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from omniflow.evaluation.metrics import FLOORS
from omniflow.report.content import ReportTables
from omniflow.report.formats import number, percent
from omniflow.report.ranking import CONFIDENCE

# A bias up to so many times its expectation cannot be told from none: in the square, as for the
# floor of the triangular discriminator.
FACTOR = math.sqrt(FLOORS)
UNKNOWN = (
    "How much more losses and smearing by the detector add is not known without replicas "
    "(uncertainties.data_replicas and simulation_replicas)."
)


def unbiased(
    spread: np.ndarray | float, passes: np.ndarray | int, statistics: np.ndarray | float = 0.0
) -> np.ndarray | float:
    """Return the magnitude of the bias that a result without bias shows on average.

    The mean of N passes scatters by spread / √N about the mean over all possible passes, which
    differs from truth by the statistical fluctuations of both. The mean magnitude of a normal
    variable is √(2 / π) of its width.

    Args:
        spread: of single passes, relative; a number or (k,).
        passes: N; a number or (k,).
        statistics: relative statistical error of the difference between result and truth; a number
            or (k,).

    Returns:
        A number or (k,).
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


def scatter(tables: ReportTables) -> pd.DataFrame:
    """Return the average over bins of |bias_rel| by the scatter of passes alone.

    By method and observable; 0 with one pass, whose scatter is not known.
    """
    rows = tables.headline("metrics", tables.study.iterations)
    spread = (rows["sigma_rel"] * rows["mean"].abs() / _size(rows)).fillna(0.0)
    return _mean(tables, rows, unbiased(spread, rows["passes"]))


def p_value(tables: ReportTables, method: str) -> float:
    """Return the probability that data, simulation and training give what a result is off truth.

    That of chi2.csv, smallest over observables and corrected for their number. Replicas went
    through the detector as the events did. NaN without replicas, or with too few of them.
    """
    if "chi2" not in tables:
        return math.nan
    tests = tables["chi2"]
    rows = tests[(tests["method"] == method) & (tests["prediction"] == "truth")]
    found = rows["p_value"].dropna()
    return min(1.0, float(found.min()) * len(found)) if len(found) else math.nan


def words(tables: ReportTables, method: str) -> str:
    """Return how a method's bias compares with what one without bias shows, in a sentence."""
    size, alone, passes = (
        float(frame.loc[method].mean())
        for frame in (tables.averages("bias_rel"), expected(tables), scatter(tables))
    )
    text = f"The mean |bias_rel| of {method} is {percent(size)}. "
    if passes > 0:
        text += f"The scatter of its passes alone gives {percent(passes)}, "
    text += f"{'with' if passes > 0 else 'The'} statistics of independent events"
    text += f" {percent(alone)}" if passes > 0 else f" alone give {percent(alone)}"
    probability = p_value(tables, method)
    if probability < 1 - CONFIDENCE:
        return f"{text}; χ² tests against truth exclude both (p = {number(probability, 2)})."
    if size <= FACTOR * alone or probability >= 1 - CONFIDENCE:
        return f"{text}: it cannot be told from none."
    return f"{text}. {UNKNOWN}"


def _mean(tables: ReportTables, rows: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    found = values.groupby([rows["method"], rows["observable"]]).mean().unstack("observable")
    study = tables.study
    return found.reindex(
        index=[m.name for m in study.methods], columns=[o.name for o in study.unfolded]
    )
