"""Drawing: style, panels, axes and lines that the report's figures are made of.

Figure objects are used, never pyplot's global state, and every SVG is the same for the same
numbers. Series with a label tell their numbers to the page (`omniflow.report.hover`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import matplotlib
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.mathtext import MathTextParser
from matplotlib.patches import StepPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from omniflow.report import hover, parcel, svg, ticks
from omniflow.report.formats import BINNED_LOOK, Look
from omniflow.report.study_json import ObservableRecord

TRUTH, PRIOR, GUIDE = "#111111", "#767676", "#c4c4c4"
WIDTH = 4.3  # inches; the page scales figures
_SIZES = {
    "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
    "mathtext.fontset": "stixsans",
    "mathtext.default": "it",
    "font.size": 9.5,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": True,
    "lines.linewidth": 1.3,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 5,
    "xtick.minor.size": 2.5,
    "ytick.major.size": 5,
    "ytick.minor.size": 2.5,
    "xtick.major.pad": 4,
    "ytick.major.pad": 4,
}


def styled(draw: Callable[..., Figure]) -> Callable[..., str]:
    """Draw and save within mplhep's style, whatever the caller's settings are."""

    @functools.wraps(draw)
    def wrapped(*args: Any, title: str, **kwargs: Any) -> str:
        with matplotlib.rc_context():
            # Without the checks, which they have passed when they were made.
            dict.update(cast(dict[str, Any], matplotlib.rcParams), _style())
            return _svg(draw(*args, **kwargs), title)

    return wrapped


@functools.cache
def _style() -> dict[str, Any]:
    """Every setting of figures, so that none of the caller's is left."""
    style = {k: v for k, v in mplhep.style.ROOT.items() if k not in _SIZES}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style | _SIZES)
        settings = matplotlib.rcParams.copy()
    return {k: dict.__getitem__(settings, k) for k in settings if k != "backend"}


def _svg(figure: Figure, title: str) -> str:
    figure.set_dpi(svg.DPI)
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)  # the page is white
    ticks.draw(figure)
    return parcel.figure(svg.draw(figure), hover.read(figure), title)


def axis_label(observable: ObservableRecord) -> str:
    """Label with unit; the plain label where the LaTeX is not understood by matplotlib."""
    text = observable.latex.strip()
    if text and "$" not in text:
        text = f"${text}$"
    if not text or not _understood(text):
        text = observable.label.replace("$", r"\$")
    unit = observable.unit.replace("^2", "²").replace("$", r"\$")
    return f"{text}  [{unit}]" if unit else text


@functools.cache
def _understood(text: str) -> bool:
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return False
    return True


