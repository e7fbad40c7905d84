"""Figures of the report: each function returns one inline SVG, styled by mplhep.

Only this module imports matplotlib. It uses Figure objects, never pyplot's global state, and every
SVG is the same for the same numbers (fixed salt of identifiers, no date).
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import mplhep
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from omniflow.report import ticks
from omniflow.report.formats import BINNED_LOOK, Look
from omniflow.report.study import ObservableRecord
from omniflow.report.svg import inline
from omniflow.report.tables import edges_of, on_edges

TRUTH, PRIOR, GUIDE = "#111111", "#767676", "#c4c4c4"
WIDTH = 4.3  # inches; the page scales figures
CURVES_AS_PIXELS = 6000  # more points than this in a panel are drawn as pixels, to keep files small
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
    "svg.fonttype": "path",
    "svg.hashsalt": "omniflow",
}


def _styled(draw: Callable[..., Figure]) -> Callable[..., str]:
    """Draw and save within mplhep's style, whatever the caller's settings are."""

    @functools.wraps(draw)
    def wrapped(*args, title: str, **kwargs) -> str:
        style = {k: v for k, v in mplhep.style.ROOT.items() if k not in _SIZES}
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(style | _SIZES)
            return _svg(draw(*args, **kwargs), title)

    return wrapped


def _svg(figure: Figure, title: str) -> str:
    ticks.draw_minor(figure)
    buffer, empty = io.StringIO(), {"Date": None, "Creator": None, "Type": None}
    figure.savefig(buffer, format="svg", dpi=130, metadata=empty)
    return inline(buffer.getvalue(), title)


def axis_label(observable: ObservableRecord) -> str:
    """Label with unit; the plain label where the LaTeX is not understood by matplotlib."""
    text = observable.latex.strip()
    if text and "$" not in text:
        text = f"${text}$"
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        text = ""
    text = text or observable.label.replace("$", r"\$")
    unit = observable.unit.replace("^2", "²").replace("$", r"\$")
    return f"{text}  [{unit}]" if unit else text


def _panels(
    rows: int = 1, columns: int = 1, *, height: float, width: float = WIDTH, **kwargs
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes with fixed margins in inches, so that neighbours line up."""
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.72 / width, right=1 - 0.2 / width, bottom=0.52 / height, top=1 - 0.24 / height,
        hspace=0.07, wspace=0.06,
    )  # fmt: skip
    axes = np.ravel(figure.subplots(rows, columns, sharex=True, **kwargs))
    for one in axes:
        one.yaxis.set_label_coords(-0.58 / (width * one.get_position().width), 1)
    return figure, axes


def _ylabel(axes: Axes, text: str, centre: bool = False, **kwargs) -> None:
    """Label the y axis at a fixed distance, at its top or its centre."""
    axes.set_ylabel(text, loc="center" if centre else "top", **kwargs)
    axes.yaxis.set_label_coords(axes.yaxis.label.get_position()[0], 0.5 if centre else 1)


def _places(edges: np.ndarray, i: int, n: int, log: bool) -> np.ndarray:
    """Where method i of n puts its points inside each bin, so that error bars do not overlap."""
    share = 0.5 + (0 if n < 2 else 0.62 * (i / (n - 1) - 0.5))
    if log:
        return edges[:-1] * (edges[1:] / edges[:-1]) ** share
    return edges[:-1] + (edges[1:] - edges[:-1]) * share


def _line(look: Look) -> str | tuple:
    """Line style: the binned reference is dash-dotted, unlike the prior and every method."""
    if look is BINNED_LOOK:
        return (0, (6, 1.5, 1.5, 1.5))
    return (0, (4, 2)) if look.dashed else "-"


def _step(axes: Axes, values: np.ndarray, edges: np.ndarray, look: Look, **kwargs) -> None:
    mplhep.histplot(
        values, edges, ax=axes, histtype="step", edges=False, yerr=False, flow="none",
        color=look.colour, linestyle=_line(look), **kwargs,
    )  # fmt: skip


def _points(axes: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray, look: Look, **kw) -> None:
    axes.errorbar(
        x, y, yerr=np.nan_to_num(error), fmt=look.marker, color=look.colour, markersize=3,
        elinewidth=0.9, capsize=0, **({"linestyle": "none"} | kw),
    )  # fmt: skip


