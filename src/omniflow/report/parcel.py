"""Parcel: all figures of a page, compressed, which its script unpacks when they are first seen."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Sequence

from omniflow.report.svg import Drawing

MARK = "<!-- figures -->"  # in the template: where the parcel lies
_FIGURE = re.compile(r'<svg role="img" (?P<head>[^>]*)>(?P<body>.*?)</svg>', re.S)
_BODY = re.compile(
    r"<metadata>(?P<points>.*?)</metadata><defs>(?P<shared>.*?)</defs>(?P<elements>.*)", re.S
)
_NAMED = re.compile(r'<(\w+) id="(\w+)".*?</\1>', re.S)


def figure(drawing: Drawing, points: Sequence[object], title: str) -> str:
    """Return a figure as one SVG element: numbers of its points, definitions, and what is drawn.

    Args:
        drawing: the figure.
        points: series of points (`omniflow.report.hover`).
        title: unique in the page; read out by screen readers.
    """
    numbers = json.dumps(points, ensure_ascii=False, separators=(",", ":"))
    width, height = f"{drawing.width:g}", f"{drawing.height:g}"
    return (
        f'<svg role="img" aria-label="{html.escape(title)}" viewBox="0 0 {width} {height}" '
        f'style="max-width: {drawing.width * 1.8:.0f}px; aspect-ratio: {width} / {height}">'
        f"<metadata>{html.escape(numbers, quote=False)}</metadata>"
        f"<defs>{''.join(drawing.shared.values())}</defs>{drawing.elements}</svg>"
    )


def pack(page: str) -> str:
    """Return the page with its figures moved into one compressed script of data.

    Where a figure was is a box of its shape. What figures share is kept once.
    """
    shared: dict[str, str] = {}
    figures: list[tuple[str, object]] = []

    def move(found: re.Match[str]) -> str:
        body = _BODY.fullmatch(found["body"])
        if body is None:
            return found[0]
        for one in _NAMED.finditer(body["shared"]):
            shared.setdefault(one[2], one[0])
        figures.append((body["elements"], json.loads(html.unescape(body["points"]))))
        head = found["head"].replace("viewBox", "data-box")
        return f'<div role="img" tabindex="0" data-figure="{len(figures) - 1}" {head}></div>'

    page = _FIGURE.sub(move, page)
    content = {"shared": "".join(shared.values()), "figures": figures}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    packed = base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
    data = f'<script type="application/octet-stream" id="figures">{packed}</script>'
    return page.replace(MARK, data, 1)
