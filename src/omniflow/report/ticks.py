"""Ticks and their labels, drawn in a fraction of matplotlib's time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import NullLocator
from matplotlib.transforms import IdentityTransform

from omniflow.report import svg

Which = Literal["major", "minor"]
_WHICH: tuple[Which, Which] = ("minor", "major")
_SIDES = {"x": ("bottom", "top"), "y": ("left", "right")}


class _X(XAxis):
    """An axis that never makes matplotlib's ticks, not even those that it keeps as patterns."""

    majorTicks = minorTicks = ()  # type: ignore[assignment]  # lists of none


class _Y(YAxis):
    """The same for y."""

    majorTicks = minorTicks = ()  # type: ignore[assignment]  # lists of none


class Panel(Axes):
    """Axes whose ticks are those of `draw` alone: a third of the time that axes take."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make axes as matplotlib does."""
        super().__init__(*args, **kwargs)
        for spine in self.spines.values():
            spine.set_position(("outward", 0))  # what the first tick does otherwise

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _X(self, clear=False), _Y(self, clear=False)
        for spine, axis in (("bottom", self.xaxis), ("top", self.xaxis), ("left", self.yaxis),
                            ("right", self.yaxis)):  # fmt: skip
            self.spines[spine].register_axis(axis)


def draw(figure: Figure) -> None:
    """Draw ticks as one line per axis and size, and their labels as texts.

    They look the same as matplotlib's, which are two texts and three lines each and take most of
    the time of a figure. Scales, positions and dpi of the figure must not change any more.
    """
    for axes in figure.axes:  # those of a scale of colours are placed when they are drawn
        locator = cast(Any, axes.get_axes_locator())  # or None
        axes.apply_aspect(locator(axes, svg.measuring()) if locator else None)
    found = [  # axes share locators: all are asked before any is replaced
        (axes, axis, [(which, *_places(axis, which)) for which in _WHICH])
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
    ]
    for axes, axis, kinds in found:
        offset = axis.get_major_formatter().get_offset()
        axis.set_major_locator(NullLocator())
        axis.set_minor_locator(NullLocator())
        axis.offsetText.set_visible(False)
        labels = list[Text]()
        for which, places, texts in kinds:
            if len(places):
                points = _on_page(axes, axis, places)
                _lines(axes, axis, which, points)
                labels += _labels(axes, axis, which, points, texts)
        if axis.get_tick_params(which="major").get("labelbottom"):
            _move_label(axes, axis, labels)
        if offset and labels:
            _offset(axes, axis, offset, labels)


def _places(axis: XAxis | YAxis, which: Which) -> tuple[np.ndarray, list[str]]:
    """Where ticks are, inside the axes, and what stands beside them."""
    places = np.asarray(getattr(axis, f"get_{which}ticklocs")(), dtype=float)
    texts = np.array(getattr(axis, f"get_{which}_formatter")().format_ticks(places.tolist()))
    low, high = sorted(axis.get_view_interval())
    room = 1e-10 * (high - low)  # ticks at the ends, whatever their rounding
    inside = (low - room <= places) & (places <= high + room)
    return places[inside], texts[inside].tolist() if len(texts) else []


def _on_page(axes: Axes, axis: XAxis | YAxis, places: np.ndarray) -> np.ndarray:
    """Places along an axis in points from the lower left corner of the figure."""
    other = np.full(len(places), 0.5)
    if axis.axis_name == "x":
        return axes.get_xaxis_transform().transform(np.column_stack([places, other]))[:, 0]
    return axes.get_yaxis_transform().transform(np.column_stack([other, places]))[:, 1]


def _lines(axes: Axes, axis: XAxis | YAxis, which: Which, points: np.ndarray) -> None:
    name, shown = axis.axis_name, axis.get_tick_params(which=which)
    size = shown.get("length", _setting(f"{name}tick.{which}.size"))
    box, along, across = axes.bbox, list[np.ndarray](), list[np.ndarray]()
    low, high = (box.y0, box.y1) if name == "x" else (box.x0, box.x1)
    for side, start, end in zip(_SIDES[name], (low, high), (low + size, high - size), strict=True):
        if shown[side] and size:
            along.append(np.repeat(points, 3))
            across.append(np.tile([start, end, np.nan], len(points)))
    if along:
        x, y = np.concatenate(along), np.concatenate(across)
        width, colour = (_setting(f"{name}tick.{key}") for key in (f"{which}.width", "color"))
        line = Line2D(
            *((x, y) if name == "x" else (y, x)), transform=IdentityTransform(), clip_on=False,
            color=colour, linewidth=width, zorder=axis.get_zorder(),
        )  # fmt: skip
        axes.add_artist(line)


def _labels(
    axes: Axes, axis: XAxis | YAxis, which: Which, points: np.ndarray, texts: list[str]
) -> list[Text]:
    name, shown = axis.axis_name, axis.get_tick_params(which=which)
    pad, box = _setting(f"{name}tick.{which}.pad"), axes.bbox
    size = shown.get("labelsize", _setting(f"{name}tick.labelsize"))
    drawn = []
    for side in _SIDES[name]:
        if not shown.get(f"label{side}"):
            continue
        sign = 1 if side in ("top", "right") else -1
        edge = {"bottom": box.y0, "top": box.y1, "left": box.x0, "right": box.x1}[side]
        style = {
            "bottom": ("center", "top"), "top": ("center", "baseline"),
            "left": ("right", "center_baseline"), "right": ("left", "center_baseline"),
        }[side]  # fmt: skip
        for point, text in zip(points, texts, strict=True):
            if text:
                place = (point, edge + sign * pad)
                drawn.append(_text(axes, place if name == "x" else place[::-1], text, size, *style))
    return drawn


def _text(
    axes: Axes, place: tuple[float, ...], text: str, size: float, horizontal: str, vertical: str
) -> Text:
    drawn = Text(
        x=place[0], y=place[1], text=text, fontsize=size, ha=horizontal, va=vertical,
        transform=IdentityTransform(), clip_on=False,
    )  # fmt: skip
    axes.add_artist(drawn)
    return drawn


def _move_label(axes: Axes, axis: XAxis | YAxis, labels: list[Text]) -> None:
    """Move the name of an x axis below the labels of its ticks."""
    box, below = axes.bbox, axes.bbox.y0
    if labels:
        below = min(text.get_window_extent(svg.measuring()).y0 for text in labels)
    axis.set_label_coords(
        axis.label.get_position()[0], (below - axis.labelpad - box.y0) / box.height
    )


def _offset(axes: Axes, axis: XAxis | YAxis, text: str, labels: list[Text]) -> None:
    """Draw a factor that all labels have in common."""
    box, size = axes.bbox, _setting(f"{axis.axis_name}tick.labelsize")
    if axis.axis_name == "x":
        below = min(label.get_window_extent(svg.measuring()).y0 for label in labels)
        _text(axes, (box.x1, below - 3), text, size, "right", "top")
    else:
        _text(axes, (box.x0, box.y1 + 3), text, size, "left", "baseline")


def _setting(name: str) -> Any:
    return cast(Mapping[str, Any], matplotlib.rcParams)[name]
