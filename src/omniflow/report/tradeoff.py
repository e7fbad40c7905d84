"""Trade-off: what each method pays in bias for what it saves in spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from omniflow.report import bias, drawing, formats, hover
from omniflow.report.content import ReportTables
from omniflow.report.study_json import MethodRecord


@dataclass(frozen=True)
class Point:
    """Averages of one method over bins and observables, with errors from a bootstrap over passes.

    Attributes:
        method: its name.
        spread, spread_error: sigma_rel.
        bias, bias_error: magnitude of bias_rel, the root of the bias part of the relative MSE.
        expected: what statistics of events and passes give as bias to a method without any.
    """

    method: str
    spread: float
    spread_error: float
    bias: float
    bias_error: float
    expected: float

    @property
    def drawn(self) -> bool:
        """Whether it has a place in the figure: the spread of one pass is not known."""
        return math.isfinite(self.spread) and math.isfinite(self.bias)


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
    drawn = [one for one in found if one.drawn]
    if not drawn:
        return None
    methods = {m.name: m for m in tables.study.methods}
    passes = min(tables.passes()[one.method] for one in drawn)
    fluctuation = float(bias.statistics(tables).loc[[one.method for one in drawn]].mean(None))
    figure = draw(drawn, looks, passes, fluctuation, title="Bias against spread")
    header = ["method", "networks start from", "lanes × members", "spread", "bias"]
    header += ["expected without bias", "√(spread² + bias²)"]
    rows = [
        [
            one.method,
            policy(methods[one.method]),
            f"{methods[one.method].lanes} × {methods[one.method].members}",
            formats.percent(one.spread, one.spread_error),
            formats.percent(one.bias, one.bias_error),
            formats.percent(one.expected),
            formats.percent(math.hypot(one.spread, one.bias)),
        ]
        for one in found
    ]
    notes = [shared_models(tables.study.methods, tables.study.passes)]
    if absent := [one.method for one in found if not one.drawn]:
        notes.append(f"Without a point, because their spread is not known: {', '.join(absent)}.")
    return Panel(Markup(figure), " ".join(filter(None, notes)), header, rows)


def points(tables: ReportTables) -> list[Point]:
    """Return one point per method, at its headline combination and the last iteration.

    Averages over observables are plain. Their errors are the mean of the observables' errors, which
    come from the same passes and move together.
    """
    metrics = ("sigma_rel", "bias_rel")
    frames = [tables.averages(metric, part) for metric in metrics for part in ("", "_error")]
    frames.append(bias.expected(tables))
    return [
        Point(name, *(float(frame.loc[name].mean()) for frame in frames))
        for name in frames[0].index
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


def sharing(methods: Sequence[MethodRecord], passes: int) -> list[str]:
    """Return the methods whose passes share pre-trained models."""
    return [
        m.name for m in methods if m.start != "scratch" and m.models < passes * per_pass(methods, m)
    ]


def per_pass(methods: Sequence[MethodRecord], method: MethodRecord) -> int:
    """Return how many networks per step a pass of a method's chain has."""
    lanes = max(m.lanes for m in methods if m.chain == method.chain)
    return lanes * (method.networks or method.members)


def shared_models(methods: Sequence[MethodRecord], passes: int) -> str:
    """Return a sentence on methods whose passes share pre-trained models; nothing without them."""
    names = sharing(methods, passes)
    if not names:
        return ""
    return (
        f"Passes of {formats.listing(names)} share pre-trained models. Their scatter is then "
        "common to all passes: it is neither in the spread nor in the block training of a "
        "covariance, and counts as bias. With transfer.per_pass passes have models of their own."
    )


@drawing.styled
def draw(
    found: Sequence[Point],
    looks: Mapping[str, formats.Look],
    passes: int,
    statistics: float,
) -> Figure:
    """Bias against spread, one point per method, in per cent.

    Circles are of equal spread and bias in quadrature. Below `bias.unbiased` is grey: dark what the
    scatter of the mean over passes gives by itself, light what it gives with the statistical
    fluctuations of the events.
    """
    figure, (axes,) = drawing.panels(height=4.1, width=5.2)
    values = 100 * np.array([[one.spread, one.bias] for one in found])
    errors = 100 * np.nan_to_num([[one.spread_error, one.bias_error] for one in found])
    right, top = np.maximum(1.12 * np.max(values + errors, axis=0), 1e-3)
    edge = np.linspace(0, right, 100)
    scatter = bias.unbiased(edge, passes)
    both = bias.unbiased(edge, passes, 100 * statistics)
    top = max(top, 1.5 * np.max(both))
    x, y = np.meshgrid(np.linspace(0, right, 100), np.linspace(0, top, 100))
    circles = axes.contour(x, y, np.hypot(x, y), 6, colors=drawing.GUIDE, linewidths=0.7, zorder=0)
    axes.clabel(circles, fmt="%g", fontsize=7)
    for height in (both, scatter):
        axes.fill_between(edge, height, color=drawing.GUIDE, alpha=0.35, linewidth=0)
    for one, place, (dx, dy) in zip(found, values, errors, strict=True):
        look = looks[one.method]
        axes.errorbar(
            *place, xerr=dx, yerr=dy, fmt=look.marker, color=look.colour, markersize=6,
            elinewidth=0.9, label=one.method,
        )  # fmt: skip
    axes.set_label(f"spread {hover.HERE}, bias")
    axes.set_xlim(0, right)
    axes.set_ylim(0, top)
    axes.set_xlabel(r"Spread $\sigma_{\mathrm{rel}}$  [%]")
    drawing.ylabel(axes, "Magnitude of the bias  [%]")
    return figure
