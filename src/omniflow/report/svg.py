"""SVG: what matplotlib draws, written for a page: short, and with parts that figures share.

Matplotlib's own files name every group, style every point and draw every letter anew. Here equal
outlines of letters, words, markers and clips are definitions with a name that follows from their
content, so that a page keeps one of each (`omniflow.report.parcel`).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from matplotlib import _path
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import imsave
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Bbox, Transform

DPI = 72  # one unit of an SVG is a point
_PIXELS_DPI = 130  # of parts that are drawn as pixels
_ROOM = 6.0  # points that a line or marker may reach beyond its coordinates
_COMMANDS = [b"M", b"L", b"Q", b"C", b"z"]


class Drawing(NamedTuple):
    """A figure as SVG: size in points, definitions by name, and elements that refer to them."""

    width: float
    height: float
    shared: dict[str, str]
    elements: str


def draw(figure: Figure) -> Drawing:
    """Draw a figure, whose dpi are those of this module."""
    inches = figure.get_size_inches()
    renderer = _Renderer(*(DPI * inches))
    artists = [artist for axes in figure.axes for artist in axes.get_children()]
    if any(artist.get_rasterized() for artist in artists):
        mixed = cast(Any, MixedModeRenderer)  # whose types lack its arguments
        figure.draw(mixed(figure, *inches, _PIXELS_DPI, renderer))
    else:
        figure.draw(renderer)
    return Drawing(renderer.width, renderer.height, renderer.shared, "".join(renderer.elements))


@functools.cache
def measuring() -> RendererBase:
    """Return what measures texts before a figure is drawn."""
    return _Renderer(1, 1)


class Line(NamedTuple):
    """A line of a text: where its baseline starts, and what a renderer takes to draw it."""

    x: float
    y: float
    text: str
    font: FontProperties
    ismath: bool


class Word(NamedTuple):
    """A text at (0, 0): its lines, and its lower end."""

    lines: tuple[Line, ...]
    low: float


@functools.lru_cache(8192)
def word(text: str, font: FontProperties, horizontal: Any, vertical: Any) -> Word:
    """Lay a text out; the labels of ticks are alike in many figures.

    Args:
        text: what is written.
        font: with its size.
        horizontal: what of it is at 0 along x, as of `Text`.
        vertical: what of it is at 0 along y.
    """
    pen = _Pen(1, 1)
    drawn = Text(0, 0, text, fontproperties=font, ha=horizontal, va=vertical)
    drawn.set_figure(Figure(dpi=DPI))
    drawn.draw(pen)
    return Word(tuple(pen.lines), drawn.get_window_extent(pen).y0)


class _Renderer(RendererBase):
    """Matplotlib's interface to what draws: collects elements, and definitions by name."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__()
        self.width, self.height = float(width), float(height)
        self.elements: list[str] = []
        self.shared: dict[str, str] = {}

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace: Any = None
    ) -> None:
        """Draw a path, without clip where it stays inside."""
        placed = transform.transform_path(path)
        simplify = rgbFace is None and path.should_simplify
        area = (-_ROOM, -_ROOM, self.width + _ROOM, self.height + _ROOM) if simplify else None
        flip = Affine2D.from_values(1, 0, 0, -1, 0, self.height)
        line = _commands(placed, 2, flip, simplify, area)
        if line:
            clip = self._clip(gc, np.asarray(placed.vertices))
            self.elements.append(f'<path d="{line}"{_style(gc, rgbFace)}{clip}/>')

    def draw_markers(
        self,
        gc: GraphicsContextBase,
        marker_path: Path,
        marker_trans: Transform,
        path: Path,
        trans: Transform,
        rgbFace: Any = None,
    ) -> None:
        """Draw a marker at every vertex that is not outside."""
        places = trans.transform(path.vertices)
        places = places[np.isfinite(places).all(axis=1)]
        box = gc.get_clip_rectangle()
        if box is not None:
            low, high = box.get_points()
            places = places[((places > low - _ROOM) & (places < high + _ROOM)).all(axis=1)]
        if not len(places):
            return
        name = self._share("path", f'd="{_marker(marker_path, marker_trans)}"')
        uses = "".join(
            f'<use href="#{name}" x="{x:.2f}" y="{self.height - y:.2f}"/>' for x, y in places
        )
        self.elements.append(f"<g{_style(gc, rgbFace)}{self._clip(gc, places)}>{uses}</g>")

    def draw_path_collection(
        self,
        gc: GraphicsContextBase,
        master_transform: Transform,
        paths: Sequence[Path],
        all_transforms: Any,
        offsets: Any,
        offset_trans: Transform,
        facecolors: Any,
        edgecolors: Any,
        linewidths: Any,
        linestyles: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Draw lines of one opaque style, as error bars are, as one path, others one by one."""
        styles = (edgecolors, linewidths, linestyles)
        alike = all(len(one) == 1 for one in styles) and edgecolors[0][3] == 1
        if alike and not len(facecolors) and not len(all_transforms) and not np.any(offsets):
            paths = [Path.make_compound_path(*paths)]
        super().draw_path_collection(
            gc, master_transform, paths, all_transforms, offsets, offset_trans, facecolors,
            *styles, *args, **kwargs,
        )  # fmt: skip

    def draw_image(  # type: ignore[override]  # it is an array
        self, gc: GraphicsContextBase, x: float, y: float, im: np.ndarray, transform: Any = None
    ) -> None:
        """Draw pixels (h, w, 4), from below, with their lower left corner at (x, y)."""
        high, wide = (DPI * n / _PIXELS_DPI for n in im.shape[:2])
        buffer = io.BytesIO()
        style = {"metadata": {"Software": None}, "pil_kwargs": {"optimize": True}}
        imsave(buffer, im, format="png", origin="lower", **cast(Any, style))
        text = base64.b64encode(buffer.getvalue()).decode()
        self.elements.append(
            f'<image x="{x:.2f}" y="{self.height - y - high:.2f}" width="{wide:.2f}" '
            f'height="{high:.2f}" href="data:image/png;base64,{text}"/>'
        )

    def draw_text(  # type: ignore[override]
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool = False,
        mtext: Any = None,
    ) -> None:
        """Draw a text, whose baseline starts at (x, y), from below, as outlines."""
        letters, word = _outline(s, prop.copy(), bool(ismath))
        if not word:
            return
        for content in letters:
            self._share("path", content)
        size = prop.get_size_in_points() / text_to_path.FONT_SCALE
        turn = f"rotate({-angle:g})" if angle else ""
        self.elements.append(
            f'<use href="#{self._share("g", "", word)}" transform="translate({x:.2f} {y:.2f})'
            f'{turn}scale({size:.4g} {-size:.4g})"{_style(gc, gc.get_rgb(), stroke=False)}/>'
        )

    def get_text_width_height_descent(  # type: ignore[override]
        self, s: str, prop: FontProperties, ismath: bool
    ) -> tuple[float, float, float]:
        """Return the size of a text in points."""
        return _size(s, prop, bool(ismath))

    def flipy(self) -> bool:
        """Return whether y grows downwards."""
        return True

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Return the size in points."""
        return self.width, self.height

    def get_image_magnification(self) -> float:
        """Return how many pixels of an image there are to a point."""
        return _PIXELS_DPI / DPI

    def _share(self, tag: str, attributes: str, inner: str = "") -> str:
        name = _name(f"{tag} {attributes}>{inner}")
        self.shared[name] = f'<{tag} id="{name}" {attributes}>{inner}</{tag}>'
        return name

    def _clip(self, gc: GraphicsContextBase, vertices: np.ndarray) -> str:
        """Attribute that cuts off what is outside; none where nothing is."""
        box: Bbox | None = gc.get_clip_rectangle()
        if box is None:
            return ""
        low, high = box.get_points()
        with np.errstate(invalid="ignore"):
            if not ((vertices < low) | (vertices > high)).any():
                return ""
        x, y, wide, high_ = low[0], self.height - high[1], high[0] - low[0], high[1] - low[1]
        rect = f'<rect x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{high_:.2f}"/>'
        return f' clip-path="url(#{self._share("clipPath", "", rect)})"'


class _Pen(_Renderer):
    """Collects the lines of texts, with places from below."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(width, height)
        self.lines: list[Line] = []

    def draw_text(  # type: ignore[override]
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool = False,
        mtext: Any = None,
    ) -> None:
        """Take a line."""
        self.lines.append(Line(float(x), float(y), s, prop, bool(ismath)))

    def flipy(self) -> bool:
        """Return whether y grows downwards."""
        return False


@functools.lru_cache(8192)
def _name(content: str) -> str:
    return "d" + hashlib.sha256(content.encode()).hexdigest()[:10]


def _commands(
    path: Path,
    places: int,
    transform: Transform | None = None,
    simplify: bool = False,
    area: tuple | None = None,
) -> str:
    convert = cast(Any, _path).convert_to_string  # what matplotlib's own SVG is made with
    text = convert(path, transform, area, simplify, None, places, _COMMANDS, False)
    return text.decode("ascii").replace("\n", "").replace(" z", "z").strip()


def _marker(path: Path, transform: Transform) -> str:
    return _commands(path, 2, transform + Affine2D().scale(1, -1))


def _style(gc: GraphicsContextBase, face: Any, stroke: bool = True) -> str:
    """Attributes of line and area."""
    red, green, blue, alpha = cast(tuple[float, ...], gc.get_rgb())
    if gc.get_forced_alpha():
        alpha = gc.get_alpha()
    wide = gc.get_linewidth() if stroke else 0
    offset, dashes = gc.get_dashes()
    return _attributes(
        (red, green, blue), float(alpha), None if face is None else tuple(map(float, face)),
        bool(gc.get_forced_alpha()), float(wide), float(offset or 0),
        () if dashes is None else tuple(float(length) for length in cast(Any, dashes)),
    )  # fmt: skip


@functools.lru_cache(4096)
def _attributes(
    line: tuple,
    alpha: float,
    face: tuple | None,
    forced: bool,
    width: float,
    offset: float,
    dashes: tuple,
) -> str:
    found = ""
    clear = face is not None and len(face) == 4 and face[3] == 0
    if face is None or clear:
        found += ' fill="none"'
    else:
        if (colour := to_hex(face[:3])) != "#000000":
            found += f' fill="{colour}"'
        opacity = alpha if forced or len(face) < 4 else face[3]
        if opacity != 1:
            found += f' fill-opacity="{opacity:.3g}"'
    if width and alpha:
        found += f' stroke="{to_hex(line)}"'
        if width != 1:
            found += f' stroke-width="{width:.3g}"'
        if alpha != 1:
            found += f' stroke-opacity="{alpha:.3g}"'
        if dashes:
            found += f' stroke-dasharray="{" ".join(f"{length:.3g}" for length in dashes)}"'
            found += f' stroke-dashoffset="{offset:.3g}"' if offset else ""
    return found


@functools.lru_cache(8192)
def _size(text: str, prop: FontProperties, ismath: bool) -> tuple[float, float, float]:
    return text_to_path.get_text_width_height_descent(text, prop, ismath)


@functools.lru_cache(4096)
def _outline(text: str, prop: FontProperties, ismath: bool) -> tuple[tuple[str, ...], str]:
    """Letters of a text as attributes of paths, and the text made of them (100 units to an em)."""
    if ismath:
        glyphs, outlines, bars = text_to_path.get_glyphs_mathtext(prop, text)
    else:
        font = cast(Any, text_to_path)._get_font(prop)  # with those that stand in for it
        glyphs, outlines, bars = text_to_path.get_glyphs_with_font(font, text)
    letters = {
        name: f'd="{commands}"'
        for name, (vertices, codes) in outlines.items()
        if len(vertices) and (commands := _commands(Path(vertices, codes), 1))
    }
    word = ""
    for name, x, y, scale in glyphs:
        if name in letters:
            reference = _name(f"path {letters[name]}>")
            if scale == 1 and y == 0:
                word += f'<use href="#{reference}" x="{x:.4g}"/>'
            else:
                place = f"translate({x:.4g} {y:.4g})scale({scale:.4g})"
                word += f'<use href="#{reference}" transform="{place}"/>'
    for vertices, codes in bars:
        word += f'<path d="{_commands(Path(vertices, codes), 1)}"/>'
    return tuple(letters.values()), word
