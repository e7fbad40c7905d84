"""The page of a comparison: what it says, shows and never asks for."""

import base64
import gzip
import hashlib
import json
import re

import numpy as np
import pytest
from made_studies import EDGES, Made, write

import omniflow
from omniflow.evaluation import comparison
from omniflow.report import comparison_page


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A reference, one of a third of the spread, and one that is like the reference."""
    folder, patch = tmp_path_factory.mktemp("studies"), pytest.MonkeyPatch()
    patch.setattr(comparison, "ROTATIONS", 400)
    comparison._rotations.cache_clear()
    evil = "<script>alert(1)</script>"
    found = omniflow.compare(
        write(folder / "lion", Made("lion")),
        write(folder / "adam", Made(f"adam{evil}", {"none": (0.003, 0.0)}, draws=2, seconds=90.0)),
        write(folder / "ecd", Made("ecd", draws=3, seed=2, edges={"x": EDGES["x"]})),
    )
    patch.undo()
    comparison._rotations.cache_clear()
    return found


def test_the_headline_names_what_differs_significantly(compared):
    words = comparison_page.headline(compared)
    assert words.startswith("Less spread than lion: adam<script>")
    assert "ecd" not in words
    sentences = dict(comparison_page.sentences(compared))
    assert "hours of training × 0.2" in sentences["adam<script>alert(1)</script>: none"]
    assert "networks" not in sentences["ecd: none"]


def test_nothing_significant_is_said(compared):
    table = compared.table.assign(p_adjusted=0.5)
    words = comparison_page.headline(type(compared)(**vars(compared) | {"table": table}))
    assert words == "No spread differs significantly from that of lion"


def test_the_page_needs_nothing_else_and_runs_no_text(compared):
    text = comparison_page.render(compared)
    assert "<script>alert" not in text
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", text)
    (policy,) = re.findall(r"script-src '(sha256-[^']+)'", text)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert digests == [policy.removeprefix("sha256-")]
    assert text == comparison_page.render(compared)


def _figures(text):
    (packed,) = re.findall(r'id="figures">([^<]*)<', text)
    return json.loads(gzip.decompress(base64.b64decode(packed)))["figures"]


def test_points_have_names_of_observables_and_numbers(compared):
    figures = _figures(comparison_page.render(compared))
    names = {series[0]: [point[2] for point in series[2]] for series in figures[0][1]}
    assert names["ecd: none"] == ["all", "label of x"]
    (adam,) = [name for name in names if name.startswith("adam")]
    assert names[adam] == ["all", "label of x", "label of y"]
    rows = compared.rows("sigma_rel").set_index(["result", "observable"])
    (series,) = [series for series in figures[0][1] if series[0] == adam]
    assert series[2][0][3].startswith(f"{rows.loc[(adam, ''), 'ratio']:.3f}"[:5])
    costs = [f for f in figures if any("Hours of training" in p[2] for s in f[1] for p in s[2])]
    assert [len(one[1]) for one in costs] == [3]


def test_a_cost_that_all_have_is_not_drawn(compared):
    assert "Spread against networks" not in comparison_page.render(compared)


def test_ratios_that_are_not_known_are_dashes(compared):
    rows = dict(comparison_page._heat(compared, "sigma_rel"))
    assert [cell.text for cell in rows["ecd: none"]][2] == "–"
    assert np.isfinite(float(rows["ecd: none"][1].text))
