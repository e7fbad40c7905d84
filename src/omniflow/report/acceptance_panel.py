"""Acceptance: the report's section on efficiency and fakes per bin."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from markupsafe import Markup

from omniflow.evaluation import efficiency
from omniflow.report import figures, formats
from omniflow.report.content import ReportTables
from omniflow.report.formats import Look
from omniflow.report.study_json import ObservableRecord

# Below it what the detector does not see decides, which is taken from the simulation.
LOW = 0.1
_LOOKS = {"efficiency": Look("#0072B2", False, "o"), "fake_fraction": Look("#D55E00", True, "s")}


def context(tables: ReportTables) -> dict[str, Any]:
    """Return what the template of the section shows."""
    return {
        "threshold": f"{LOW:.0%}",
        "looks": {"efficiency": _LOOKS["efficiency"], "fakes": _LOOKS["fake_fraction"]},
        "low": _low(tables),
        "outside": _outside(tables),
        "figures": [(o, [_figure(tables, o)]) for o in tables.study.matched],
    }


def _low(tables: ReportTables) -> list[tuple[str, str]]:
    """Label and sentence of every observable with evaluated bins of low efficiency."""
    found = []
    evaluated = tables.headline("metrics", tables.study.iterations)
    for observable in tables.study.matched:
        rows = _rows(tables, observable)
        bins = evaluated.loc[evaluated["observable"] == observable.name, "bin"].unique()
        low = rows[rows["bin"].isin(bins) & rows["efficiency"].between(0, LOW, inclusive="left")]
        if len(low):
            worst = low.loc[low["efficiency"].idxmin()]
            number = f"{len(low)} of {len(bins)} bins"
            place = f"{formats.number(worst['low'])} to {formats.number(worst['high'])}"
            unit = f" {observable.unit}" if observable.unit else ""
            least = formats.percent(worst["efficiency"], worst["efficiency_error"])
            found.append((observable.label, f"{number}, lowest {least} ({place}{unit})"))
    return found


def _outside(tables: ReportTables) -> list[tuple[str, str]]:
    """Label and sentence of every observable with fractions that are no probabilities."""
    found = []
    for observable in tables.study.matched:
        rows = _rows(tables, observable)
        wrong = [efficiency.outside(rows[name], rows[f"{name}_error"]) for name in _LOOKS]
        outside = rows[wrong[0] | wrong[1]]
        if len(outside):
            words = [
                f"{formats.percent(row.efficiency)} and {formats.percent(row.fake_fraction)} in "
                f"{formats.number(row.low)} to {formats.number(row.high)}"
                for row in outside.head(3).itertuples()
            ]
            more = ", among others" if len(outside) > 3 else ""
            sentence = f"{len(outside)} of {len(rows)} bins ({'; '.join(words)}{more})"
            found.append((observable.label, sentence))
    return found


def _rows(tables: ReportTables, observable: ObservableRecord) -> pd.DataFrame:
    rows = tables["acceptance"]
    return rows[rows["observable"] == observable.name]


def _figure(tables: ReportTables, observable: ObservableRecord) -> Markup:
    rows = _rows(tables, observable)
    frames = {
        name: rows.assign(
            fraction=rows[name], fraction_error=rows[f"{name}_error"].replace(math.inf, math.nan)
        )
        for name in _LOOKS
    }
    return Markup(
        figures.per_bin(
            observable,
            frames,
            _LOOKS,
            "fraction",
            "Fraction",
            height=3.0,
            title=f"Acceptance of {observable.label} ({observable.name})",
        )
    )
