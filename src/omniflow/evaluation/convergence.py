"""Convergence: how distances to data and truth change with the iterations, and where to stop."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from omniflow.evaluation.metrics import FLOORS, TD_SCALE
from omniflow.tables.convergence import CONVERGENCE, STOPPING

CONFIDENCE = 0.95

_SPECTRUM = ("data", "data_error", "simulation", "simulation_error")
_DISTANCE = ("iteration", "td", "td_floor")
# Numbers of bins (B,), and data and simulation with their errors, (4, B).
_Spectrum = tuple[np.ndarray, np.ndarray]


def falls(level: str, bins: pd.DataFrame, distances: pd.DataFrame) -> pd.DataFrame:
    """Build rows of convergence.csv: how far distances fall from each iteration to later ones.

    With data p and simulation q_n of unit sum, the fall of TD from iteration n to m changes with a
    fluctuation d of p - q by sum_b d_b (q_m - q_n)_b / (p + q)_b: the square of d is in both
    distances and cancels. The standard deviation of that is the error. The uncertainty adds, in
    quadrature, the floor, the distance that statistics cause by themselves: a fall by less than the
    floor could be the simulation following fluctuations of the data. (A rise cannot, so that it is
    judged by its error alone.) Bins are taken as independent.

    Args:
        level: of the distances: `detector`, or `particle` (see `truth_as_data`).
        bins: rows of detector.csv.
        distances: rows of detector_summary.csv.

    Returns:
        One row per method, combination, observable and pair of iterations, from 0.
    """
    keys = ["method", "combine", "observable"]
    by_result = bins.groupby([*keys, "iteration"], sort=False).indices
    number, spectra = bins["bin"].to_numpy(), bins[[*_SPECTRUM]].to_numpy().T
    rows = []
    # Without data or simulation in the bins there is no distance.
    for key, own in distances.dropna(subset="td").groupby(keys, sort=False):
        own = own.sort_values("iteration")
        found = []
        for iteration, td, floor in zip(*(own[c] for c in _DISTANCE), strict=True):
            there = by_result[*key, iteration]
            found.append((iteration, td, floor, (number[there], spectra[:, there])))
        for (now, before, _, spectrum), (later, td, floor, following) in combinations(found, 2):
            error = _change_error(spectrum, following)
            place = (level, *key, now, later)
            rows.append((*place, td, floor, before - td, error, float(np.hypot(error, floor))))
    return CONVERGENCE.build(pd.DataFrame(rows, columns=CONVERGENCE.names))


def truth_as_data(
    metrics: pd.DataFrame, summary: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return metrics.csv and summary.csv as `falls` takes them: truth for data.

    Iteration 0 is the simulation before unfolding.
    """
    names = dict(zip(("truth", "truth_error", "mean", "mean_error"), _SPECTRUM, strict=True))
    first = metrics[metrics["iteration"] == 1]
    prior = first.assign(iteration=0, mean=first["prior"], mean_error=first["prior_error"])
    start = summary[summary["iteration"] == 1]
    start = start.assign(iteration=0, td=start["td_prior"], td_floor=start["td_prior_floor"])
    return (
        pd.concat([prior, metrics], ignore_index=True).rename(columns=names),
        pd.concat([start, summary], ignore_index=True),
    )


def rises(rows: pd.DataFrame) -> pd.DataFrame:
    """Return those rows of `falls` whose distance rises beyond its statistical uncertainty.

    By more than its error allows at 95% confidence, shared among all rows, and to above the floor.
    """
    if rows.empty:
        return rows
    limit = ndtri(1 - (1 - CONFIDENCE) / len(rows))
    return rows[(-rows["fall"] > limit * rows["error"]) & (rows["td"] > rows["td_floor"])]


