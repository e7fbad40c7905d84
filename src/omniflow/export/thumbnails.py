"""Figures of a HEPData submission: one per table, and a small one of it."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from omniflow.export.binned import Binned, error
from omniflow.observables.axes import Axis

SIZE = (4.8, 3.6)  # inches
DOTS = 200  # per inch: 960 x 720
SHRINK = 4  # to HEPData's 240 x 180
_LINES = ("#767676", "#3f7fbf", "#c44e2f", "#4f9a4f", "#8d5fb0")


def spectrum(result: Binned) -> Figure:
    """Return the figure of one observable with its total errors, and what stands beside it.

    Args:
        result: of one observable.
    """
    (axis,) = result.axes
    edges = np.asarray(axis.edges)
    figure, axes = _figure()
    for (name, found), colour in zip(result.references.items(), _LINES * 9, strict=False):
        axes.stairs(found.content, edges, color=colour, label=_plain(name))
    errors = None if result.total is None else error(result.total)
    centre = (edges[1:] + edges[:-1]) / 2
    axes.errorbar(
        centre,
        result.content,
        errors,
        np.diff(edges) / 2,
        fmt="o",
        color="black",
        markersize=3,
        label="unfolded",
    )
    if axis.log_x and edges[0] > 0:
        axes.set_xscale("log")
    if axis.log_y and (result.content > 0).all():
        axes.set_yscale("log")
    axes.set_xlabel(_titled(axis))
    axes.set_ylabel("events" if result.normalization == "absolute" else "fraction")
    axes.legend(fontsize=7, frameon=False)
    return figure


def matrix(values: np.ndarray, title: str) -> Figure:
    """Return the figure of a correlation matrix.

    Args:
        values: (B, B) in [-1, 1].
        title: of the bins.

    Returns:
        The figure.
    """
    figure, axes = _figure()
    size = len(values) + 0.5
    image = axes.imshow(
        values,
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        origin="lower",
        interpolation="none",
        extent=(0.5, size, 0.5, size),
    )
    axes.set_xlabel(_plain(title))
    axes.set_ylabel(_plain(title))
    figure.colorbar(image, label="correlation")
    return figure


def save(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure as PNG, and a small one beside it; return both paths.

    Equal figures give equal bytes with the same version of matplotlib.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    high, wide, colours = pixels.shape
    blocks = pixels.reshape(high // SHRINK, SHRINK, wide // SHRINK, SHRINK, colours)
    small = path.with_name(f"thumb_{path.name}")
    for place, image in ((path, pixels), (small, blocks.mean(axis=(1, 3)).astype(np.uint8))):
        imsave(place, image)
    return path, small


def _figure() -> tuple[Figure, Axes]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
        return figure, figure.add_subplot()


def _titled(axis: Axis) -> str:
    return _plain(axis.label + (f" [{axis.unit}]" if axis.unit else ""))


def _plain(text: str) -> str:
    """Return text that matplotlib takes for text, not for formulas."""
    return text.replace("$", r"\$")
