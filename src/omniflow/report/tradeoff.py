"""Trade-off: what each method pays in bias for what it saves in spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from omniflow.report import figures, formats
from omniflow.report.study import MethodRecord
from omniflow.report.tables import ReportTables
from omniflow.report.verdict import compare


@dataclass(frozen=True)
class Point:
    """Averages of one method over bins and observables, with errors from a bootstrap over passes.

    Attributes:
        method: its name.
        spread, spread_error: sigma_rel.
        bias, bias_error: magnitude of bias_rel, the root of the bias part of the relative MSE.
    """

    method: str
    spread: float
    spread_error: float
    bias: float
    bias_error: float


@dataclass(frozen=True)
class Panel:
    """The figure, what it lacks in a sentence (or nothing) and its table, for the template."""

    figure: Markup
    note: str
    header: list[str]
    rows: list[list[str]]


def panel(tables: ReportTables, looks: Mapping[str, formats.Look]) -> Panel | None:
    """Return the panel of a study; None where spread or bias cannot be measured."""
    if not {"sigma_rel", "bias_rel"} <= set(tables.measurable()):
        return None
    found = points(tables)
    methods = {m.name: m for m in tables.study.methods}
    figure = draw(found, looks, min(tables.passes().values()), title="Bias against spread")
    header = ["method", "networks start from", "lanes × members", "spread", "bias"]
    header.append("√(spread² + bias²)")
    rows = [
        [
            one.method,
            policy(methods[one.method]),
            f"{methods[one.method].lanes} × {methods[one.method].members}",
            formats.percent(one.spread, one.spread_error),
            formats.percent(one.bias, one.bias_error),
            formats.percent(math.hypot(one.spread, one.bias)),
        ]
        for one in found
    ]
    note = shared_models(tables.study.methods, tables.study.passes)
    return Panel(Markup(figure), note, header, rows)


def points(tables: ReportTables) -> list[Point]:
    """Return one point per method, at its headline combination and the last iteration.

    Averages over observables are plain. Their errors are the mean of the observables' errors, which
    come from the same passes and move together.
    """
    spread, bias = compare(tables, "sigma_rel"), compare(tables, "bias_rel")
    return [
        Point(
            name,
            *(
                float(frame.loc[name].mean())
                for frame in (spread.values, spread.errors, bias.values, bias.errors)
            ),
        )
        for name in spread.values.index
    ]


def policy(method: MethodRecord) -> str:
    """Return in words where the networks of a method start and how they are trained from there."""
    if method.start == "scratch":
        return "new networks"
    words = {
        "pretrained": "pre-trained backbone and head",
        "backbone": "pre-trained backbone, new head",
    }[method.start]
    if method.models > 1:
        words += f", {method.models} pre-trained models"
    if method.per_pass:
        words += ", others in each pass"
    if method.freeze_epochs == "all":
        return f"{words}, backbone frozen"
    if method.freeze_epochs != "0":
        words += f", backbone frozen for {method.freeze_epochs} epochs"
    if method.backbone_rate_factor != 1:
        words += f", backbone at {method.backbone_rate_factor:g} times the rate"
    return words


def shared_models(methods: Sequence[MethodRecord], passes: int) -> str:
    """Return a sentence on methods whose passes share pre-trained models; nothing without them."""
    names = [
        m.name
        for m in methods
        if m.start != "scratch" and m.models < passes * m.lanes * (m.networks or m.members)
    ]
    if not names:
        return ""
    return (
        f"Passes of {formats.listing(names)} share pre-trained models. Their scatter is then "
        "common to all passes: it is neither in the spread nor in the block training of a "
        "covariance, and counts as bias. With transfer.per_pass passes have models of their own."
    )


def unbiased(passes: int) -> float:
    """Return bias over spread that a method without bias shows on average in so many passes.

    The mean of N passes scatters by spread / √N, and the mean magnitude of a normal variable is
    √(2 / π) of its width.
    """
    return math.sqrt(2 / (math.pi * passes))


@figures._styled
def draw(found: Sequence[Point], looks: Mapping[str, formats.Look], passes: int) -> Figure:
    """Bias against spread, one point per method, in per cent.

    Circles are of equal spread and bias in quadrature. In the grey area, below `unbiased`, a bias
    cannot be told from the scatter of the mean over passes.
    """
    figure, (axes,) = figures._panels(height=4.1, width=5.2)
    values = 100 * np.array([[one.spread, one.bias] for one in found])
    errors = 100 * np.nan_to_num([[one.spread_error, one.bias_error] for one in found])
    right, top = np.maximum(1.12 * np.max(values + errors, axis=0), 1e-3)
    top = max(top, 1.5 * unbiased(passes) * right)
    x, y = np.meshgrid(np.linspace(0, right, 100), np.linspace(0, top, 100))
    circles = axes.contour(x, y, np.hypot(x, y), 6, colors=figures.GUIDE, linewidths=0.7, zorder=0)
    axes.clabel(circles, fmt="%g", fontsize=7)
    edge = np.array([0, right])
    axes.fill_between(edge, unbiased(passes) * edge, color=figures.GUIDE, alpha=0.35, linewidth=0)
    for one, (spread, bias), (dx, dy) in zip(found, values, errors, strict=True):
        look = looks[one.method]
        axes.errorbar(
            spread, bias, xerr=dx, yerr=dy, fmt=look.marker, color=look.colour, markersize=6,
            elinewidth=0.9,
        )  # fmt: skip
    axes.set_xlim(0, right)
    axes.set_ylim(0, top)
    axes.set_xlabel(r"Spread $\sigma_{\mathrm{rel}}$  [%]")
    figures._ylabel(axes, "Magnitude of the bias  [%]")
    return figure
