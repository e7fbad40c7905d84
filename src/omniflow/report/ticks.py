"""Ticks and their labels, drawn in a fraction of matplotlib's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import matplotlib
import numpy as np
from matplotlib.artist import Artist, allow_rasterization
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import IdentityTransform, Transform

from omniflow.report import svg

Which = Literal["major", "minor"]
# A text, and its place in points from the lower left corner of the figure.
Label = tuple[svg.Word, tuple[float, float]]
_SIDES = {"x": ("bottom", "top"), "y": ("left", "right")}


class _X(XAxis):
    """An axis that never makes matplotlib's ticks, not even those that it keeps as patterns."""

    majorTicks = minorTicks = ()  # type: ignore[assignment]  # lists of none


class _Y(YAxis):
    """The same for y."""

    majorTicks = minorTicks = ()  # type: ignore[assignment]  # lists of none


class _Area(Rectangle):
    """The area of axes, as wide and high as they are; everything in them asks where it is."""

    def get_transform(self) -> Transform:
        """Return the transform of the unit square."""
        return Artist.get_transform(self)


class Panel(Axes):
    """Axes whose ticks are those of `draw` alone: a third of the time that axes take."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make axes as matplotlib does."""
        super().__init__(*args, **kwargs)
        for spine in self.spines.values():
            spine.set_position(("outward", 0))  # what the first tick does otherwise

    def _gen_axes_patch(self) -> Rectangle:
        return _Area((0, 0), 1, 1)

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _X(self, clear=False), _Y(self, clear=False)
        for spine, axis in (("bottom", self.xaxis), ("top", self.xaxis), ("left", self.yaxis),
                            ("right", self.yaxis)):  # fmt: skip
            self.spines[spine].register_axis(axis)


class Lines(Artist):
    """Lines of the ticks of axes, as one artist: those of an axis and size are one path.

    Attributes:
        paths: vertices (n, 2) on the page, width and colour.
    """

    def __init__(self, zorder: float) -> None:
        """Draw nothing yet."""
        super().__init__()
        self.set_zorder(zorder)
        self.paths: list[tuple[np.ndarray, float, Any]] = []

    @allow_rasterization
    def draw(self, renderer: RendererBase) -> None:
        """Draw the lines."""
        for vertices, width, colour in self.paths:
            gc = renderer.new_gc()
            gc.set_linewidth(width)
            gc.set_foreground(colour)
            renderer.draw_path(gc, Path(vertices), IdentityTransform())
            gc.restore()


class Labels(Artist):
    """Labels of the ticks of axes, as one artist.

    Attributes:
        words: texts, and their places on the page.
    """

    def __init__(self) -> None:
        """Draw nothing yet."""
        super().__init__()
        self.set_zorder(Text.zorder)
        self.words: list[Label] = []

    @allow_rasterization
    def draw(self, renderer: RendererBase) -> None:
        """Draw the labels."""
        gc, height = renderer.new_gc(), renderer.get_canvas_width_height()[1]
        gc.set_foreground(_setting("text.color"))
        for word, (x, y) in self.words:
            for line in word.lines:
                place = line.x + x, height - (line.y + y)
                renderer.draw_text(gc, *place, line.text, line.font, 0, line.ismath)
        gc.restore()


def draw(figure: Figure) -> None:
    """Draw ticks as one line per axis and size, and their labels beside them.

    They look the same as matplotlib's, which are two texts and three lines each and take most of
    the time of a figure. Scales, positions and dpi of the figure must not change any more.
    """
    for axes in figure.axes:  # those of a scale of colours are placed when they are drawn
        locator = cast(Any, axes.get_axes_locator())  # or None
        axes.apply_aspect(locator(axes, svg.measuring()) if locator else None)
    found = [  # axes share locators: all are asked before any is replaced
        (axes, [(axis, _kinds(axis)) for axis in (axes.xaxis, axes.yaxis)]) for axes in figure.axes
    ]
    for axes, both in found:
        lines, labels = Lines(axes.xaxis.get_zorder()), Labels()
        for axis, kinds in both:
            offset = axis.get_major_formatter().get_offset()
            axis.set_major_locator(NullLocator())
            axis.set_minor_locator(NullLocator())
            axis.offsetText.set_visible(False)
            begin = len(labels.words)
            for which, places, texts in kinds:
                if len(places):
                    points = _on_page(axes, axis, places)
                    lines.paths += _lines(axes, axis, which, points)
                    labels.words += _labels(axes, axis, which, points, texts)
            own = labels.words[begin:]
            if axis.get_tick_params(which="major").get("labelbottom"):
                _move_label(axes, axis, own)
            if offset and own:
                labels.words.append(_offset(axes, axis, offset, own))
        axes.add_artist(lines)
        axes.add_artist(labels)


