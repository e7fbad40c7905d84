"""SVG: matplotlib's files made fit for a page: smaller, and many of them side by side."""

from __future__ import annotations

import hashlib
import re


def inline(text: str, title: str) -> str:
    """SVG element of a matplotlib SVG file, to be put into HTML.

    Header, metadata and the style sheet that would leak into the page are dropped, coordinates
    are cut to a hundredth of a point, and only identifiers that something refers to are kept,
    renamed after `title`, which must be unique in the page and is read out by screen readers.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, count=1, flags=re.S)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
    for places in (r' d="[^"]*"', r' [xy]="[^"]*"', r"translate\([^)]*\)"):
        text = re.sub(places, lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), text)
    text = re.sub(r"\n +", "\n", text)
    text = re.sub(r'\s*\n([LCQMz"])', r" \1", text).replace(' "', '"')
    used = dict.fromkeys(re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#(.+?)\)", text))
    prefix = "f" + hashlib.sha256(title.encode()).hexdigest()[:8]
    names = {old: f"{prefix}-{n}" for n, old in enumerate(used)}
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", text)
    text = re.sub(r'(href="#|url\(#)([^")]+)', lambda m: m[1] + names[m[2]], text)
    safe = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    ((width, height), *_) = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    head = (
        f'<svg role="img" aria-label="{safe}" viewBox="0 0 {width} {height}" '
        f'style="max-width: {float(width) * 1.8:.0f}px">'
    )
    return re.sub(r"<svg\b.*?>", lambda _: head, text, count=1, flags=re.S).strip()
