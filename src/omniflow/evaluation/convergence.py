"""Convergence: how the distance to data falls with the iterations, and where to stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from omniflow.evaluation.metrics import TD_SCALE

FALL_COLUMNS = (
    *("method", "combine", "observable", "iteration"),
    *("td", "td_floor", "fall", "uncertainty"),
)

_SPECTRUM = ["bin", "data", "data_error", "simulation", "simulation_error"]


def falls(detector: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return the distance to data after each iteration and how far the next lets it fall.

    With data p and simulation q_n of unit sum, the fall of TD from iteration n to n + 1 changes
    with a fluctuation d of p - q by sum_b d_b (q_n+1 - q_n)_b / (p + q)_b: the square of d is in
    both distances and cancels. The uncertainty adds to the standard deviation of that, in
    quadrature, the floor, the distance that statistics cause by themselves: a fall by less than
    the floor could be the simulation following fluctuations of the data. Bins are taken as
    independent.

    Args:
        detector: rows of detector.csv.
        summary: rows of detector_summary.csv.

    Returns:
        One row per method, combination, observable and iteration from 0 (FALL_COLUMNS); fall and
        uncertainty of the last iteration are NaN.
    """
    keys = ["method", "combine", "observable"]
    bins = dict(iter(detector.groupby(keys, sort=False)))
    rows = []
    for key, distances in summary.groupby(keys, sort=False):
        spectra = dict(iter(bins[key].groupby("iteration")))
        distances = distances.set_index("iteration").sort_index()
        for iteration, row in distances.iterrows():
            fall = uncertainty = np.nan
            if iteration + 1 in distances.index:
                following = distances.loc[iteration + 1]
                fall = row["td"] - following["td"]
                error = _error(spectra[iteration], spectra[iteration + 1])
                uncertainty = float(np.hypot(error, following["td_floor"]))
            rows.append((*key, iteration, row["td"], row["td_floor"], fall, uncertainty))
    return pd.DataFrame(rows, columns=FALL_COLUMNS)


def _error(now: pd.DataFrame, following: pd.DataFrame) -> float:
    """Return the standard deviation of the fall between two spectra of one observable, x 1000."""
    both = (
        now[_SPECTRUM]
        .merge(following[_SPECTRUM], on="bin", suffixes=("", "_next"), how="outer")
        .fillna(0.0)
    )
    data = both["data"].where(both["data"] != 0, both["data_next"]).to_numpy()
    error = np.maximum(both["data_error"], both["data_error_next"]).to_numpy() / data.sum()
    p = data / data.sum()
    q, q_next = (both[c].to_numpy() / both[c].sum() for c in ("simulation", "simulation_next"))
    own = both["simulation_error"].to_numpy() / both["simulation"].sum()
    total = p + (q + q_next) / 2
    used = total > 0
    terms = (q_next - q)[used] ** 2 * (error**2 + own**2)[used] / total[used] ** 2
    return TD_SCALE * float(np.sqrt(terms.sum()))


@dataclass(frozen=True)
class Suggestion:
    """Where the iterations of a method could stop.

    Attributes:
        iteration: the first after which the distance to data falls in no observable by more than
            its uncertainty; None where the last iteration still made it fall by more.
        observable: the one that settled last; None where none has fallen after iteration 1.
        fall, uncertainty: of that observable in its last step that counts; NaN without.
        last: number of iterations of the study.
    """

    iteration: int | None
    observable: str | None
    fall: float
    uncertainty: float
    last: int


def suggest(rows: pd.DataFrame) -> Suggestion:
    """Return where to stop by the rows of `falls` of one method and combination."""
    last = int(rows["iteration"].max())
    counts = rows[(rows["iteration"] >= 1) & (rows["fall"] > rows["uncertainty"])]
    if counts.empty:
        return Suggestion(1 if last > 1 else None, None, np.nan, np.nan, last)
    final = counts[counts["iteration"] == counts["iteration"].max()]
    decisive = final.loc[(final["fall"] / final["uncertainty"]).idxmax()]
    stop = int(decisive["iteration"]) + 1
    return Suggestion(
        stop if stop < last else None,
        str(decisive["observable"]),
        float(decisive["fall"]),
        float(decisive["uncertainty"]),
        last,
    )
