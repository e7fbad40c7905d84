"""Faults: what spoils a result, in the order in which a reader must know it, and what to change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from omniflow.evaluation import convergence
from omniflow.evaluation.metrics import FLOORS, FLOORS_IN_WORDS
from omniflow.evaluation.saturation import saturation
from omniflow.report import identifiability
from omniflow.report.content import ReportTables
from omniflow.report.formats import count, listing, number, percent

# Twice the epochs would add so much to what networks have learned; a loss that falls in proportion
# to the epochs has 0.5, one that settles exponentially within them less than 0.1.
GAIN = 0.3
# Above the loss of a ratio of 1, in units of ln 2: a network that knows less than nothing.
_IGNORANCE = 0.01
_FLOOR = "floor"


@dataclass(frozen=True)
class Fault:
    """What is wrong: in a few words for the headline, its subject, and what to do about it."""

    short: str
    subject: str
    text: str


def find(tables: ReportTables) -> list[Fault]:
    """Return everything that spoils the result of a study, at its headline combinations."""
    return [fault for find_one in _ALL for fault in find_one(tables)]


def _diverged(tables: ReportTables) -> list[Fault]:
    """Networks that are worse than a ratio of 1 everywhere."""
    known = tables["timing"][tables["timing"]["purpose"] == "unfolding"]
    limit = tables.study.uninformed_loss + _IGNORANCE * np.log(2)
    bad = known[known["val_loss"] > limit]
    if bad.empty:
        return []
    text = (
        f"{count(len(bad))} of {count(len(known))} networks have a held-out loss above that of a "
        "ratio of 1 everywhere: they know less than nothing, and their weights spoil the result. "
        "Lower training.learning_rate."
    )
    return [Fault("diverged", "Networks", text)]


def _not_converged(tables: ReportTables) -> list[Fault]:
    """Distances to data that exceed their floor after the last iteration, or still fall."""
    last = tables.study.iterations
    rows = tables.headline("detector_summary", last)
    far = rows[rows["td"] > FLOORS * rows["td_floor"]]
    rows = _at(tables, "detector")
    steps = rows[(rows["iteration"] == last - 1) & (rows["to"] == last)]
    falling = steps[steps["fall"] > steps["uncertainty"]]
    if far.empty and falling.empty:
        return []
    parts = []
    if len(far):
        parts.append(
            f"After iteration {last} the distance to data at detector level exceeds "
            f"{FLOORS_IN_WORDS} its floor in {_cases(tables, far, _FLOOR)}."
        )
    if len(falling):
        parts.append(
            f"From iteration {last - 1} to {last} it still falls in "
            f"{_cases(tables, falling, _FLOOR)}: raise unfolding.iterations."
        )
    else:
        parts.append(
            f"From iteration {last - 1} to {last} it falls by no more than its uncertainty: more "
            "iterations alone would help little, better networks do (training.epochs, "
            "training.learning_rate, classifier)."
        )
    return [Fault("not converged", "Not converged", " ".join(parts))]


def _too_short(tables: ReportTables) -> list[Fault]:
    """Networks that would have learned much more in a longer training."""
    rows = saturation(tables["histories"], tables.study.uninformed_loss)
    short = rows[(rows["whole"] >= 0.5) & (rows["gain"] > GAIN)]
    if short.empty:
        return []
    worst = short.loc[short["gain"].idxmax()]
    whole = (short["whole"] * short["networks"]).sum()
    gain = (
        f"Twice as many would add an estimated {percent(worst['gain'])} to what they learned"
        if np.isfinite(worst["gain"])
        else "They have learned nothing"
    )
    steps = [f"step {step} ({listing(list(own['chain']))})" for step, own in short.groupby("step")]
    text = (
        f"{count(whole)} of {count(short['networks'].sum())} networks of {listing(steps)} used all "
        f"epochs. {gain} (step {worst['step']} of {worst['chain']}, the worst). Raise "
        "training.epochs."
    )
    return [Fault("trained too short", "Trained too short", text)]


def _later_is_worse(tables: ReportTables) -> list[Fault]:
    """Observables whose distance in the last iteration is above that in an earlier one."""
    last, parts = tables.study.iterations, []
    supported: dict[str, float] = {}
    stopping = tables["stopping"].set_index("method")["iteration"].astype(float)
    for level, target in (("detector", "data at detector level"), ("particle", "truth")):
        rows = _at(tables, level)
        rising = _rises(rows[(rows["iteration"] >= 1) & (rows["to"] == last)])
        if rising.empty:
            continue
        best = rising.loc[rising.groupby(["method", "observable"])["fall"].idxmin()]
        best = best.assign(against=best["td"] + best["fall"])
        earlier = sorted({int(n) for n in best["iteration"]})
        parts.append(
            f"Iteration {last} is farther from {target} than iteration "
            f"{' or '.join(map(str, earlier))} in {_cases(tables, best, 'before')}, beyond the "
            "statistical uncertainty."
        )
        supported |= {method: stopping.get(method, np.nan) for method in best["method"]}
    if not parts:
        return []
    parts.append(_supported(supported, last))
    return [Fault(f"worse in iteration {last} than before", "Iterations", " ".join(parts))]


def _supported(iterations: Mapping[str, float], last: int) -> str:
    """Say which iteration the data support, per method."""
    by_iteration: dict[int, list[str]] = {}
    for method, iteration in iterations.items():
        by_iteration.setdefault(last if np.isnan(iteration) else int(iteration), []).append(method)
    parts = [f"iteration {n} ({listing(names)})" for n, names in sorted(by_iteration.items())]
    earlier = [n for n in by_iteration if n < last]
    if not earlier:
        return (
            "At detector level the distance still falls in other observables, so that the data "
            "support no earlier iteration: train networks that follow the data less "
            "(unfolding.restart, training.patience, more members or lanes)."
        )
    return (
        f"The data support {listing(parts)}, after which no distance falls significantly: set "
        f"unfolding.iterations to {max(earlier)}."
    )


def _worse_than_binned(tables: ReportTables) -> list[Fault]:
    """Observables in which a method is farther from truth than the binned reference."""
    study = tables.study
    if not study.has_truth or not tables.binned:
        return []
    summary = tables.headline("summary", study.iterations)
    reference = tables["bayes_summary"][tables["bayes_summary"]["iteration"] == study.iterations]
    both = summary.merge(reference[["observable", "td"]], on="observable", suffixes=("", "_binned"))
    worse = both[(both["td"] > both["td_binned"]) & (both["td"] > FLOORS * both["td_floor"])]
    errors = [_binned_error(tables, row.method, row.observable) for row in worse.itertuples()]
    # The binned reference may follow fluctuations that truth and data share, down to no distance.
    worse = worse[worse["td"] - worse["td_binned"] > np.hypot(errors, worse["td_floor"])]
    if worse.empty:
        return []
    text = (
        "Iterative Bayesian unfolding of the same events in bins is closer to truth in "
        f"{_cases(tables, worse.assign(against=worse['td_binned']), 'binned')}. Train longer or "
        "larger networks (training.epochs, classifier), or iterate more (unfolding.iterations)."
    )
    return [Fault("worse than the binned reference", "Binned reference", text)]


def _binned_error(tables: ReportTables, method: str, observable: str) -> float:
    """Return the statistical error of the difference of two distances to truth."""
    names = {"truth": "data", "truth_error": "data_error"}
    last = tables.study.iterations
    rows = tables.headline("metrics", last)
    rows = rows[(rows["method"] == method) & (rows["observable"] == observable)]
    mine = rows.rename(columns=names | {"mean": "simulation", "mean_error": "simulation_error"})
    other = tables["bayes"][tables["bayes"]["observable"] == observable]
    other = other[other["iteration"] == last].assign(data_error=0.0)
    other = other.rename(
        columns={"truth": "data", "content": "simulation", "error": "simulation_error"}
    )
    return convergence.change_error(mine, other)


def _other_response(tables: ReportTables) -> list[Fault]:
    """Pseudo-data whose detector response is not that of the simulation."""
    if "data" not in identifiability.differing(tables):
        return []
    text = (
        "The detector response of the data differs from that of the simulation at equal particle "
        "level, or depends on what the observables do not tell. Agreement at detector level cannot "
        "show it. Take a simulation with the right response, or its difference as a systematic "
        "variation (uncertainties.variations)."
    )
    return [Fault("another detector response", "Response", text)]


def _farther_than_prior(tables: ReportTables) -> list[Fault]:
    """Observables that unfolding has moved away from truth, or from data without truth."""
    level, target = (
        ("particle", "truth") if tables.study.has_truth else ("detector", "data at detector level")
    )
    rows = _at(tables, level)
    rising = _rises(rows[(rows["iteration"] == 0) & (rows["to"] == tables.study.iterations)])
    if rising.empty:
        return []
    cases = _cases(tables, rising.assign(against=rising["td"] + rising["fall"]), "prior")
    text = (
        f"Unfolding moves {cases} away from {target}, beyond the statistical uncertainty: "
        "there the simulation was better as it was. Use fewer unfolding.iterations if an earlier "
        "one is closer, else train better networks (training.epochs, training.learning_rate) or "
        "average more of them (methods.<name>.lanes, members)."
    )
    return [Fault("farther than the prior", "Prior", text)]


_ALL = (
    _diverged,
    _other_response,
    _not_converged,
    _too_short,
    _later_is_worse,
    _worse_than_binned,
    _farther_than_prior,
)


def _at(tables: ReportTables, level: str) -> pd.DataFrame:
    rows = tables["convergence"]
    return rows[rows["level"] == level]


def _rises(rows: pd.DataFrame) -> pd.DataFrame:
    """Return `convergence.rises` of each method."""
    found = [convergence.rises(own) for _, own in rows.groupby("method", sort=False)]
    return pd.concat(found) if found else rows


def _cases(tables: ReportTables, rows: pd.DataFrame, against: str) -> str:
    """Name observables, the worst first, each with its methods and the numbers of the worst.

    Args:
        tables: of the study.
        rows: method, observable, td, td_floor and, unless it is the floor, `against`.
        against: what the distance is compared with.
    """
    labels = {o.name: o.label for o in tables.study.observables}
    rows = rows.assign(against=rows["td_floor"] if against == _FLOOR else rows["against"])
    rows = rows.assign(factor=rows["td"] / rows["against"])
    words = []
    for name, own in _worst_first(rows):
        worst = own.loc[own["factor"].idxmax()]
        numbers = f"TD {number(worst['td'], 2)}, {against} {number(worst['against'], 2)}"
        words.append(f"{labels[name]} ({_methods(tables, own['method'])}{numbers})")
    more = f" and {len(words) - 4} more" if len(words) > 5 else ""
    return (", ".join(words[:4]) + more) if more else listing(words)


def _worst_first(rows: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    groups = list(rows.groupby("observable", sort=False))
    return sorted(groups, key=lambda group: -group[1]["factor"].max())


def _methods(tables: ReportTables, methods: pd.Series) -> str:
    """Name the methods of a case; none where all methods share it."""
    found = list(dict.fromkeys(methods))
    return "" if len(found) == len(tables.study.methods) else f"{', '.join(found)}: "
