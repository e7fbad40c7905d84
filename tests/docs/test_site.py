"""The site builds without a warning, is whole, and loads nothing from other hosts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a browser loads by itself: scripts, styles, icons, images, frames.
LOADED = re.compile(
    r"<(?:script|img|source|iframe|embed|link)\b[^>]*?\s(?:src|srcset|href)=\"([^\"]+)\""
)
IN_STYLES = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    found = {
        path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")
    }
    assert {"index.html", "tutorial.html", "api.html", "method/omnifold.html"} <= found.keys()
    return found


def test_nothing_is_loaded_from_other_hosts(site, pages):
    for name, text in pages.items():
        loaded = LOADED.findall(text)
        assert loaded, name
        assert not [address for address in loaded if "//" in address], name
        assert 'class="mermaid"' not in text  # the theme would fetch a script to draw it
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    styles += re.findall(r"<style>(.*?)</style>", "".join(pages.values()), re.S)
    assert styles
    assert not [found for style in styles for found in IN_STYLES.findall(style)]


def test_formulas_are_mathml(pages):
    for name, text in pages.items():
        assert "arithmatex" not in text, name
    assert pages["method/metrics.html"].count("<math") > 20
    assert "<mfrac>" in pages["method/omnifold.html"]
    shown = re.sub(r"<(pre|code|script)\b.*?</\1>", "", "".join(pages.values()), flags=re.S)
    assert not re.findall(r"\$\$|\\frac|\\sum|\$\\", shown)


def test_no_markdown_is_left_in_paragraphs(pages):
    for name, text in pages.items():
        for paragraph in re.findall(r"<p>(.*?)</p>", text, re.S):
            assert not re.search(r"^(\* |\| |#+ |```|:::)", paragraph, re.M), f"{name}: {paragraph}"


def test_search_finds_pages_without_a_server(site, pages):
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    assert {"method/acceptance.html", "configuration.html"} <= {
        d["location"] for d in index["docs"]
    }
    assert (site / "search/search_index.js").is_file()
    assert 'src="assets/iframe-worker.js"' in pages["index.html"]


def test_reference_is_made_of_the_code(pages):
    headings = re.findall(r'doc-object-name [\w -]+">(\w+)<', pages["api.html"])
    named = {"unfold", "read", "Study", "Events", "Observable", "Source", "WeightError"}
    assert named <= set(headings)
    for command in ("check", "plan", "inspect", "closure"):
        assert f'id="omniflow-{command}"' in pages["command-line.html"]


def test_links_of_the_readme_have_their_anchors(pages):
    text = (ROOT / "README.md").read_text("utf-8")
    anchored = re.findall(r"\]\(docs/([^)#]+)\.md#([^)]+)\)", text)
    assert anchored
    for page, anchor in anchored:
        assert f'id="{anchor}"' in pages[f"{page}.html"], f"{page}#{anchor}"
