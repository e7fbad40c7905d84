"""Cells: the report's tables as rows of text and colour, ready for the template."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from omniflow.evaluation.comparison import ALL
from omniflow.evaluation.metrics import FLOORS
from omniflow.report import bias, formats
from omniflow.report.content import ReportTables
from omniflow.report.ranking import Ratio, rank

TITLES = {
    "sigma_rel": ("Spread σ_rel", "standard deviation over passes, relative to the mean"),
    "bias_rel": ("Bias |bias_rel|", "distance of the mean over passes from truth"),
    "rel_mse": (
        "Relative MSE",
        "squared distance to truth, bias and spread together (reference: in 10⁻⁴)",
    ),
}
UNITS = {"sigma_rel": (100, "\u00a0%"), "bias_rel": (100, "\u00a0%"), "rel_mse": (1e4, "")}


@dataclass(frozen=True)
class Cell:
    """Text of a table cell, its error, background and whether it is emphasised."""

    text: str
    error: str = ""
    background: str = ""
    strong: bool = False
    muted: bool = False


@dataclass(frozen=True)
class Heat:
    """A heat map: one metric of methods x observables relative to the reference method."""

    metric: str
    title: str
    meaning: str
    reference: str
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def heat_maps(tables: ReportTables) -> list[Heat]:
    """Heat maps of the metrics that exist: spread, bias and relative MSE."""
    return [_heat(tables, metric) for metric in tables.measurable()]


def _heat(tables: ReportTables, metric: str) -> Heat:
    values, errors = tables.averages(metric), tables.averages(metric, "_error")
    reference = tables.study.reference.name
    ratios = _ratios(tables, metric, values)
    rows = []
    for method in values.index:
        if method == reference:
            cells = [_value(metric, float(values.loc[method].mean()))]
            cells += [_value(metric, values.at[method, o], errors.at[method, o]) for o in values]
        else:
            cells = [_relative(ratios[method, o]) for o in (ALL, *values)]
        rows.append((method, tuple(cells)))
    title, meaning = TITLES[metric]
    if metric == "bias_rel":
        alone = float(bias.expected(tables).loc[reference].mean())
        meaning += f" (expected without bias: {formats.percent(alone)})"
    return Heat(metric, title, meaning, reference, tuple(rows))


def _ratios(
    tables: ReportTables, metric: str, values: pd.DataFrame
) -> dict[tuple[str, str], Ratio]:
    """Return ratios to the reference by method and observable, or of all (`ALL`).

    Those of a bias have no error: part of it is the scatter of passes, another is common to all
    methods.
    """
    if metric != "bias_rel":
        ranking = rank(tables, metric)
        return {
            (m, o): ranking.ratio(m, observable=o) for m in values.index for o in (ALL, *values)
        }
    logs = np.log(values.where(values > 0))
    logs = logs - logs.loc[tables.study.reference.name]
    logs.insert(0, ALL, logs.mean(axis=1))
    return {(m, o): Ratio(math.exp(logs.at[m, o]), 0.0) for m in logs.index for o in logs}


def _value(metric: str, value: float, error: float = math.nan) -> Cell:
    """A metric in the unit that its tables use (per cent, or 10⁻⁴ for the relative MSE)."""
    factor, unit = UNITS[metric]
    text, plus = formats.measured(factor * value, factor * error)
    return Cell(text if text == "–" else f"{text}{unit}", plus)


def _relative(ratio: Ratio) -> Cell:
    """Ratio to the reference, emphasised where it differs from 1."""
    if not ratio.value > 0:
        return Cell("–", muted=True)
    text, plus = formats.measured(ratio.value, ratio.error)
    colour = formats.tint(math.log2(ratio.value), faint=not ratio.sure)
    return Cell(text, plus, colour, strong=ratio.sure, muted=not ratio.sure)


@dataclass(frozen=True)
class Cost:
    """Cost of a method: per pass, and relative to the reference method."""

    networks: str
    time: str
    relative: str
    share: int  # per cent of the dearest method, for the bar


def costs(tables: ReportTables) -> dict[str, Cost]:
    """Networks and time per pass of every method."""
    table = tables["cost"].set_index("method")
    seconds, error = table["seconds_per_pass"], table["seconds_per_pass_error"].fillna(0)
    reference = tables.study.reference.name
    found = {}
    for method in (m.name for m in tables.study.methods):
        if method == reference:
            relative = "1"
        else:
            ratio = seconds[method] / seconds[reference]
            parts = (error[method] / seconds[method], error[reference] / seconds[reference])
            relative = formats.pair(ratio, ratio * math.hypot(*parts))
        found[method] = Cost(
            formats.count(table.at[method, "networks_per_pass"]),
            formats.duration(seconds[method]),
            relative,
            round(100 * seconds[method] / seconds.max()),
        )
    return found


def distances(tables: ReportTables) -> list[tuple[str, str, list[Cell]]]:
    """Per observable its label, TD of the prior and one cell per method: TD and floor.

    Where any observable has a binned reference, its cell is the last.
    """
    study = tables.study
    rows = tables.headline("summary", study.iterations)
    binned = tables["bayes_summary"][tables["bayes_summary"]["iteration"] == study.iterations]
    binned = binned.set_index("observable")
    found = []
    for observable in study.unfolded:
        at = rows[rows["observable"] == observable.name].set_index("method")
        prior = at["td_prior"].iloc[0]
        floor = at["td_prior_floor"].iloc[0]
        cells = [
            _distance(at.loc[m.name, "td"], at.loc[m.name, "td_floor"], prior)
            for m in study.methods
        ]
        if observable.name in binned.index:
            row = binned.loc[observable.name]
            cells.append(_distance(row["td"], row["td_floor"], prior))
        elif len(binned):
            cells.append(Cell("–", muted=True))
        prior_text = f"{formats.number(prior, 2)} ({formats.number(floor, 2)})"
        found.append((observable.label, prior_text, cells))
    return found


def _distance(td: float, floor: float, prior: float) -> Cell:
    within, closer = td <= FLOORS * floor, td < prior
    background = formats.tint(-0.7 if within else 0.0) if closer else formats.tint(0.7)
    text = f"→ {formats.number(td, 2)}"
    return Cell(text, formats.number(floor, 2), background, strong=bool(within))


def averages(tables: ReportTables) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table with every average of the headline results."""
    study = tables.study
    rows = tables.headline("summary", study.iterations).set_index(["method", "observable"])
    names = {"sigma_rel": "σ_rel", "bias_rel": "|bias_rel|", "rel_mse": "relative MSE / 10⁻⁴"}
    columns, header = [], ["method", "observable"]
    for metric in tables.measurable():
        columns += [metric, f"{metric}_weighted"]
        header += [names[metric], f"{names[metric]}, weighted"]
    header += ["|bias_rel| expected without bias"] * study.has_truth + ["bins"]
    expected, body = bias.expected(tables), []
    for method in study.methods:
        for observable in study.unfolded:
            row = rows.loc[(method.name, observable.name)]
            texts = [
                _text(_value(c.removesuffix("_weighted"), abs(row[c]), row[f"{c}_error"]))
                for c in columns
            ]
            if study.has_truth:
                texts.append(formats.percent(expected.at[method.name, observable.name]))
            body.append([method.name, observable.label, *texts, formats.count(row["bins"])])
    return header, body