def change_error(now: pd.DataFrame, following: pd.DataFrame) -> float:
    """Return the standard deviation of the change of TD between two spectra, x 1000.

    Args:
        now: bins of data and simulation with their errors, of one observable.
        following: bins of data and simulation with their errors, of one observable.
    """
    return _change_error(
        *((each["bin"].to_numpy(), each[[*_SPECTRUM]].to_numpy().T) for each in (now, following))
    )


def _change_error(now: _Spectrum, following: _Spectrum) -> float:
    """Return `change_error` of two spectra."""
    bins = np.union1d(now[0], following[0])
    data, data_error, simulation, own = _on(bins, now)
    data_next, data_error_next, simulation_next, _ = _on(bins, following)
    data = np.where(data != 0, data, data_next)
    error = np.maximum(data_error, data_error_next) / data.sum()
    p = data / data.sum()
    q, q_next = (each / each.sum() for each in (simulation, simulation_next))
    own = own / simulation.sum()
    total = np.abs(p) + (np.abs(q) + np.abs(q_next)) / 2
    used = total > 0
    terms = (q_next - q)[used] ** 2 * (error**2 + own**2)[used] / total[used] ** 2
    return TD_SCALE * float(np.sqrt(terms.sum()))


def _on(bins: np.ndarray, spectrum: _Spectrum) -> np.ndarray:
    """Return data and simulation with their errors on these bins, (4, B); 0 where none is known."""
    number, values = spectrum
    found = np.zeros((len(values), len(bins)))
    found[:, np.searchsorted(bins, number)] = values
    return np.where(np.isnan(found), 0.0, found)


@dataclass(frozen=True)
class Suggestion:
    """Where the iterations of a method could stop.

    Attributes:
        iteration: the first after which no observable's distance to data falls by more than its
            uncertainty, up to any later iteration; None where the last still made it fall by more.
        observable: the one whose fall forbids to stop an iteration earlier; None for iteration 1.
        to: the iteration up to which it falls; None without.
        fall, uncertainty: of that observable from one iteration earlier to `to`; NaN without.
        last: number of iterations of the study.
        above_floor: observables whose distance exceeds FLOORS times its floor in that iteration
            (the last where there is none).
        rising: those whose distance rises after it by more than the uncertainty.
    """

    iteration: int | None
    observable: str | None
    to: int | None
    fall: float
    uncertainty: float
    last: int
    above_floor: tuple[str, ...]
    rising: tuple[str, ...]


def suggest(rows: pd.DataFrame) -> Suggestion:
    """Return where to stop by the rows of `falls` of one method and combination."""
    last = int(rows["to"].max())
    counts = rows[(rows["iteration"] >= 1) & (rows["fall"] > rows["uncertainty"])]
    stop = 1 if counts.empty else int(counts["iteration"].max()) + 1
    here = rows[(rows["iteration"] == 0) & (rows["to"] == stop)]
    after = rows[rows["iteration"] == stop]
    observable, to, fall, uncertainty = None, None, np.nan, np.nan
    if len(counts):
        final = counts[counts["iteration"] == stop - 1]
        decisive = final.loc[(final["fall"] / final["uncertainty"]).idxmax()]
        observable, to = str(decisive["observable"]), int(decisive["to"])
        fall, uncertainty = float(decisive["fall"]), float(decisive["uncertainty"])
    return Suggestion(
        stop if stop < last else None,
        observable,
        to,
        fall,
        uncertainty,
        last,
        tuple(here.loc[here["td"] > FLOORS * here["td_floor"], "observable"]),
        tuple(after.loc[after["fall"] < -after["uncertainty"], "observable"].unique()),
    )


def stopping_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Build stopping.csv from the rows of `falls` at detector level."""
    table = []
    for method, own in rows.groupby("method", sort=False):
        found = vars(suggest(own))
        names = {key: " ".join(found[key]) for key in ("above_floor", "rising")}
        names["observable"] = found["observable"] or ""
        table.append({"method": method} | found | names)
    return STOPPING.build(table)
