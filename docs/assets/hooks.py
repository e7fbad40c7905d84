"""What MkDocs does not do by itself: formulas as MathML, and files that lie outside of docs/."""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
# Pages that lie elsewhere in the checkout, and their names in the site.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/results.md": "results.md",
}
FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.S)
LINK = re.compile(r"\[([^\]]+)\]\(((?!\w+:)[^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside of docs/, and the files outside that pages link to."""
    for source, page in PAGES.items():
        if page not in files.src_uris:
            text = _relinked((ROOT / source).read_text("utf-8"), posixpath.dirname(source), "")
            files.append(File.generated(config, page, content=text))
    for name in _linked(files):
        files.append(File.generated(config, f"files/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that leave docs/ end in the site."""
    if page.file.generated_by:
        return markdown
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))
    return _relinked(markdown, folder, posixpath.dirname(page.file.src_uri))


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Replace LaTeX by MathML, which browsers show without a script."""
    return FORMULA.sub(lambda found: _mathml(found, page.file.src_uri), content)


def _mathml(found: re.Match[str], where: str) -> str:
    latex = html.unescape(found[2]).replace(r"\_", "_")
    block = found[1] == "div"
    mathml = convert(latex, display="block" if block else "inline")
    if "\\" in mathml:
        raise PluginError(f"{where}: a formula that cannot be converted: {latex}")
    return f'<div class="formula">{mathml}</div>' if block else mathml


def _linked(files: Files) -> set[str]:
    """Files outside of docs/ that pages link to, relative to the checkout."""
    found = set()
    for file in files.documentation_pages():
        if file.generated_by:
            continue
        folder = posixpath.join("docs", posixpath.dirname(file.src_uri))
        for link in LINK.finditer(file.content_string):
            target = posixpath.normpath(posixpath.join(folder, link[2]))
            if not target.startswith("docs/") and target not in PAGES and (ROOT / target).is_file():
                found.add(target)
    return found


def _relinked(text: str, folder: str, base: str) -> str:
    """Return a page's text with links that suit its place in the site.

    Args:
        text: Markdown of a file in `folder` of the checkout.
        folder: relative to the checkout.
        base: folder of the page in the site.
    """

    def place(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        if target in PAGES:
            inside = PAGES[target]
        elif target.startswith("docs/"):
            inside = target.removeprefix("docs/")
        elif (ROOT / target).is_file():
            inside = f"files/{target}"
        elif (ROOT / target).is_dir():
            return link[1]  # a folder of the checkout, which a site cannot show
        else:
            return link[0]
        return f"[{link[1]}]({posixpath.relpath(inside, base or '.')}{link[3] or ''})"

    return LINK.sub(place, text)
