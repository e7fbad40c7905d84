"""Two studies: ratios of spread and MSE, differences of bias, and what each cost, per method.

Passes of two studies go together where both have the same events and random numbers; elsewhere the
two are compared apart (`omniflow.evaluation.comparison`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from omniflow.evaluation import comparison
from omniflow.evaluation.comparison import ALL
from omniflow.evaluation.metrics import SEED, spread
from omniflow.tables.shared import METHOD, OBSERVABLE
from omniflow.tables.table import Table, number, text, whole

PAIRED, UNPAIRED = "paired", "unpaired"
NETWORKS, HOURS = "networks_per_pass", "core_hours_per_pass"
COSTS = (NETWORKS, HOURS)

STUDIES = Table(
    "studies.csv",
    "differences of studies, by method, metric and observable",
    columns=(
        text("study", "label of the study"),
        text("reference", "label of the study that it is compared with"),
        METHOD,
        text("reference_method", "method of the reference that it is compared with"),
        text("combine", "combination of its lanes"),
        text("reference_combine", "that of the reference"),
        text(
            "metric",
            "`sigma_rel`, `rel_mse` and `bias_rel` (with truth); `networks_per_pass`, "
            "`core_hours_per_pass`",
        ),
        OBSERVABLE,
        number("value", "mean over bins; of all, over observables"),
        number("value_error", "bootstrap over passes"),
        number("reference_value", "that of the reference"),
        number("reference_error", "its error"),
        number("ratio", "to the reference: geometric mean over bins; of all, over observables"),
        number("log_error", "standard deviation of its logarithm"),
        number("p_value", "probability of a ratio as far from 1 if they do not differ"),
        number("p_adjusted", "`p_value` corrected for all methods and studies"),
        number("difference", "`value` - `reference_value`, of `bias_rel`"),
        number("difference_error", "bootstrap over passes"),
        whole("bins", "that took part"),
        whole("passes", "of the study"),
        whole("reference_passes", "of the reference"),
        text("test", "`paired` or `unpaired`; empty: none"),
    ),
    key=("study", "method", "reference_method", "metric", "observable"),
)


@dataclass(frozen=True)
class Result:
    """A method of a study, as it is compared.

    Attributes:
        study, method, combine: label of the study, and what of it.
        contents: observable -> (N, B) of N passes, after the last iteration.
        networks: trainings in one pass.
        hours: core hours of training per pass, and their error; NaN where they are not known.
    """

    study: str
    method: str
    combine: str
    contents: Mapping[str, np.ndarray]
    networks: int
    hours: tuple[float, float] = (math.nan, math.nan)

    @property
    def passes(self) -> int:
        """Number of passes."""
        return len(next(iter(self.contents.values())))


@dataclass(frozen=True)
class Pair:
    """A result and what it is compared with, of the same observables and bins.

    Attributes:
        reference, other: both.
        truth: observable -> (B,), NaN in bins without; None without any.
        paired: whether pass i of both share events and random numbers.
    """

    reference: Result
    other: Result
    truth: Mapping[str, np.ndarray] | None
    paired: bool

    @property
    def observables(self) -> list[str]:
        """Names of what is compared."""
        return list(self.reference.contents)


def studies_table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """Build the table of differences; p-values are corrected for all pairs.

    Args:
        pairs: of every method and study, each with two passes or more.
    """
    table = pd.DataFrame([row for pair in pairs for row in _rows(pair)])
    table["p_adjusted"] = np.nan
    for _, rows in table[table["p_value"].notna()].groupby(["metric", "observable"]):
        table.loc[rows.index, "p_adjusted"] = comparison.adjusted(rows["p_value"].tolist())
    return STUDIES.build(table)


def _rows(pair: Pair) -> Iterator[dict[str, Any]]:
    """Yield the rows of a pair: metrics, each of all and per observable, then costs."""
    seeds = (SEED, SEED if pair.paired else SEED + 1)
    sides = (pair.reference, pair.other)
    old, new = (
        _averages(side.contents, pair.truth, s) for side, s in zip(sides, seeds, strict=True)
    )
    for metric in old:
        columns: dict[str, Any] = _values(old[metric], new[metric])
        if metric == "bias_rel":
            columns |= _difference(old[metric], new[metric])
            columns["bins"] = _bins(pair)
        else:
            columns |= _ratios(pair, metric)
        frame = pd.DataFrame({"observable": [ALL, *pair.observables]} | columns)
        yield from (_place(pair, metric) | row for row in frame.to_dict("records"))
    for metric, a, b in (
        (NETWORKS, (pair.reference.networks, math.nan), (pair.other.networks, math.nan)),
        (HOURS, pair.reference.hours, pair.other.hours),
    ):
        yield _place(pair, metric) | _cost(a, b)


def _place(pair: Pair, metric: str) -> dict[str, Any]:
    nothing = ("ratio", "log_error", "p_value", "difference", "difference_error")
    return dict.fromkeys(nothing, math.nan) | {
        "study": pair.other.study,
        "reference": pair.reference.study,
        "method": pair.other.method,
        "reference_method": pair.reference.method,
        "combine": pair.other.combine,
        "reference_combine": pair.reference.combine,
        "metric": metric,
        "passes": pair.other.passes,
        "reference_passes": pair.reference.passes,
        "test": "",
    }


# Means over bins, (1 + O,) and (R, 1 + O) of bootstrap replicas; the first entry is of all.
_Average = tuple[np.ndarray, np.ndarray]


def _averages(
    contents: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray] | None, seed: int
) -> dict[str, _Average]:
    """Return the averages of each metric that exists, of bins with content (and truth)."""
    metrics = ("sigma_rel",) if truth is None else ("sigma_rel", "rel_mse", "bias_rel")
    found: dict[str, list[_Average]] = {metric: [] for metric in metrics}
    for name, passes in contents.items():
        keep = _kept(passes, truth, name)
        target = None if truth is None else truth[name][keep]
        statistics = spread(passes[:, keep], target, seed=seed)
        for metric in metrics:
            values = statistics.values[metric][None], statistics.replicas[metric]
            one, replicas = (_mean(np.abs(each)) for each in values)
            found[metric].append((one, replicas))
    return {metric: _with_all(each) for metric, each in found.items()}


def _kept(passes: np.ndarray, truth: Mapping[str, np.ndarray] | None, name: str) -> np.ndarray:
    """Return which bins (B,) have content, and truth where there is any."""
    keep = (passes != 0).any(axis=0)
    return keep if truth is None else keep & np.isfinite(truth[name])


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over bins (R,) of (R, B), those that are not defined left out."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _with_all(each: Sequence[_Average]) -> _Average:
    """Return averages with their mean over observables in front."""
    values, replicas = (np.stack([one[part] for one in each], axis=1) for part in (0, 1))
    parts = [np.column_stack([_mean(part), part]) for part in (values, replicas)]
    return parts[0][0], parts[1]


def _values(old: _Average, new: _Average) -> dict[str, Any]:
    return {
        "value": new[0],
        "value_error": new[1].std(axis=0, ddof=1),
        "reference_value": old[0],
        "reference_error": old[1].std(axis=0, ddof=1),
    }


def _difference(old: _Average, new: _Average) -> dict[str, np.ndarray]:
    """Return the difference and its error; draws of paired passes are the same."""
    error = (new[1] - old[1]).std(axis=0, ddof=1)
    return {"difference": new[0] - old[0], "difference_error": error}


def _bins(pair: Pair) -> list[int]:
    kept = [
        _kept(pair.reference.contents[name], pair.truth, name)
        & _kept(pair.other.contents[name], pair.truth, name)
        for name in pair.observables
    ]
    each = [int(keep.sum()) for keep in kept]
    return [sum(each), *each]


def _ratios(pair: Pair, metric: str) -> dict[str, Any]:
    """Return the ratio to the reference, with its test; of rel_mse that of the squares."""
    names = pair.observables
    sizes = [pair.reference.contents[name].shape[1] for name in names]
    observable = np.repeat(np.arange(len(names)), sizes)
    found = _tested(pair, metric)(*_deviations(pair, metric), observable)
    power = 2 if metric == "rel_mse" else 1
    return {
        "ratio": found.ratio**power,
        "log_error": power * found.log_error,
        "p_value": found.p_value,
        "bins": found.bins,
        "test": PAIRED if pair.paired else UNPAIRED,
    }


def _tested(pair: Pair, metric: str) -> Callable[..., comparison.Comparison]:
    if pair.paired:
        return comparison.compare
    apart = {"sigma_rel": comparison.compare_apart, "rel_mse": comparison.compare_distances_apart}
    return apart[metric]


def _deviations(pair: Pair, metric: str) -> list[np.ndarray]:
    """Return the deviations (n, B) of the other result and of the reference, all bins."""
    names = pair.observables
    sides = (pair.other, pair.reference)
    contents = [np.hstack([side.contents[name] for name in names]) for side in sides]
    if metric == "sigma_rel":
        return [comparison.spreads(each) for each in contents]
    assert pair.truth is not None
    truth = np.concatenate([pair.truth[name] for name in names])
    return [comparison.distances(each, truth) for each in contents]


def _cost(old: tuple[float, float], new: tuple[float, float]) -> dict[str, Any]:
    """Return the columns of a cost, value and error each."""
    relative = [error / value if value > 0 else math.nan for value, error in (old, new)]
    return {
        "observable": ALL,
        "value": new[0],
        "value_error": new[1],
        "reference_value": old[0],
        "reference_error": old[1],
        "ratio": new[0] / old[0] if old[0] > 0 else math.nan,
        "log_error": math.hypot(*relative),
        "bins": 0,
    }