def _text(cell: Cell) -> str:
    return f"{cell.text} ± {cell.error}" if cell.error else cell.text


@dataclass(frozen=True)
class Combinations:
    """A multi-lane method's combination functions: averages per observable, headline first."""

    method: str
    headline: str
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def combinations(tables: ReportTables, metric: str) -> list[Combinations]:
    """Averages of `metric` for all combinations of each method that has more than one."""
    study = tables.study
    last = tables["summary"][tables["summary"]["iteration"] == study.iterations]
    last = last.set_index(["method", "combine", "observable"])
    found = []
    for method in study.methods:
        if len(method.combine) < 2:
            continue
        headline = study.headline_combine[method.name]
        rows = []
        for combine in ordered(method.combine, headline):
            cells = []
            for observable in study.unfolded:
                value, error = last.loc[
                    (method.name, combine, observable.name), [metric, f"{metric}_error"]
                ]
                cells.append(_value(metric, value, error))
            rows.append((combine, tuple(cells)))
        found.append(Combinations(method.name, headline, tuple(rows)))
    return found


def ordered(names: Sequence[str], first: str) -> list[str]:
    """`names` with the headline at the front."""
    return [first, *(n for n in names if n != first)]


def timings(tables: ReportTables) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the timing table, one row per method (its own lanes only)."""
    header = ["method", "lanes × members", "start", "chain", "networks per pass", "epochs"]
    header += ["best epoch", "time per network", "events/s", "time per pass", "pre-training"]
    timing = tables["timing"][tables["timing"]["purpose"] == "unfolding"]
    cost = tables["cost"].set_index("method")
    folds = tables.study.folds
    body = []
    for method in tables.study.methods:
        own = timing[(timing["chain"] == method.chain) & (timing["lane"] < method.lanes)]
        row = cost.loc[method.name]
        per_pass = row["seconds_per_pass"], row["seconds_per_pass_error"]
        time = formats.duration(per_pass[0])
        if per_pass[1] > 0:
            time += f" ± {formats.duration(per_pass[1])}"
        before = row["pretraining_seconds"]
        body.append(
            [
                method.name,
                f"{method.lanes} × {method.members}" + (f" × {folds} folds" if folds > 1 else ""),
                method.start,
                method.chain,
                formats.count(row["networks_per_pass"]),
                formats.number(own["epochs"].mean()),
                formats.number(own["best_epoch"].mean()),
                formats.duration(own["seconds"].mean()),
                formats.count(own["events_per_second"].median()),
                time,
                formats.duration(before) if before > 0 else "–",
            ]
        )
    return header, body


def final_weights(tables: ReportTables) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the final weights, means over passes (extremes over all passes)."""
    header = ["method", "combination", "sum", "mean", "minimum", "maximum"]
    header += ["effective sample size", "scale s"]
    rows = tables.headline("weights", tables.study.iterations)
    body = []
    for method in tables.study.methods:
        own = rows[rows["method"] == method.name]
        body.append(
            [
                method.name,
                tables.study.headline_combine[method.name],
                _spread(own["sum"]),
                formats.number(own["mean"].mean()),
                formats.number(own["minimum"].min()),
                formats.number(own["maximum"].max()),
                _spread(own["ess"]),
                formats.number(own["scale"].mean(), 4),
            ]
        )
    return header, body


def _spread(values: pd.Series) -> str:
    """Mean and standard deviation over passes."""
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    if mean < 1e4:
        return formats.pair(mean, spread)
    plus = f" ± {formats.count(spread)}" if np.isfinite(spread) else ""
    return f"{formats.count(mean)}{plus}"


def step_weights(tables: ReportTables) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the weights inside the training: extremes and clips per chain and step."""
    header = ["chain", "step", "stages", "sum before → after, last iteration"]
    header += ["minimum", "maximum", "smallest effective sample size", "clipped ratios"]
    body = []
    for (chain, step), rows in tables["steps"].groupby(["chain", "step"], sort=False):
        last = rows[rows["iteration"] == rows["iteration"].max()]
        sums = [formats.count(last[c].mean()) for c in ("sum_before", "sum_after")]
        body.append(
            [
                chain,
                step,
                formats.count(len(rows)),
                " → ".join(sums),
                formats.number(rows["minimum"].min()),
                formats.number(rows["maximum"].max()),
                formats.count(rows["ess"].min()),
                formats.count(rows["clipped"].sum()),
            ]
        )
    return header, body
