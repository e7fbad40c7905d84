"""Trust: the report's section on how far classifiers and weights can be relied on."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from omniflow.evaluation.metrics import FLOORS_IN_WORDS
from omniflow.report import curves, drawing, figures, formats
from omniflow.report.content import ReportTables
from omniflow.report.formats import Look

_PARTS = {"held-out": Look("#0072B2", False, "o"), "trained": Look("#D55E00", True, "s")}
_PRIOR = Look(drawing.PRIOR, True, "")
_LEVELS = {"detector": "data against simulation", "particle": "truth against unfolded"}
_PRETRAINING = {
    "declared": " That the networks of samples.pretraining.weights were trained on none of them is "
    "declared in the configuration (other_events), not checked.",
    "overlap": " This leaves out pre-training: networks that start from a pre-trained one may know "
    "them from there, in iteration 1 too (samples.pretraining.allow_overlap).",
    "unknown": " This leaves out pre-training: what the networks of samples.pretraining.weights "
    "were trained on is not known, so that networks which start from them may know held-out events "
    "from there, in iteration 1 too.",
}
Table = tuple[list[str], list[list[str]]]


def context(tables: ReportTables, looks: dict[str, Look]) -> dict[str, Any]:
    """Return what the template of the section shows."""
    return {
        "stopping": _stopping(tables),
        "second": _second(tables),
        "failures": _failures(tables),
        "held_out": _held_out(tables),
        "unjudged": _unjudged(tables),
        "summary": _summary(tables),
        "parts": _PARTS,
        "classifiers": _classifiers(tables, looks),
        "overtraining": _overtraining(tables),
        "tails": _tails(tables),
        "weights": _weights(tables, looks),
        "sizes": _sizes(tables, looks),
        "falls": _falls(tables),
    }


def _labels(tables: ReportTables) -> dict[str, str]:
    return {observable.name: observable.label for observable in tables.study.observables}


# -- convergence ---------------------------------------------------------------------------------


def _stopping(tables: ReportTables) -> list[tuple[str, str]]:
    """Sentences per method on where its iterations could stop, and why."""
    labels, found = _labels(tables), []
    for row in tables["stopping"].itertuples():
        last, open_ended = int(row.last), pd.isna(row.iteration)
        fall = f"{formats.number(row.fall, 2)} (uncertainty {formats.number(row.uncertainty, 2)})"
        label = labels.get(row.observable, row.observable)
        if last == 1:
            text = "With one iteration nothing can be said."
        elif open_ended:
            text = (
                f"None yet: from iteration {last - 1} to {last} the distance in {label} still fell "
                f"by {fall}. More iterations may bring the simulation closer to data."
            )
        elif not row.observable:
            text = (
                "Iteration 1. After it, up to any later iteration, the distance falls in no "
                "observable by more than its statistical uncertainty."
            )
        else:
            stop = int(row.iteration)
            text = (
                f"Iteration {stop}. One earlier would be too early: from iteration {stop - 1} to "
                f"{int(row.to)} the distance in {label} falls by {fall}."
            )
        above, rising = (
            formats.listing([labels.get(name, name) for name in names.split()])
            for names in (row.above_floor, row.rising)
        )
        if above:
            text += (
                f" Not converged in iteration {last if open_ended else int(row.iteration)}: the "
                f"distance in {above} exceeds {FLOORS_IN_WORDS} its floor. More iterations may "
                "help, or better networks."
            )
        if rising:
            text += f" After it, the distance rises by more than its uncertainty in {rising}."
        found.append((row.method, text))
    return found


def _falls(tables: ReportTables) -> Table:
    """Fall of the distance to data per method and observable: by iteration, and after the first."""
    labels, rows = _labels(tables), tables["convergence"]
    rows = rows[rows["level"] == "detector"]
    last = tables.study.iterations
    steps = [(n, n + 1) for n in range(last)] + [(1, last)] * (last > 2)
    body = []
    for (method, observable), own in rows.groupby(["method", "observable"], sort=False):
        own = own.set_index(["iteration", "to"])
        falls = [formats.pair(*own.loc[step, ["fall", "uncertainty"]]) for step in steps]
        body.append([method, labels.get(observable, observable), *falls])
    return ["method", "observable", *(f"{n} → {m}" for n, m in steps)], body


# -- classifiers ---------------------------------------------------------------------------------


def _second(tables: ReportTables) -> Table | None:
    """Areas under the ROC curves of second classifiers; None where there are none."""
    rows = tables["second_classifier"]
    if rows.empty:
        return None
    levels = [level for level in _LEVELS if level in set(rows["level"])]
    by_place = rows.set_index(["subject", "level"])
    header = ["simulation"]
    for level in levels:
        header += [f"{_LEVELS[level]}: AUC", "(AUC − ½) / error", "left of AUC − ½ before"]
    body = []
    methods = [m.name for m in tables.study.methods]
    for subject in [s for s in ("_prior", *methods) if s in set(rows["subject"])]:
        line = [_called(subject)]
        for level in levels:
            auc, error = by_place.loc[(subject, level), ["auc", "auc_error"]].astype(float)
            left = "–"
            if subject != "_prior" and ("_prior", level) in by_place.index:
                before = float(by_place.at[("_prior", level), "auc"]) - 0.5
                spread = float(by_place.at[("_prior", level), "auc_error"])
                if before > 2 * spread:
                    left = formats.percent((auc - 0.5) / before, error / before)
            sigmas = formats.number((auc - 0.5) / error, 2) if error > 0 else "–"
            line += [formats.pair(auc, error), sigmas, left]
        body.append(line)
    return header, body


def _failures(tables: ReportTables) -> list[str]:
    """Second classifiers that could not be trained."""
    rows = tables["second_classifier"]
    return [
        f"{_called(row.subject)}, {row.level} level: {row.failure}"
        for row in rows.itertuples()
        if row.failure
    ]


def _called(subject: str) -> str:
    return "before unfolding" if subject == "_prior" else subject


def _held_out(tables: ReportTables) -> str:
    """What held-out events are, what they can show, and whether pre-training knows them."""
    return _left_out(tables) + _PRETRAINING.get(tables.study.judged.pretraining, "")


def _left_out(tables: ReportTables) -> str:
    """What the trainings of steps leave out."""
    judged, last = tables.study.judged, tables.study.iterations
    share = formats.percent(judged.fraction)
    if judged.events == "reserved":
        return (
            f"Held-out events are the {share} of all events that no network of any step and "
            "iteration is trained on or stopped by (training.reserved)."
        )
    if judged.events == "fold":
        return (
            "Held-out events of a network are those of its fold: neither the network nor what it "
            "started from was trained on them or stopped by them (training.folds)."
        )
    if judged.events == "split":
        found = (
            f"Held-out events are the {share} that a network is not trained on. They choose the "
            "epoch that it stops at. "
        )
        if judged.split == "cold":
            return found + (
                "Every iteration trains new networks and holds other events out: most of those "
                f"held out in iteration {last} trained the network of the same lane and member in "
                "an earlier one, whose ratio is in the weights."
            )
        return found + "Nor was it trained on them in an earlier iteration."
    return (
        f"Held-out events are the {share} that a network is not trained on in an iteration; they "
        "choose the epoch that it stops at. Only in iteration 1 has the network never been trained "
        "on them: later iterations go on with the same network and hold other events out. Of those "
        f"held out in iteration {last} it has been trained on all but "
        f"{formats.percent(judged.fraction ** (last - 1))} before. What a network has learned by "
        "heart in earlier iterations looks like knowledge there, and trained − held-out is too "
        "small: read it in iteration 1, or set training.reserved to keep events that no iteration "
        "is trained on."
    )


def _unjudged(tables: ReportTables) -> str:
    """Say how many networks have no area; nothing if all have one."""
    held = tables["classifiers"].query("part == 'held-out'")
    lost = int(held["auc"].isna().sum())
    if not lost:
        return ""
    return (
        f"{lost} of {len(held)} networks have held-out events of one class alone, or events whose "
        "weights add up to 0 or less; tables and curves are of the others."
    )


def _summary(tables: ReportTables) -> Table:
    """Areas and reliability of the networks of each chain and step, first and last iteration."""
    header = ["chain", "step", "iteration", "networks", "AUC, held-out", "AUC, trained"]
    header += ["trained − held-out", "reliability, held-out: χ² / bins"]
    rows, body = tables["classifiers"], []
    keys = ["pass", "lane", "member", "fold"]
    places = rows[["chain", "step"]].drop_duplicates().itertuples(index=False)
    for (chain, step), iteration in product(places, sorted({1, tables.study.iterations})):
        own = rows[(rows["chain"] == chain) & (rows["step"] == step)]
        own = own[own["iteration"] == iteration]
        if own.empty:
            continue
        held, trained = (own[own["part"] == part].set_index(keys) for part in _PARTS)
        known = held["auc"].notna()
        difference = (trained["auc"] - held["auc"]).mean()
        # Networks share their events: the error of one is that of the mean.
        errors = [float(frame["auc_error"].mean()) for frame in (held, trained)]
        areas = [
            formats.pair(float(frame["auc"].mean()), error)
            for frame, error in zip((held, trained), errors, strict=True)
        ]
        reliability = held["chi2"].sum() / (held["bins"].sum() or math.nan)
        line = [chain, step, str(iteration), formats.count(known.sum()), *areas]
        line += [formats.pair(float(difference), math.hypot(*errors))]
        body.append([*line, formats.number(float(reliability), 2)])
    return header, body


def _classifiers(tables: ReportTables, looks: dict[str, Look]) -> list[tuple]:
    """Reliability, ROC and area by iteration of each chain and step, with who uses the chain."""
    networks = tables["classifiers"]
    users: dict[str, list[str]] = {}
    for method in tables.study.methods:
        users.setdefault(method.chain, []).append(method.name)
    drawn = []
    for chain, names in users.items():
        for step in ("1", "2"):
            own = {
                name: frame[(frame["chain"] == chain) & (frame["step"] == step)]
                for name, frame in (
                    ("areas", networks),
                    ("reliability", tables["reliability"]),
                    ("roc", tables["roc"]),
                )
            }
            if not own["areas"]["auc"].notna().any():
                continue
            title, colour = f"{chain}, step {step}", looks[names[0]].colour
            held = own["reliability"][own["reliability"]["part"] == "held-out"]
            areas = figures.by_iteration(
                _areas(own["areas"]), _PARTS, "AUC − ½", height=3.6, title=f"AUC of {title}"
            )
            found = [areas]
            if len(own["roc"]):
                found.insert(0, curves.roc(own["roc"], colour, title=f"ROC of {title}"))
            if len(held):
                drawing = curves.reliability(held, colour, title=f"Reliability of {title}")
                found.insert(0, drawing)
            drawn.append((title, formats.listing(names), [Markup(svg) for svg in found]))
    return drawn


def _areas(rows: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Area above one half by iteration: mean over networks, and the error of one of them."""
    found = {}
    for part in _PARTS:
        means = rows[rows["part"] == part].groupby("iteration")[["auc", "auc_error"]].mean()
        iterations = means.index.to_numpy(dtype=float)
        found[part] = iterations, means["auc"].to_numpy() - 0.5, means["auc_error"].to_numpy()
    return found


