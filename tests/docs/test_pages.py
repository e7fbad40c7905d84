"""What the pages say of configurations, links and set-up holds."""

import re
from pathlib import Path

import pytest
import yaml

from omniflow import config

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]


def test_configurations_in_the_pages_are_valid():
    blocks = [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    ]
    assert "running.md" in {name for name, _ in blocks}
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text("utf-8"))
    for name, block in blocks:
        content = yaml.safe_load(block)
        if "default-resources" in content:  # a profile of Snakemake
            continue
        # A page may show a few sections only.
        whole = content if "study" in content else demo | content
        config.validate(whole, name, ROOT / "examples" / "outside")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert "://" in link or (page.parent / link).exists(), link


def test_readme_is_short_and_sets_up_with_two_commands():
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    section = re.search(r"^## Set up and try\n(.*?)^## ", text, re.M | re.S)[1]
    assert re.findall(r"^    (.+)$", section, re.M) == ["make demo", "make test"]
    own = re.search(r"^## Your own files\n(.*?)^The report", text, re.M | re.S)[1]
    assert len(own.strip().splitlines()) <= 10
    assert "No GPU has been measured" in text


def test_pages_of_the_method_are_short_and_all_in_their_index():
    index = (ROOT / "docs/method.md").read_text("utf-8")
    pages = sorted((ROOT / "docs/method").glob("*.md"))
    listed = re.findall(r"\]\((method/[^)#]+)\)", index)
    assert sorted(listed) == [f"method/{page.name}" for page in pages]
    for page in pages:
        assert len(page.read_text("utf-8").splitlines()) <= 200, page.name


def test_pages_are_all_in_the_map():
    text = (ROOT / "docs/index.md").read_text("utf-8")
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", text))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
