"""Figures of the report: each function returns one SVG, styled by mplhep."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from omniflow.report import drawing
from omniflow.report.content import edges_of, on_edges
from omniflow.report.drawing import GUIDE, PRIOR, TRUTH
from omniflow.report.formats import BINNED, BINNED_LOOK, Look
from omniflow.report.hover import HERE, WHOLE
from omniflow.report.study_json import ObservableRecord

CURVES_AS_PIXELS = 6000  # more points than this in a panel are drawn as pixels, to keep files small


@drawing.styled
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
    figure, (upper, lower) = drawing.panels(2, height=4.1, height_ratios=[2.6, 1])
    edges = edges_of([*frames.values(), binned])
    width = np.diff(edges)
    first = next(iter(frames.values()))
    base = "truth" if first["truth"].notna().any() else "prior"
    reference, uncertainty = (on_edges(first, c, edges) for c in (base, f"{base}_error"))
    reference = np.where(reference != 0, reference, np.nan)
    shown, ratios = [reference / width], []
    relative = np.nan_to_num(uncertainty / np.abs(reference))
    drawing.band(lower, edges, 1 - relative, 1 + relative)
    if base == "truth":
        prior = on_edges(first, "prior", edges)
        upper.stairs(reference / width, edges, fill=True, color="#e6e6e6", linewidth=0)
        drawing.step(
            upper, reference / width, edges, Look(TRUTH, False, ""), linewidth=1.1, label=base
        )
        drawing.step(upper, prior / width, edges, Look(PRIOR, True, ""), label="prior")
        drawing.step(lower, prior / reference, edges, Look(PRIOR, True, ""), label="prior")
        shown.append(prior / width)
    else:
        drawing.step(upper, reference / width, edges, Look(PRIOR, True, ""), label=base)
    if len(binned):
        content, error = on_edges(binned, "content", edges), on_edges(binned, "error", edges)
        x = drawing.places(edges, 0, 1, observable.log_x)
        for axes, unit in ((upper, width), (lower, reference)):
            drawing.step(axes, content / unit, edges, BINNED_LOOK, linewidth=1)
            relative = error / np.abs(unit)
            drawing.points(axes, x, content / unit, relative, BINNED_LOOK, label=BINNED)
        shown.append(content / width)
        ratios.append(content / reference)
    for i, (name, frame) in enumerate(frames.items()):
        mean, error = on_edges(frame, "mean", edges), on_edges(frame, "mean_error", edges)
        x = drawing.places(edges, i, len(frames), observable.log_x)
        drawing.points(upper, x, mean / width, error / width, looks[name], label=name)
        relative = error / np.abs(reference)
        drawing.points(lower, x, mean / reference, relative, looks[name], label=name)
        shown.append(mean / width)
        ratios.append(mean / reference)
    drawing.scale(upper, shown, observable.log_y)
    drawing.ylabel(upper, drawing.density_label(observable, shape))
    drawing.around_one(lower, ratios, f"Ratio to {base}")
    drawing.finish(upper, edges, observable, label=False)
    drawing.finish(lower, edges, observable, label=True)
    return figure


@drawing.styled
def per_bin(
    observable: ObservableRecord,
    frames: Mapping[str, pd.DataFrame],
    looks: Mapping[str, Look],
    column: str,
    label: str,
    height: float = 4.1,
) -> Figure:
    """One column of the metrics per bin, with its error, for each method (or combination)."""
    figure, (axes,) = drawing.panels(height=height)
    edges = edges_of(list(frames.values()))
    shown = []
    for i, (name, frame) in enumerate(frames.items()):
        values, error = on_edges(frame, column, edges), on_edges(frame, f"{column}_error", edges)
        drawing.step(axes, values, edges, looks[name], linewidth=0.8, alpha=0.55)
        x = drawing.places(edges, i, len(frames), observable.log_x)
        drawing.points(axes, x, values, error, looks[name], label=name)
        shown.append(values)
    drawing.scale(axes, shown)
    drawing.ylabel(axes, label)
    drawing.finish(axes, edges, observable, label=True)
    return figure


@drawing.styled
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
    """A number per iteration and method.

    Args:
        series: by method iterations (n,), values (n,) and errors (n,), or ranges (2, n).
        looks: colour and style by method.
        label: of the axis of values.
        floor: upper end of a grey band from 0: values in it cannot be told from agreement; NaN:
            none.
        height: in inches.
        log: as of `drawing.scale`.
        axis: name of another axis of whole numbers.
        apart: how far first and last series are moved along it.

    Returns:
        The figure.
    """
    figure, (axes,) = drawing.panels(height=height)
    for i, (name, (iterations, values, errors)) in enumerate(series.items()):
        shift = 0.0 if len(series) < 2 else apart * (i / (len(series) - 1) - 0.5)
        style = {"linestyle": drawing.line(looks[name]), "lw": 1, "label": name}
        drawing.points(axes, iterations + shift, values, errors, looks[name], **style)
    drawing.scale(axes, [values for _, values, _ in series.values()] + [np.array([floor])], log)
    if np.isfinite(floor):
        axes.axhspan(axes.get_ylim()[0], floor, color=GUIDE, alpha=0.5, linewidth=0, zorder=0)
    everything = np.concatenate([iterations for iterations, _, _ in series.values()])
    axes.set_xlim(everything.min() - 0.4, everything.max() + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.xaxis.set_minor_locator(MaxNLocator(1))
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel(axis)
    axes.set_label(f"{axis} {WHOLE}")
    drawing.ylabel(axes, label)
    return figure


@drawing.styled
def uncertainty(
    observable: ObservableRecord, frame: pd.DataFrame, looks: Mapping[str, Look]
) -> Figure:
    """Relative uncertainty per bin of each block of a covariance: columns of `frame` by name."""
    figure, (axes,) = drawing.panels(height=3.4)
    edges = edges_of([frame])
    shown = [100 * on_edges(frame, name, edges) for name in looks]
    for values, (name, look) in zip(shown, looks.items(), strict=True):
        drawing.step(axes, values, edges, look, linewidth=1.2, label=name)
    drawing.scale(axes, shown, log=False)
    drawing.ylabel(axes, "Uncertainty [%]")
    drawing.finish(axes, edges, observable, label=True)
    return figure


@drawing.styled
def correlation(matrix: np.ndarray) -> Figure:
    """Correlation of bins, (B, B): blue below 0, red above; NaN where a bin has no variance.

    Args:
        matrix: (B, B) from -1 to 1, or NaN.

    Returns:
        The figure.
    """
    figure, (axes,) = drawing.panels(height=3.4, width=3.8)
    edges = np.arange(len(matrix) + 1) - 0.5
    mesh = axes.pcolormesh(
        edges, edges, matrix, cmap="RdBu_r", vmin=-1, vmax=1, label="correlation"
    )
    figure.colorbar(mesh, ax=axes, ticks=[-1, -0.5, 0, 0.5, 1])
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.tick_params(which="minor", length=0)
    axes.set_label(f"bins {HERE}")
    axes.set_xlabel("Bin")
    drawing.ylabel(axes, "Bin")
    return figure


@drawing.styled
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
    figure, panels = drawing.panels(
        1 + rows, height=2.5 + 0.72 * rows, width=6.2, height_ratios=[2.6] + [1] * rows
    )
    everything = [f for method in frames.values() for f in method.values()]
    edges = edges_of(everything)
    width = np.diff(edges)
    first = next(iter(frames.values()))
    data, error = on_edges(first[0], "data", edges), on_edges(first[0], "data_error", edges)
    upper, shown, ratios = panels[0], [data / width], []
    drawing.step(
        upper,
        on_edges(first[0], "simulation", edges) / width,
        edges,
        Look(PRIOR, True, ""),
        label="prior",
    )
    measured = np.where(data != 0, data, np.nan)
    for axes, (name, iterations) in zip(panels[1:], frames.items(), strict=True):
        relative = np.nan_to_num(error / np.abs(measured))
        drawing.band(axes, edges, 1 - relative, 1 + relative)
        last = max(iterations)
        for iteration, frame in sorted(iterations.items()):
            values = on_edges(frame, "simulation", edges)
            if iteration == 0:
                style = {"linewidth": 1, "label": "prior"}
                drawing.step(axes, values / measured, edges, Look(PRIOR, True, ""), **style)
            else:
                alpha = 0.25 + 0.75 * iteration / last
                thick = 1.6 if iteration == last else 0.9
                look = Look(looks[name].colour, False, "")
                style = {"linewidth": thick, "alpha": alpha}
                style["label"] = f"{name}, iteration {iteration}"
                drawing.step(axes, values / measured, edges, look, **style)
            ratios.append(values / measured)
        drawing.step(upper, values / width, edges, looks[name], linewidth=1, label=name)
        shown.append(values / width)
        axes.text(
            0.015, 0.9, name.replace("$", r"\$"), transform=axes.transAxes, va="top",
            fontsize=8, color=looks[name].colour, fontweight="bold",
        )  # fmt: skip
    for axes in panels[1:]:
        drawing.around_one(axes, ratios, "")
        drawing.finish(axes, edges, observable, label=axes is panels[-1])
    drawing.ylabel(panels[1 + rows // 2], "Simulation / data", centre=True)
    drawing.points(
        upper,
        drawing.places(edges, 0, 1, observable.log_x),
        data / width,
        error / width,
        Look(TRUTH, False, "o"),
        zorder=5,
        label="data",
    )
    drawing.scale(upper, shown, observable.log_y)
    drawing.ylabel(upper, drawing.density_label(observable, shape))
    drawing.finish(upper, edges, observable, label=False)
    return figure


@drawing.styled
def losses(curves: pd.DataFrame, first_colour: str, uninformed: float) -> Figure:
    """Training and validation loss per epoch of every network of a chain and step.

    The first iteration is coloured, the later ones grey; many curves are drawn as pixels. A line
    marks the loss of an uninformed network.
    """
    figure, panels = drawing.panels(1, 2, height=2.8, width=6.2, sharey=True)
    low, high = [], []
    for axes, column, label in zip(
        panels, ("loss", "val_loss"), ("Training", "Validation"), strict=True
    ):
        rows = curves[np.isfinite(curves[column])]
        groups = _lines(rows, column)
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
    drawing.ylabel(panels[0], "Loss")
    return figure


def _lines(rows: pd.DataFrame, column: str) -> dict[bool, list[np.ndarray]]:
    """Epochs and values (n, 2) of every network, by whether it is of the first iteration."""
    keys = ["pass", "lane", "member", "fold", "iteration", "step"]
    network = rows.groupby(keys, sort=False).ngroup().to_numpy()
    values = rows[["epoch", column]].to_numpy(float)
    order = np.lexsort((values[:, 0], network))
    iterations = rows["iteration"].to_numpy()[order]
    begins = np.flatnonzero(np.diff(network[order], prepend=-1))
    found: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for begin, line in zip(begins, np.split(values[order], begins)[1:], strict=True):
        found[bool(iterations[begin] <= 1)].append(line)  # pre-training has 0
    return found