def _overtraining(tables: ReportTables) -> Table:
    """Weights of events that trained against those of held-out events: chi2 over bins."""
    rows = tables["overtraining"]
    names = [o for o in tables.study.observables if o.name in set(rows["observable"])]
    header = ["chain", "iteration", "networks", "mean weight, trained over held-out, − 1"]
    header += [f"{observable.label}: χ² / bins" for observable in names]
    body = []
    for (chain, iteration), own in rows.groupby(["chain", "iteration"], sort=False):
        by_observable = own.groupby("observable")[["chi2", "bins"]].sum()
        networks = len(own.drop_duplicates(["lane", "member"]))
        line = [chain, str(iteration), formats.count(networks)]
        line.append(formats.percent(float(own["difference"].mean())))
        for observable in names:
            chi2, bins = by_observable.loc[observable.name]
            line.append(formats.number(chi2 / bins, 2) if bins else "–")
        body.append(line)
    return header, body


# -- weights -------------------------------------------------------------------------------------


def _tails(tables: ReportTables) -> Table:
    """Extremes, quantiles and shares of the weights after the last iteration."""
    header = ["method", "smallest ν", "0.1% below", "median", "0.1% above", "largest ν"]
    header += ["share of the largest 1%", "effective sample size"]
    rows, body = tables["tails"], []
    for method in tables.study.methods:
        own = rows[rows["method"] == method.name]
        own = own[own["iteration"] == tables.study.iterations]
        values = [own["minimum"].min()]
        values += [own[q].mean() for q in ("quantile_0_001", "median", "quantile_0_999")]
        values.append(own["maximum"].max())
        line = [method.name, *(formats.number(float(value)) for value in values)]
        line += [formats.percent(float(own["share_of_largest"].mean()))]
        body.append([*line, formats.count(float(own["ess"].mean()))])
    return header, body


