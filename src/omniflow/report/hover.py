"""Hover: the numbers of a figure's points, for who points at them or walks through them by keys.

They are read from what was drawn: error bars and outlines of histograms that have a label, and
cells of a matrix. The label of the axes says what a place along them is called (`place`).
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.ticker import FixedFormatter

from omniflow.report import formats
from omniflow.report.study_json import ObservableRecord

HERE = "{}"  # in the label of axes: where the place is put
WHOLE = "{n}"  # the same where points stand apart beside whole numbers

# Name of a series, its colour and its points: x and y in points from the upper left corner, the
# place in words and the value in words.
Series = tuple[str, str, list[tuple[float, float, str, str]]]


def place(observable: ObservableRecord) -> str:
    """Return how a place along an observable's axis is called, for the label of axes."""
    return f"{observable.label} {HERE} {observable.unit.replace('^2', '²')}".strip()


def read(figure: Figure) -> list[Series]:
    """Return the series of a figure, drawn at the dpi of an SVG, that have a label."""
    return [series for axes in figure.axes for series in _of(axes)]


def _of(axes: Axes) -> list[Series]:
    steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    edges = np.asarray(steps[0].get_data()[1]) if steps else None
    found = [
        _errorbar(axes, container, edges)
        for container in axes.containers
        if isinstance(container, ErrorbarContainer) and _named(container.get_label())
    ]
    found += [_step(axes, step) for step in steps if _named(step.get_label())]
    found += [
        _cells(axes, mesh)
        for mesh in axes.collections
        if isinstance(mesh, QuadMesh) and _named(mesh.get_label())
    ]
    return [series for series in found if series[2]]


def _named(label: object) -> bool:
    return bool(label) and not str(label).startswith("_")


def _errorbar(axes: Axes, drawn: ErrorbarContainer, edges: np.ndarray | None) -> Series:
    line, _, bars = drawn.lines
    assert line is not None
    x, y = (np.asarray(values, dtype=float) for values in line.get_data(orig=True))
    if drawn.has_xerr:
        across, up = (_length(bar.get_segments()[0]) for bar in bars)
        places = [formats.pair(float(x[0]), across)]
        values = [_value(float(y[0]), up, up)]
    else:
        places = _named_places(axes, x) or _places(
            np.round(x) if WHOLE in str(axes.get_label()) else x, edges
        )
        ends = np.reshape(cast(Line2D, bars[0]).get_ydata(orig=True), (-1, 3))
        values = [_value(*row) for row in zip(y, y - ends[:, 0], ends[:, 1] - y, strict=True)]
    return _series(axes, str(drawn.get_label()), line.get_color(), x, y, places, values)


def _length(bar: np.ndarray) -> float:
    """Half the length of an error bar of one point, (2, 2)."""
    return float(np.abs(bar[1] - bar[0]).max()) / 2


def _step(axes: Axes, drawn: StepPatch) -> Series:
    values, edges, _ = (np.asarray(one, dtype=float) for one in drawn.get_data())
    logarithmic = axes.get_xscale() == "log"
    x = np.sqrt(edges[1:] * edges[:-1]) if logarithmic else (edges[1:] + edges[:-1]) / 2
    texts = [formats.number(float(value), 4) for value in values]
    colour = drawn.get_edgecolor()
    return _series(axes, str(drawn.get_label()), colour, x, values, _places(x, edges), texts)


def _cells(axes: Axes, drawn: QuadMesh) -> Series:
    matrix = np.ma.filled(np.ma.asarray(drawn.get_array(), dtype=float), np.nan)
    row, column = (index.ravel() for index in np.indices(matrix.shape))
    places = [f"{i}, {j}" for i, j in zip(column, row, strict=True)]
    texts = [formats.number(float(value), 2) for value in matrix.ravel()]
    shown = np.where(np.isfinite(matrix.ravel()), row.astype(float), np.nan)
    return _series(axes, str(drawn.get_label()), "#111111", column, shown, places, texts)


def _named_places(axes: Axes, x: np.ndarray) -> list[str]:
    """Names of the nearest whole numbers, of axes whose ticks have names; nothing of others."""
    written = axes.xaxis.get_major_formatter()
    if not isinstance(written, FixedFormatter):
        return []
    return [written.seq[round(float(value))] for value in x]


def _places(x: np.ndarray, edges: np.ndarray | None) -> list[str]:
    """Bins as ranges, or numbers."""
    if edges is None:
        return [_short(value) for value in x]
    bins = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    ends = [_short(edge) for edge in edges]
    return [f"{ends[b]} to {ends[b + 1]}" for b in bins]


def _short(value: float) -> str:
    """A place with no more digits than it has."""
    text = formats.number(float(value), 4)
    return text.rstrip("0").rstrip(".") if "." in text and "×" not in text else text


def _value(value: float, down: float, up: float) -> str:
    """A value with its error, or with its range where that is not symmetric."""
    if math.isfinite(up - down) and abs(up - down) > 1e-6 * (up + down):
        low, high = formats.number(value - down, 4), formats.number(value + up, 4)
        return f"{formats.number(value, 4)} ({low} to {high})"
    if up > 0:
        return formats.pair(value, up)
    return formats.number(value, 4)


def _series(
    axes: Axes,
    name: str,
    colour: Any,
    x: np.ndarray,
    y: np.ndarray,
    places: list[str],
    values: list[str],
) -> Series:
    """Series of the points that are seen."""
    shown = axes.transData.transform(np.column_stack([x, y]).astype(float))
    height = axes.figure.bbox.height
    low, high = axes.bbox.get_points()
    seen = ((shown > low - 1) & (shown < high + 1)).all(axis=1)
    label = str(axes.get_label()).replace(WHOLE, HERE)
    words = label if HERE in label else HERE
    points = [
        (round(float(px), 1), round(float(height - py), 1), words.replace(HERE, at, 1), text)
        for (px, py), at, text, inside in zip(shown, places, values, seen, strict=True)
        if inside
    ]
    return name, to_hex(colour), points