def _kinds(axis: XAxis | YAxis) -> list[tuple[Which, np.ndarray, list[str]]]:
    """Minor and major ticks: where they are, and what stands beside them."""
    major = np.asarray(axis.get_majorticklocs(), dtype=float)
    # The minor ones ask for them again, twice. Axes that share a locator share its answer.
    axis.major.locator = FixedLocator(major.tolist())
    minor = np.asarray(axis.get_minorticklocs(), dtype=float)
    return [("minor", *_inside(axis, "minor", minor)), ("major", *_inside(axis, "major", major))]


def _inside(axis: XAxis | YAxis, which: Which, places: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Places of ticks that are inside the axes, and their texts."""
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


def _lines(
    axes: Axes, axis: XAxis | YAxis, which: Which, points: np.ndarray
) -> list[tuple[np.ndarray, float, Any]]:
    """Path of the lines of ticks, with width and colour; nothing where there are none."""
    name, shown = axis.axis_name, axis.get_tick_params(which=which)
    size = shown.get("length", _setting(f"{name}tick.{which}.size"))
    box, along, across = axes.bbox, list[np.ndarray](), list[np.ndarray]()
    low, high = (box.y0, box.y1) if name == "x" else (box.x0, box.x1)
    for side, start, end in zip(_SIDES[name], (low, high), (low + size, high - size), strict=True):
        if shown[side] and size:
            along.append(np.repeat(points, 3))
            across.append(np.tile([start, end, np.nan], len(points)))
    if not along:
        return []
    x, y = np.concatenate(along), np.concatenate(across)
    width, colour = (_setting(f"{name}tick.{key}") for key in (f"{which}.width", "color"))
    return [(np.column_stack((x, y) if name == "x" else (y, x)), width, colour)]


def _labels(
    axes: Axes, axis: XAxis | YAxis, which: Which, points: np.ndarray, texts: list[str]
) -> list[Label]:
    name, shown = axis.axis_name, axis.get_tick_params(which=which)
    pad, box = _setting(f"{name}tick.{which}.pad"), axes.bbox
    font = FontProperties(size=shown.get("labelsize", _setting(f"{name}tick.labelsize")))
    found = []
    for side in _SIDES[name]:
        if not shown.get(f"label{side}"):
            continue
        sign = 1 if side in ("top", "right") else -1
        edge = {"bottom": box.y0, "top": box.y1, "left": box.x0, "right": box.x1}[side]
        edge += sign * pad
        style = {
            "bottom": ("center", "top"), "top": ("center", "baseline"),
            "left": ("right", "center_baseline"), "right": ("left", "center_baseline"),
        }[side]  # fmt: skip
        for point, text in zip(points.tolist(), texts, strict=True):
            if text:
                place = (point, edge) if name == "x" else (edge, point)
                found.append((svg.word(text, font, *style), place))
    return found


def _lowest(labels: Sequence[Label]) -> float:
    """Lower end of the lowest label on the page."""
    return min(word.low + y for word, (_, y) in labels)


def _move_label(axes: Axes, axis: XAxis | YAxis, labels: Sequence[Label]) -> None:
    """Move the name of an x axis below the labels of its ticks."""
    box = axes.bbox
    below = _lowest(labels) if labels else box.y0
    axis.set_label_coords(
        axis.label.get_position()[0], (below - axis.labelpad - box.y0) / box.height
    )


def _offset(
    axes: Axes,
    axis: XAxis | YAxis,
    text: str,
    labels: Sequence[Label],
) -> Label:
    """Return a factor that all labels have in common, and its place."""
    box, font = axes.bbox, FontProperties(size=_setting(f"{axis.axis_name}tick.labelsize"))
    if axis.axis_name == "x":
        return svg.word(text, font, "right", "top"), (box.x1, _lowest(labels) - 3)
    return svg.word(text, font, "left", "baseline"), (box.x0, box.y1 + 3)


def _setting(name: str) -> Any:
    return cast(Mapping[str, Any], matplotlib.rcParams)[name]
