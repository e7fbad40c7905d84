"""Page: the report of a study as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from omniflow.evaluation.metrics import FLOORS_IN_WORDS
from omniflow.report import (
    acceptance_panel,
    cells,
    document,
    ensemble_panel,
    figures,
    formats,
    identifiability,
    stacking_panel,
    tradeoff,
    trust,
    uncertainty_panel,
)
from omniflow.report.content import ReportTables
from omniflow.report.methods import methods
from omniflow.report.study_json import ObservableRecord
from omniflow.report.verdict import judge

SPREAD = "Spread $\\sigma_{\\mathrm{rel}}$"
SERIES = {
    "td": ("Distance to truth, TD × 1000", "td_floor"),
    "sigma_rel": ("σ_rel, mean over bins", None),
    "rel_mse": ("Relative MSE, mean over bins", None),
}


def write(folder: Path | str, output: Path | str) -> None:
    """Read a study folder and write its report, complete or not at all.

    Raises:
        InputError: a table of the folder is missing or incomplete, or `output` is no file of a
            folder that is there and can be written to.
    """
    document.write(render(ReportTables.read(folder)), output)


def render(tables: ReportTables) -> str:
    """HTML of the report; the same tables give the same text."""
    diagnostics = document.environment().list_templates(
        filter_func=lambda name: name.startswith("diagnostic-") and name.endswith(".html")
    )
    return document.render("report.html", **_context(tables), diagnostics=diagnostics)


def _context(tables: ReportTables) -> dict:
    study = tables.study
    looks = formats.looks([m.name for m in study.methods])
    trained = tables["timing"]["purpose"].value_counts()
    return {
        "study": study,
        "tables": tables,
        "problems": tables.problems,
        "verdict": judge(tables),
        "looks": looks,
        "networks": int(trained.get("unfolding", 0)),
        "measurable": tables.measurable(),
        "lanes_combined": any(len(m.combine) > 1 for m in study.methods),
        "pretrainings": int(trained.get("pretraining", 0)),
        "network_panels": ensemble_panel.panels(tables, looks),
        "network_header": ensemble_panel.HEADER,
        "in_common": ensemble_panel.in_common(tables),
        "stack_header": stacking_panel.HEADER,
        "stack_held_out": stacking_panel.held_out(tables),
        "stacks": stacking_panel.rows(tables),
        "no_members": ensemble_panel.without_members(tables),
        "passes": tables.passes(),
        "heats": cells.heat_maps(tables),
        "costs": cells.costs(tables),
        "binned": tables.binned,
        "unbinned": [o.label for o in study.matched if o.name not in tables.binned],
        "within": FLOORS_IN_WORDS,
        "distances": cells.distances(tables) if study.has_truth else [],
        "averages": cells.averages(tables),
        "tradeoff": tradeoff.panel(tables, looks),
        "combinations": [
            (title, found)
            for metric, title in (("sigma_rel", "Spread σ_rel"), ("rel_mse", "Relative MSE / 10⁻⁴"))
            if metric in tables.measurable() and (found := cells.combinations(tables, metric))
        ],
        "timings": cells.timings(tables),
        "final_weights": cells.final_weights(tables),
        "step_weights": cells.step_weights(tables),
        "panels": [(o, _panels(tables, o, looks)) for o in study.unfolded],
        "detector": [
            (o, _detector(tables, o, looks))
            for o in study.observables
            if o.name in set(tables["detector"]["observable"])
        ],
        "convergence": [(o, _convergence(tables, o, looks)) for o in study.unfolded],
        "combine_panels": [(o, _combinations(tables, o, looks)) for o in study.unfolded],
        "uncertainties": uncertainty_panel.panel(tables),
        "losses": _losses(tables),
        "weight_figures": _weights(tables, looks),
        "acceptance": acceptance_panel.context(tables),
        "trust": trust.context(tables, looks),
        "methods": methods(tables),
        "identifiability": identifiability.context(tables),
    }


def _is_shape(tables: ReportTables) -> bool:
    return tables.study.normalization == "shape"


def _by_method(tables: ReportTables, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Frames per method in the study's order."""
    return {m.name: table[table["method"] == m.name] for m in tables.study.methods}


