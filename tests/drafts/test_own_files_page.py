"""docs/own-files.md shows what `omniflow init` writes, and names every layout."""

import re
from pathlib import Path
from shutil import copy

import omniflow
from omniflow.drafts.init import init
from omniflow.drafts.layouts import known

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-files.md").read_text(encoding="utf-8")


def test_the_page_shows_what_init_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy(ROOT / "tests" / "data" / "nano_dy.root", ".")
    block = re.findall(r"^```yaml\n(# Written by.*?)^```$", PAGE, re.M | re.S)[0]
    shown = re.sub(r"omniflow [\d.]+\w* init", f"omniflow {omniflow.__version__} init", block)
    assert shown == init(["nano_dy.root"], output="jets.yaml"), (
        "replace the block by what `omniflow init nano_dy.root --output jets.yaml` writes"
    )


def test_the_page_has_a_row_per_layout():
    table = PAGE.partition("| layout |")[2].partition("\n\n")[0]
    assert table.count("\n| ") == len(known())
