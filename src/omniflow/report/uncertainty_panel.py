"""Panel of the report on uncertainties: error bands by block, correlations, tests, coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from omniflow.report import drawing, figures, formats
from omniflow.report.content import ReportTables
from omniflow.report.study_json import ObservableRecord, Study

TOTAL = "total"
RESULT = ("method", "observable")
Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Panel:
    """What the section on uncertainties shows.

    Attributes:
        looks: of the blocks, the total first.
        figures: per observable, for each method its name and figures.
        shifts: header and rows of the sizes of variations; no rows without variations.
        tests: header and rows of the tests against predictions.
        no_p_value: why tests have no p-value, with the observables that this is so for.
        coverage: header and rows of pulls and coverage; no rows without truth.
        left_out: whether a test leaves a block out.
        parallel: whether the shift of a block in use is parallel to a tested difference.
    """

    looks: dict[str, formats.Look]
    figures: list[tuple[ObservableRecord, list[tuple[str, list[Markup]]]]]
    shifts: Table
    tests: Table
    no_p_value: list[str]
    coverage: Table
    left_out: bool
    parallel: bool


def panel(tables: ReportTables) -> Panel | None:
    """Return the panel, or None for a study without covariances and tests."""
    if not tables.study.uncertain:
        return None
    covariance, shifts, chi2 = tables["covariance"], tables["shifts"], tables["chi2"]
    if covariance.empty and chi2.empty:
        return None
    blocks = [name for name in covariance["block"].unique() if name != TOTAL]
    looks = {TOTAL: formats.Look(drawing.TRUTH, False, "")} | formats.looks(blocks)
    return Panel(
        looks,
        [(o, _figures(tables, covariance, o, looks)) for o in tables.study.unfolded],
        _shifts(tables, shifts),
        _tests(tables.study, chi2),
        _no_p_value(tables.study, chi2),
        _coverage(tables.study, tables["coverage"]),
        bool((chi2["left_out"] != "").any()),
        bool((chi2["parallel"] != "").any()),
    )


def _figures(
    tables: ReportTables,
    covariance: pd.DataFrame,
    observable: ObservableRecord,
    looks: dict[str, formats.Look],
) -> list[tuple[str, list[Markup]]]:
    study, drawn = tables.study, []
    last = tables.headline("metrics", study.iterations)
    for method in study.uncertain:
        rows = covariance[
            (covariance["method"] == method) & (covariance["observable"] == observable.name)
        ]
        frame = last[(last["method"] == method) & (last["observable"] == observable.name)]
        if rows.empty or frame.empty:
            continue
        matrices = {name: _matrix(rows[rows["block"] == name]) for name in looks}
        bins, mean = frame["bin"].to_numpy(), frame["mean"].abs().to_numpy()
        # Below 0: no effect within the scatter of training.
        errors = {name: np.sqrt(np.maximum(np.diag(m), 0)) for name, m in matrices.items()}
        relative = {name: error[bins] / mean for name, error in errors.items()}
        shown = frame[["low", "high"]].assign(**relative)
        error = np.where(errors[TOTAL] > 0, errors[TOTAL], np.nan)
        title = f"{method}: {observable.label} ({observable.name})"
        one = figures.uncertainty(observable, shown, looks, title=f"Uncertainty of {title}")
        two = figures.correlation(
            matrices[TOTAL] / np.outer(error, error), title=f"Correlation of {title}"
        )
        drawn.append((method, [Markup(one), Markup(two)]))
    return drawn


def _matrix(rows: pd.DataFrame) -> np.ndarray:
    size = int(rows["bin_i"].max()) + 1
    matrix = np.zeros((size, size))
    matrix[rows["bin_i"], rows["bin_j"]] = rows["value"]
    return matrix


def _shifts(tables: ReportTables, shifts: pd.DataFrame) -> Table:
    """Root mean square over bins of shifts and of their errors, relative to content."""
    header = ["observable", "method", "variation", "shift"]
    header += ["of it scatter of training", "of it statistics of samples"]
    labels = {o.name: o.label for o in tables.study.observables}
    last = tables.headline("metrics", tables.study.iterations)
    rows = shifts.merge(last[[*RESULT, "bin", "mean"]], on=[*RESULT, "bin"])
    columns = ("shift", "training_error", "statistical_error")
    squares = {c: np.square(rows[c] / rows["mean"]) for c in columns}
    found = rows.assign(**squares).groupby([*RESULT, "variation"], sort=False)[list(squares)]
    body = [
        [labels[o], method, variation, *(formats.percent(size) for size in sizes)]
        for (method, o, variation), *sizes in np.sqrt(found.mean()).itertuples()
    ]
    return header, body


def _tests(study: Study, chi2: pd.DataFrame) -> Table:
    header = ["observable", "method", "compared with", "χ² / bins", "p-value"]
    header += ["left out", "parallel"]
    labels = {o.name: o.label for o in study.observables}
    body = [
        [
            labels[row.observable],
            row.method,
            row.prediction,
            f"{formats.number(row.chi2)} / {row.bins}",
            formats.number(row.p_value, 2),
            row.left_out or "–",
            row.parallel or "–",
        ]
        for row in chi2.itertuples()
    ]
    return header, body


def _no_p_value(study: Study, chi2: pd.DataFrame) -> list[str]:
    labels = {o.name: o.label for o in study.observables}
    rows = chi2[chi2["no_p_value"] != ""]
    return [
        f"{reason} ({', '.join(labels[name] for name in found['observable'].unique())})"
        for reason, found in rows.groupby("no_p_value", sort=False)
    ]


def _coverage(study: Study, coverage: pd.DataFrame) -> Table:
    header = ["observable", "method", "over", "coverage", "mean pull", "width of pulls"]
    labels = {o.name: o.label for o in study.observables}
    over = {
        "toy": "toys, errors of data and training",
        "toy_samples": "toys, errors of data, simulation and training",
        "pass_total": "passes, total error",
    }
    body = [
        [
            labels[row.observable],
            row.method,
            f"{row.entries} {over[row.kind]}",
            formats.percent(row.coverage, row.coverage_error),
            formats.number(row.pull_mean, 2),
            formats.number(row.pull_width, 2),
        ]
        for row in coverage.itertuples()
    ]
    return header, body