def _panels(tables: ReportTables, observable: ObservableRecord, looks: dict) -> list[Markup]:
    """The paper's panels: distribution with ratio, spread and relative MSE per bin."""
    rows = tables.headline("metrics", tables.study.iterations)
    frames = _by_method(tables, rows[rows["observable"] == observable.name])
    binned = tables["bayes"][tables["bayes"]["observable"] == observable.name]
    binned = binned[binned["iteration"] == tables.study.iterations]
    title, shape = f"{observable.label} ({observable.name})", _is_shape(tables)
    drawn = [
        figures.distribution(
            observable, frames, looks, shape, binned, title=f"Distribution of {title}"
        ),
    ]
    for metric, label, word in (
        ("sigma_rel", SPREAD, "Spread"),
        ("rel_mse", "Relative MSE", "MSE"),
    ):
        if metric in tables.measurable():
            drawn.append(
                figures.per_bin(
                    observable, frames, looks, metric, label, title=f"{word} of {title}"
                )
            )
    return [Markup(svg) for svg in drawn]


def _detector(tables: ReportTables, observable: ObservableRecord, looks: dict) -> list[Markup]:
    """Data against simulation per iteration, and their distance by iteration."""
    rows = tables.headline("detector")
    frames = {
        method: dict(iter(frame.groupby("iteration")))
        for method, frame in _by_method(tables, rows[rows["observable"] == observable.name]).items()
    }
    summary = tables.headline("detector_summary")
    summary = summary[summary["observable"] == observable.name]
    title, shape = f"{observable.label} ({observable.name})", _is_shape(tables)
    distribution = figures.detector(
        observable, frames, looks, shape, title=f"Detector-level distribution of {title}"
    )
    distance = figures.by_iteration(
        _series(tables, summary, "td"),
        looks,
        "Distance to data, TD × 1000",
        floor=float(summary["td_floor"].mean()),
        title=f"Detector-level distance of {title}",
    )
    return [Markup(distribution), Markup(distance)]