def _finish(axes: Axes, edges: np.ndarray, observable: ObservableRecord, label: bool) -> None:
    if observable.log_x and edges[0] > 0:
        axes.set_xscale("log")
        if edges[-1] < 100 * edges[0] and edges[-1] < 1e5:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(edges[0], edges[-1])
    if label:
        axes.set_xlabel(axis_label(observable))
    else:
        axes.tick_params(labelbottom=False)


def _scale(axes: Axes, values: Sequence[np.ndarray], log: bool | None = None) -> None:
    """Range from the values, not from error bars; logarithmic where they span a factor 20.

    Values below 0 have no place on a logarithmic axis: with any of them it is linear.
    """
    flat = np.concatenate([np.ravel(v) for v in values])
    flat = flat[np.isfinite(flat)]
    positive = flat[flat > 0]
    if not flat.size:
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


def _around_one(axes: Axes, values: Sequence[np.ndarray], label: str) -> None:
    """A ratio panel: a line at 1, and a symmetric range that leaves outliers at its edge."""
    flat = np.concatenate([np.ravel(v) for v in values])
    flat = flat[np.isfinite(flat)]
    most = 3.0 if (flat < 0).any() else 1.0  # those of negative contents are no outliers
    flat = np.abs(flat - 1)
    reach = min(most, max(0.02, 1.35 * float(np.quantile(flat, 0.97)) if flat.size else 0.1))
    axes.axhline(1, color=TRUTH, linewidth=0.8, zorder=0)
    axes.set_ylim(1 - reach, 1 + reach)
    axes.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    if label:
        _ylabel(axes, label, centre=True, fontsize=8.5)


