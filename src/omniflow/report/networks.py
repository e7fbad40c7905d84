"""Networks: the spread against their number, and whether more of them would narrow it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.special import stdtrit

from omniflow.report import figures
from omniflow.report.formats import Look, listing, percent
from omniflow.report.study import MethodRecord
from omniflow.report.tables import ReportTables
from omniflow.report.verdict import CONFIDENCE

HEADER = ("observable", "σ_rel of one", "of all", "falls by", "expected", "part that stays")
_FOUND, _EXPECTED, _BIAS = "σ_rel", "1/√n", "|bias_rel|"
_NUMBERS = ["sigma_rel", "sigma_rel_error", "expected", "ratio", "ratio_error"]
_NUMBERS += ["floor_squared", "floor_squared_error", "passes"]
_LOOKS = {
    _EXPECTED: Look("#767676", True, ""),
    _BIAS: Look("#111111", True, ""),
}


@dataclass(frozen=True)
class Panel:
    """Figure, sentences and table of one method.

    Attributes:
        method: name of the method.
        looks: legend of the figure.
        figure: SVG, averaged over observables.
        sentences: what it means.
        rows: one per observable, as in `HEADER`.
    """

    method: str
    looks: dict[str, Look]
    figure: Markup
    sentences: list[str]
    rows: list[list[str]]


def panels(tables: ReportTables, looks: dict[str, Look]) -> list[Panel]:
    """Return a panel for each method whose spread is known for several numbers of lanes."""
    found = []
    for method in tables.study.methods:
        frame = tables.networks[tables.networks["method"] == method.name]
        if len(frame):
            found.append(_panel(tables, method, frame, looks[method.name]))
    return found


def members_only(tables: ReportTables) -> str:
    """Return the methods of one lane with several members, which have no curve, in words."""
    if "sigma_rel" not in tables.measurable():
        return ""
    return listing([m.name for m in tables.study.methods if m.lanes == 1 and m.members > 1])


def _panel(tables: ReportTables, method: MethodRecord, frame: pd.DataFrame, look: Look) -> Panel:
    # The mean of errors, because all observables are of the same passes.
    mean = frame.groupby("lanes")[_NUMBERS].mean()
    bias = _bias(tables, method)
    sizes = mean.index.to_numpy(dtype=float)
    nothing = np.zeros(len(sizes))
    series = {
        _FOUND: (sizes, mean["sigma_rel"].to_numpy(), mean["sigma_rel_error"].to_numpy()),
        _EXPECTED: (sizes, mean["expected"].to_numpy(), nothing),
    }
    if math.isfinite(bias):
        series[_BIAS] = (sizes, np.full(len(sizes), bias), nothing)
    shown = {name: {_FOUND: look, **_LOOKS}[name] for name in series}
    svg = figures.by_iteration(
        series,
        shown,
        "Spread $\\sigma_{\\mathrm{rel}}$",
        log=False,
        axis="Lanes combined",
        apart=0.0,
        title=f"Spread by number of lanes of {method.name}",
    )
    labels = {o.name: o.label for o in tables.study.observables}
    rows = [
        _row(labels[name], rows.set_index("lanes"))
        for name, rows in frame.groupby("observable", sort=False)
    ]
    passes = int(frame["passes"].min())
    return Panel(method.name, shown, Markup(svg), _sentences(method, mean, bias, passes), rows)


def _bias(tables: ReportTables, method: MethodRecord) -> float:
    """Return |bias_rel| of all lanes, averaged over bins and observables; NaN without truth."""
    rows = tables.headline("summary", tables.study.iterations)
    return float(rows.loc[rows["method"] == method.name, "bias_rel"].mean())


def _half(curve: pd.DataFrame) -> int:
    """Return the size that all lanes are compared with: about half as many."""
    return max(n for n in curve.index if n <= max(1, math.ceil(curve.index[-1] / 2)))


def _fall(curve: pd.DataFrame) -> tuple[str, str]:
    """Return how much the spread falls from about half of the lanes to all, and would by 1/√n."""
    half, lanes = _half(curve), curve.index[-1]
    row = curve.loc[half]
    return (
        percent(1 - row["ratio"], row["ratio_error"]),
        f"{100 * (1 - math.sqrt(half / lanes)):.0f}\u00a0%",
    )


def _row(label: str, curve: pd.DataFrame) -> list[str]:
    first, last = curve.iloc[0], curve.iloc[-1]
    return [
        label,
        *(percent(row["sigma_rel"], row["sigma_rel_error"]) for row in (first, last)),
        *_fall(curve),
        percent(_floor(last)) if _significant(last, int(last["passes"])) else "not significant",
    ]


def _floor(row: pd.Series) -> float:
    return math.sqrt(max(row["floor_squared"], 0.0))


def _significant(row: pd.Series, passes: int) -> bool:
    """Whether a part of the spread stays, at 95% confidence (Student's t, one-sided)."""
    return row["floor_squared"] > stdtrit(passes - 1, CONFIDENCE) * row["floor_squared_error"]


def _sentences(method: MethodRecord, curve: pd.DataFrame, bias: float, passes: int) -> list[str]:
    half, lanes, last = _half(curve), int(curve.index[-1]), curve.iloc[-1]
    unit = "networks" if method.members == 1 else f"lanes of {method.members} networks"
    fall, expected = _fall(curve)
    sentences = [
        f"From {half} to {lanes} {unit} σ_rel falls by {fall}; independent scatter would give "
        f"{expected}."
    ]
    spread = last["sigma_rel"]
    if _significant(last, passes):
        sentences.append(
            f"About {percent(_floor(last))} of spread is common to the {unit} of a pass and does "
            f"not average away: more than {lanes} would help little beyond it."
        )
    else:
        sentences.append(
            f"No part that stays is significant; without one {2 * lanes} would bring σ_rel from "
            f"{percent(spread)} to about {percent(spread / math.sqrt(2))}."
        )
    if bias > spread:
        sentences.append(
            f"But the bias, {percent(bias)} on average, is larger than that spread, and no number "
            "of networks lowers it."
        )
    elif math.isfinite(bias):
        sentences.append(
            f"The bias, {percent(bias)} on average, is smaller than that spread, so that more "
            "networks bring the result closer to truth."
        )
    return sentences