def _series(
    tables: ReportTables, rows: pd.DataFrame, column: str
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per method: iterations, values of `column` and their errors (0 where there are none)."""
    series = {}
    for method, frame in _by_method(tables, rows).items():
        frame = frame.sort_values("iteration")
        errors = frame.get(f"{column}_error", pd.Series(0.0, index=frame.index))
        series[method] = (
            frame["iteration"].to_numpy(dtype=float),
            frame[column].to_numpy(dtype=float),
            errors.to_numpy(dtype=float),
        )
    return series


def _convergence(tables: ReportTables, observable: ObservableRecord, looks: dict) -> list[Markup]:
    """Averages over bins by iteration; the distance starts with the prior at iteration 0."""
    rows = tables.headline("summary")
    rows = rows[(rows["observable"] == observable.name) & (rows["iteration"] > 0)]
    drawn = []
    for column, (label, floor) in SERIES.items():
        if column not in (*tables.measurable(), *(["td"] if tables.study.has_truth else [])):
            continue
        shown, series = rows, {}
        if column == "td":
            first = rows[rows["iteration"] == 1]
            shown = pd.concat([first.assign(iteration=0, td=first["td_prior"]), rows])
            series = _binned_distance(tables, observable.name, float(first["td_prior"].iloc[0]))
        drawn.append(
            figures.by_iteration(
                _series(tables, shown, column) | series,
                looks | {formats.BINNED: formats.BINNED_LOOK},
                label.replace("σ_rel", SPREAD),
                floor=float(rows[floor].mean()) if floor else np.nan,
                title=f"{label} by iteration of {observable.label} ({observable.name})",
            )
        )
    return [Markup(svg) for svg in drawn]


def _binned_distance(
    tables: ReportTables, observable: str, prior: float
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Distance of the binned reference to truth by iteration, the prior first; empty without."""
    rows = tables["bayes_summary"][tables["bayes_summary"]["observable"] == observable]
    if rows.empty:
        return {}
    rows = rows.sort_values("iteration")
    iterations = np.concatenate([[0.0], rows["iteration"].to_numpy(dtype=float)])
    values = np.concatenate([[prior], rows["td"].to_numpy()])
    return {formats.BINNED: (iterations, values, np.zeros(len(values)))}


def _combinations(
    tables: ReportTables, observable: ObservableRecord, looks: dict
) -> list[tuple[str, dict[str, formats.Look], Markup]]:
    """Spread per bin for each combination of each method that has several, with its legend."""
    study, drawn = tables.study, list[tuple[str, dict[str, formats.Look], Markup]]()
    if "sigma_rel" not in tables.measurable():
        return drawn
    rows = tables["metrics"][
        (tables["metrics"]["iteration"] == study.iterations)
        & (tables["metrics"]["observable"] == observable.name)
    ]
    for method in study.methods:
        if len(method.combine) < 2:
            continue
        own = rows[rows["method"] == method.name]
        order = cells.ordered(method.combine, study.headline_combine[method.name])
        shades = formats.shades(looks[method.name], order)
        svg = figures.per_bin(
            observable,
            {c: own[own["combine"] == c] for c in order},
            shades,
            "sigma_rel",
            SPREAD,
            height=3.0,
            title=f"Combinations of {method.name}: {observable.label} ({observable.name})",
        )
        drawn.append((method.name, shades, Markup(svg)))
    return drawn


def _losses(tables: ReportTables) -> list[tuple[str, str, Markup]]:
    """Loss curves per chain and step, then of pre-training, each with a caption."""
    users: dict[str, list[str]] = {}
    for method in tables.study.methods:
        users.setdefault(method.chain, []).append(method.name)
    histories = tables["histories"]
    groups = {
        (f"{chain}, step {step}", f"used by {formats.listing(names)}"): rows
        for chain, names in users.items()
        for step, rows in histories[
            (histories["chain"] == chain) & (histories["purpose"] == "unfolding")
        ].groupby("step")
    }
    before = histories[histories["purpose"] == "pretraining"]
    if len(before):
        caption = "before the first iteration"
        groups["Pre-training", caption] = before
    drawn = []
    for (heading, caption), curves in groups.items():
        svg = figures.losses(
            curves,
            formats.OKABE_ITO[0],
            tables.study.uninformed_loss,
            title=f"Loss curves of {heading}",
        )
        keys = ["pass", "lane", "member", "fold", "iteration", "step"]
        networks = len(curves.drop_duplicates(keys))
        plural = "network" if networks == 1 else "networks"
        drawn.append((heading, f"{networks} {plural}, {caption}", Markup(svg)))
    return drawn


def _weights(tables: ReportTables, looks: dict) -> list[Markup]:
    """Sum, largest weight and effective sample size by iteration: mean and range over passes."""
    rows = tables.headline("weights")
    labels = {"sum": "Sum of weights", "maximum": "Largest weight", "ess": "Effective sample size"}
    drawn = []
    for column, label in labels.items():
        series = {}
        for method, frame in _by_method(tables, rows).items():
            found = frame.groupby("iteration")[column].agg(["mean", "min", "max"])
            errors = np.array([found["mean"] - found["min"], found["max"] - found["mean"]])
            series[method] = (
                found.index.to_numpy(dtype=float),
                found["mean"].to_numpy(),
                np.maximum(errors, 0),
            )
        drawn.append(Markup(figures.by_iteration(series, looks, label, title=f"{label}, weights")))
    return drawn