def _band(axes: Axes, edges: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    axes.stairs(high, edges, baseline=low, fill=True, color=GUIDE, alpha=0.6, linewidth=0)


def density_label(observable: ObservableRecord, shape: bool) -> str:
    """Axis label of a distribution: what is counted (or its fraction) per unit."""
    unit = observable.unit.replace("^2", "²").replace("$", r"\$") or "unit"
    nouns = {"event": "Events", "particle": "Particles", "jet": "Jets"}
    noun = nouns.get(observable.kind, "Entries")
    return f"Fraction of {noun.lower()} per {unit}" if shape else f"{noun} per {unit}"


@_styled
def distribution(
    observable: ObservableRecord,
    frames: Mapping[str, pd.DataFrame],
    looks: Mapping[str, Look],
    shape: bool,
    binned: pd.DataFrame,
) -> Figure:
    """Truth, prior and the unfolded distribution of each method with ratio to truth.

    Without truth the ratio is to the prior. `frames`: one metrics frame per method, contents per
    bin, which are divided by the bin width here. `binned`: a frame of the binned reference, empty
    where there is none.
    """
    figure, (upper, lower) = _panels(2, height=4.1, height_ratios=[2.6, 1])
    edges = edges_of([*frames.values(), binned])
    width = np.diff(edges)
    first = next(iter(frames.values()))
    base = "truth" if first["truth"].notna().any() else "prior"
    reference, uncertainty = (on_edges(first, c, edges) for c in (base, f"{base}_error"))
    reference = np.where(reference != 0, reference, np.nan)
    shown, ratios = [reference / width], []
    relative = np.nan_to_num(uncertainty / np.abs(reference))
    _band(lower, edges, 1 - relative, 1 + relative)
    if base == "truth":
        prior = on_edges(first, "prior", edges)
        upper.stairs(reference / width, edges, fill=True, color="#e6e6e6", linewidth=0)
        _step(upper, reference / width, edges, Look(TRUTH, False, ""), linewidth=1.1)
        _step(upper, prior / width, edges, Look(PRIOR, True, ""))
        _step(lower, prior / reference, edges, Look(PRIOR, True, ""))
        shown.append(prior / width)
    else:
        _step(upper, reference / width, edges, Look(PRIOR, True, ""))
    if len(binned):
        content, error = on_edges(binned, "content", edges), on_edges(binned, "error", edges)
        x = _places(edges, 0, 1, observable.log_x)
        for axes, unit in ((upper, width), (lower, reference)):
            _step(axes, content / unit, edges, BINNED_LOOK, linewidth=1)
            _points(axes, x, content / unit, error / np.abs(unit), BINNED_LOOK)
        shown.append(content / width)
        ratios.append(content / reference)
    for i, (name, frame) in enumerate(frames.items()):
        mean, error = on_edges(frame, "mean", edges), on_edges(frame, "mean_error", edges)
        x = _places(edges, i, len(frames), observable.log_x)
        _points(upper, x, mean / width, error / width, looks[name])
        _points(lower, x, mean / reference, error / np.abs(reference), looks[name])
        shown.append(mean / width)
        ratios.append(mean / reference)
    _scale(upper, shown, observable.log_y)
    _ylabel(upper, density_label(observable, shape))
    _around_one(lower, ratios, f"Ratio to {base}")
    _finish(upper, edges, observable, label=False)
    _finish(lower, edges, observable, label=True)
    return figure


@_styled
def per_bin(
    observable: ObservableRecord,
    frames: Mapping[str, pd.DataFrame],
    looks: Mapping[str, Look],
    column: str,
    label: str,
    height: float = 4.1,
) -> Figure:
    """One column of the metrics per bin, with its error, for each method (or combination)."""
    figure, (axes,) = _panels(height=height)
    edges = edges_of(list(frames.values()))
    shown = []
    for i, (name, frame) in enumerate(frames.items()):
        values, error = on_edges(frame, column, edges), on_edges(frame, f"{column}_error", edges)
        _step(axes, values, edges, looks[name], linewidth=0.8, alpha=0.55)
        x = _places(edges, i, len(frames), observable.log_x)
        _points(axes, x, values, error, looks[name])
        shown.append(values)
    _scale(axes, shown)
    _ylabel(axes, label)
    _finish(axes, edges, observable, label=True)
    return figure


@_styled
def by_iteration(
    series: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    looks: Mapping[str, Look],
    label: str,
    floor: float = np.nan,
    height: float = 3.0,
    log: bool | None = None,
    axis: str = "Iteration",
    apart: float = 0.28,
) -> Figure:
    """A number per iteration (values, errors or ranges of shape (n,) or (2, n)) per method.

    `floor` is drawn as a grey band from 0: values in it cannot be told from agreement. `axis` names
    another axis of whole numbers; `apart` is how far first and last series are moved along it.
    """
    figure, (axes,) = _panels(height=height)
    for i, (name, (iterations, values, errors)) in enumerate(series.items()):
        shift = 0.0 if len(series) < 2 else apart * (i / (len(series) - 1) - 0.5)
        style = {"linestyle": _line(looks[name]), "lw": 1}
        _points(axes, iterations + shift, values, errors, looks[name], **style)
    _scale(axes, [values for _, values, _ in series.values()] + [np.array([floor])], log)
    if np.isfinite(floor):
        axes.axhspan(axes.get_ylim()[0], floor, color=GUIDE, alpha=0.5, linewidth=0, zorder=0)
    everything = np.concatenate([iterations for iterations, _, _ in series.values()])
    axes.set_xlim(everything.min() - 0.4, everything.max() + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.xaxis.set_minor_locator(MaxNLocator(1))
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel(axis)
    _ylabel(axes, label)
    return figure


@_styled
def uncertainty(
    observable: ObservableRecord, frame: pd.DataFrame, looks: Mapping[str, Look]
) -> Figure:
    """Relative uncertainty per bin of each block of a covariance: columns of `frame` by name."""
    figure, (axes,) = _panels(height=3.4)
    edges = edges_of([frame])
    shown = [100 * on_edges(frame, name, edges) for name in looks]
    for values, look in zip(shown, looks.values(), strict=True):
        _step(axes, values, edges, look, linewidth=1.2)
    _scale(axes, shown, log=False)
    _ylabel(axes, "Uncertainty [%]")
    _finish(axes, edges, observable, label=True)
    return figure


@_styled
def correlation(matrix: np.ndarray) -> Figure:
    """Correlation of bins, (B, B): blue below 0, red above; NaN where a bin has no variance."""
    figure, (axes,) = _panels(height=3.4, width=3.8)
    edges = np.arange(len(matrix) + 1) - 0.5
    mesh = axes.pcolormesh(edges, edges, matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    figure.colorbar(mesh, ax=axes, ticks=[-1, -0.5, 0, 0.5, 1])
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("Bin")
    _ylabel(axes, "Bin")
    return figure


@_styled
def detector(
    observable: ObservableRecord,
    frames: Mapping[str, Mapping[int, pd.DataFrame]],
    looks: Mapping[str, Look],
    shape: bool,
) -> Figure:
    """Data against simulation at detector level; per method one strip of simulation over data.

    `frames`: per method and iteration (0 is the prior) a detector frame. Colours deepen with the
    iteration; the upper panel shows the last one.
    """
    rows = len(frames)
    figure, panels = _panels(
        1 + rows, height=2.5 + 0.72 * rows, width=6.2, height_ratios=[2.6] + [1] * rows
    )
    everything = [f for method in frames.values() for f in method.values()]
    edges = edges_of(everything)
    width = np.diff(edges)
    first = next(iter(frames.values()))
    data, error = on_edges(first[0], "data", edges), on_edges(first[0], "data_error", edges)
    upper, shown, ratios = panels[0], [data / width], []
    _step(upper, on_edges(first[0], "simulation", edges) / width, edges, Look(PRIOR, True, ""))
    measured = np.where(data != 0, data, np.nan)
    for axes, (name, iterations) in zip(panels[1:], frames.items(), strict=True):
        relative = np.nan_to_num(error / np.abs(measured))
        _band(axes, edges, 1 - relative, 1 + relative)
        last = max(iterations)
        for iteration, frame in sorted(iterations.items()):
            values = on_edges(frame, "simulation", edges)
            if iteration == 0:
                _step(axes, values / measured, edges, Look(PRIOR, True, ""), linewidth=1)
            else:
                alpha = 0.25 + 0.75 * iteration / last
                thick = 1.6 if iteration == last else 0.9
                look = Look(looks[name].colour, False, "")
                _step(axes, values / measured, edges, look, alpha=alpha, linewidth=thick)
            ratios.append(values / measured)
        _step(upper, values / width, edges, looks[name], linewidth=1)
        shown.append(values / width)
        axes.text(
            0.015, 0.9, name.replace("$", r"\$"), transform=axes.transAxes, va="top",
            fontsize=8, color=looks[name].colour, fontweight="bold",
        )  # fmt: skip
    for axes in panels[1:]:
        _around_one(axes, ratios, "")
        _finish(axes, edges, observable, label=axes is panels[-1])
    _ylabel(panels[1 + rows // 2], "Simulation / data", centre=True)
    _points(
        upper,
        _places(edges, 0, 1, observable.log_x),
        data / width,
        error / width,
        Look(TRUTH, False, "o"),
        zorder=5,
    )
    _scale(upper, shown, observable.log_y)
    _ylabel(upper, density_label(observable, shape))
    _finish(upper, edges, observable, label=False)
    return figure


@_styled
def losses(curves: pd.DataFrame, first_colour: str, uninformed: float) -> Figure:
    """Training and validation loss per epoch of every network of a chain and step.

    The first iteration is coloured, the later ones grey; many curves are drawn as pixels. A line
    marks the loss of an uninformed network.
    """
    figure, panels = _panels(1, 2, height=2.8, width=6.2, sharey=True)
    keys = ["pass", "lane", "member", "fold", "iteration", "step"]
    low, high = [], []
    for axes, column, label in zip(
        panels, ("loss", "val_loss"), ("Training", "Validation"), strict=True
    ):
        rows = curves[np.isfinite(curves[column])]
        groups: dict[bool, list[np.ndarray]] = {False: [], True: []}
        for key, network in rows.groupby(keys, sort=False):
            line = network.sort_values("epoch")[["epoch", column]].to_numpy(dtype=float)
            groups[key[4] in ("1", "")].append(line)
        pixels = len(rows) > CURVES_AS_PIXELS
        for first, lines in groups.items():
            thin = 0.9 if first else 0.6
            short = [line for line in lines if len(line) == 1]
            colour = first_colour if first else "#9a9a9a"
            axes.add_collection(
                LineCollection(
                    lines,
                    colors=colour,
                    linewidths=thin,
                    alpha=0.55,
                    rasterized=pixels,
                    zorder=2 + first,
                )
            )
            if short:
                axes.plot(*np.concatenate(short).T, ".", color=colour, ms=3, rasterized=pixels)
        if len(rows):
            low.append(rows[column].quantile(0.002))
            high.append(rows[column].quantile(0.99))
        axes.axhline(uninformed, color=TRUTH, linewidth=0.7, linestyle=":")
        axes.set_title(label, fontsize=9, loc="left")
        axes.set_xlabel("Epoch")
    if low:
        bottom, top = min(low), max([*high, uninformed])
        room = 0.08 * ((top - bottom) or 0.01)
        panels[0].set_ylim(bottom - room, top + room)
    panels[0].set_xlim(0, max(2, int(curves["epoch"].max()) + 1))
    panels[0].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _ylabel(panels[0], "Loss")
    return figure