def panels(
    rows: int = 1, columns: int = 1, *, height: float, width: float = WIDTH, **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes with fixed margins in inches, so that neighbours line up.

    Args:
        rows: of panels.
        columns: of panels.
        height: in inches.
        width: in inches.
        kwargs: further ones of `Figure.subplots`.

    Returns:
        Figure, and axes (rows * columns,).
    """
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.72 / width, right=1 - 0.2 / width, bottom=0.52 / height, top=1 - 0.24 / height,
        hspace=0.07, wspace=0.06,
    )  # fmt: skip
    panel = {"axes_class": ticks.Panel}
    axes = np.ravel(figure.subplots(rows, columns, sharex=True, subplot_kw=panel, **kwargs))
    for one in axes:
        one.yaxis.set_label_coords(-0.58 / (width * one.get_position().width), 1)
    return figure, axes


def ylabel(axes: Axes, text: str, centre: bool = False, **kwargs: Any) -> None:
    """Label the y axis at a fixed distance, at its top or its centre."""
    axes.set_ylabel(text, loc="center" if centre else "top", **kwargs)
    axes.yaxis.set_label_coords(axes.yaxis.label.get_position()[0], 0.5 if centre else 1)


def places(edges: np.ndarray, i: int, n: int, log: bool) -> np.ndarray:
    """Where method i of n puts its points inside each bin, so that error bars do not overlap.

    Args:
        edges: (B + 1,) increasing.
        i: number of the method, from 0.
        n: how many there are.
        log: whether the axis is logarithmic.

    Returns:
        (B,).
    """
    share = 0.5 + (0 if n < 2 else 0.62 * (i / (n - 1) - 0.5))
    if log:
        return edges[:-1] * (edges[1:] / edges[:-1]) ** share
    return edges[:-1] + (edges[1:] - edges[:-1]) * share


def line(look: Look) -> str | tuple:
    """Line style: the binned reference is dash-dotted, unlike the prior and every method."""
    if look is BINNED_LOOK:
        return (0, (6, 1.5, 1.5, 1.5))
    return (0, (4, 2)) if look.dashed else "-"


def step(axes: Axes, values: np.ndarray, edges: np.ndarray, look: Look, **kwargs: Any) -> None:
    """Draw contents (B,) as a histogram's outline.

    Args:
        axes: to draw in.
        values: (B,) contents.
        edges: (B + 1,).
        look: colour and style.
        kwargs: further ones of `StepPatch`; with a label the page tells its numbers.
    """
    # Not `Axes.stairs`, which asks how far outlines reach: `scale` is told.
    style = {"edgecolor": look.colour, "linestyle": line(look), "fill": False, "baseline": None}
    axes.add_artist(StepPatch(values, edges, **(cast(dict[str, Any], style) | kwargs)))


def points(
    axes: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray, look: Look, **kw: Any
) -> None:
    """Draw points (B,) with their errors.

    Args:
        axes: to draw in.
        x: (B,).
        y: (B,).
        error: (B,), or (2, B) below and above; NaN: none.
        look: colour and style.
        kw: further ones of `Line2D`; with a label the page tells its numbers.
    """
    below, above = np.nan_to_num(np.broadcast_to(error, (2, len(x))))
    # One line for all bars: a third of the time of `Axes.errorbar`.
    bars = Line2D(
        np.repeat(x, 3), np.ravel(np.column_stack([y - below, y + above, np.full(len(x), np.nan)])),
        color=look.colour, linewidth=0.9, alpha=kw.get("alpha"), zorder=kw.get("zorder", 2),
    )  # fmt: skip
    label = kw.pop("label", "_")
    line = Line2D(
        x, y, marker=look.marker, color=look.colour, markersize=3, **({"linestyle": "none"} | kw)
    )
    for each in (bars, line):  # not plotted, as in `step`
        axes.add_artist(each)
    lines = cast(Any, (line, (), (bars,)))  # a line in place of a collection of lines
    axes.add_container(ErrorbarContainer(lines, has_yerr=True, label=label))


def finish(axes: Axes, edges: np.ndarray, observable: ObservableRecord, label: bool) -> None:
    """Scale the x axis to the edges, and name the observable below the lowest panel.

    Args:
        axes: to scale.
        edges: (B + 1,).
        observable: whose axis it is.
        label: whether this panel is the lowest.
    """
    if observable.log_x and edges[0] > 0:
        axes.set_xscale("log")
        if edges[-1] < 100 * edges[0] and edges[-1] < 1e5:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(edges[0], edges[-1])
    axes.set_label(hover.place(observable))
    if label:
        axes.set_xlabel(axis_label(observable))
    else:
        axes.tick_params(labelbottom=False)


def scale(axes: Axes, values: Sequence[np.ndarray], log: bool | None = None) -> None:
    """Range from the values, not from error bars; logarithmic where they span a factor 20.

    Values below 0 have no place on a logarithmic axis: with any of them it is linear.

    Args:
        axes: to scale.
        values: (B,) each, or of any shape.
        log: whether the axis is logarithmic; None: as the values say.
    """
    flat = np.concatenate([np.ravel(v) for v in values])
    flat = flat[np.isfinite(flat)]
    positive = flat[flat > 0]
    if not flat.size:
        axes.autoscale_view(scalex=False)  # as wide as axes without data are
        return
    if log is None:
        log = positive.size == flat.size and positive.max() > 20 * positive.min()
    if log and positive.size and flat.min() >= 0:
        low, high = positive.min(), positive.max()
        axes.set_yscale("log")
        axes.set_ylim(low / 1.8, high * 1.8)
        if high / low < 30:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        low, high = min(0.0, float(flat.min())), float(flat.max())
        axes.set_ylim(low, high + 0.15 * ((high - low) or 1))


def around_one(axes: Axes, values: Sequence[np.ndarray], label: str) -> None:
    """A ratio panel: a line at 1, and a symmetric range that leaves outliers at its edge.

    Args:
        axes: to scale.
        values: (B,) each, or of any shape.
        label: of the axis; empty: none.
    """
    flat = np.concatenate([np.ravel(v) for v in values])
    flat = flat[np.isfinite(flat)]
    most = 3.0 if (flat < 0).any() else 1.0  # those of negative contents are no outliers
    flat = np.abs(flat - 1)
    reach = min(most, max(0.02, 1.35 * float(np.quantile(flat, 0.97)) if flat.size else 0.1))
    axes.axhline(1, color=TRUTH, linewidth=0.8, zorder=0)
    axes.set_ylim(1 - reach, 1 + reach)
    axes.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    if label:
        ylabel(axes, label, centre=True, fontsize=8.5)


def band(axes: Axes, edges: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Shade the range from low to high (B,) in every bin.

    Args:
        axes: to draw in.
        edges: (B + 1,).
        low: (B,).
        high: (B,).
    """
    style: dict[str, Any] = {"facecolor": GUIDE, "alpha": 0.6, "linewidth": 0, "baseline": low}
    axes.add_artist(StepPatch(high, edges, fill=True, **style))


def density_label(observable: ObservableRecord, shape: bool) -> str:
    """Axis label of a distribution: what is counted (or its fraction) per unit."""
    unit = observable.unit.replace("^2", "²").replace("$", r"\$") or "unit"
    nouns = {"event": "Events", "particle": "Particles", "jet": "Jets"}
    noun = nouns.get(observable.kind, "Entries")
    return f"Fraction of {noun.lower()} per {unit}" if shape else f"{noun} per {unit}"