def _weights(tables: ReportTables, looks: dict[str, Look]) -> list[Markup]:
    """Distribution of the weights, and their change by iteration."""
    methods = [m.name for m in tables.study.methods]
    distribution, rows = tables["weight_distributions"], tables["tails"]
    frames = {name: distribution[distribution["method"] == name] for name in methods}
    series = {}
    for name in methods:
        found = rows[rows["method"] == name].groupby("iteration")["change"].agg(["mean", "std"])
        series[name] = (
            found.index.to_numpy(dtype=float),
            found["mean"].to_numpy(),
            found["std"].fillna(0).to_numpy(),
        )
    change = figures.by_iteration(
        series, looks, "Change of the weights", title="Change of event weights"
    )
    drawn = [curves.weights(frames, looks, title="Event weights"), change]
    return [Markup(svg) for svg in drawn]


def _sizes(tables: ReportTables, looks: dict[str, Look]) -> list[tuple]:
    """Effective sample size per bin and method, with that before unfolding."""
    rows, drawn = tables["effective_sizes"], []
    for observable in tables.study.unfolded:
        own = rows[rows["observable"] == observable.name].assign(ess_error=0.0)
        frames = {m.name: own[own["method"] == m.name] for m in tables.study.methods}
        before = next(iter(frames.values()))
        frames = {"_prior": before.assign(ess=before["ess_prior"])} | frames
        svg = figures.per_bin(
            observable,
            frames,
            looks | {"_prior": _PRIOR},
            "ess",
            "Effective sample size",
            height=3.0,
            title=f"Effective sample size of {observable.label} ({observable.name})",
        )
        drawn.append((observable, [Markup(svg)]))
    return drawn
