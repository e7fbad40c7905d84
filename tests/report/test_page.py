import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from jinja2 import Environment, PackageLoader
from study_factory import Model, Strategy, made, write_study

from omniflow.errors import InputError
from omniflow.report import formats, page
from omniflow.report.content import ReportTables
from omniflow.tables.reference import BAYES, BAYES_SUMMARY

VOID = {"meta", "br", "link", "img", "input", "hr"}
RESOURCES = {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background"}


class Reader(HTMLParser):
    """Collects elements, references, identifiers and text; fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.references, self.ids, self.scripts = [], [], [], [], []
        self.headings, self.figures, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.references += [v for k, v in attributes.items() if k in RESOURCES]
        self.references += re.findall(r"url\((.*?)\)", " ".join(map(str, attributes.values())))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if attributes.get("role") == "img":
            self.figures.append(attributes["aria-label"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            if "type" not in self.tags[-1][1]:  # the other is data
                self.scripts.append(data)
        elif self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if not {"script", "style"} & set(self.open):
            self.text += data


def unpacked(text):
    """Return the content of a page's parcel of figures."""
    (packed,) = re.findall(r'<script type="application/octet-stream" id="figures">(.*?)<', text)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture(scope="session")
def reader(rendered):
    return Reader(rendered[1])


def test_nothing_is_requested(rendered, reader):
    assert reader.references
    for reference in reader.references:
        assert reference.startswith(("#", "data:image/png;base64,")), reference
    assert "http" not in re.sub(r"http-equiv", "", rendered[1])
    assert "http" not in json.dumps(unpacked(rendered[1]))
    assert "@import" not in rendered[1]
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {t for t, _ in reader.tags}


def test_fragments_point_at_something_unique(rendered, reader):
    assert len(reader.ids) == len(set(reader.ids))
    assert {r[1:] for r in reader.references if r.startswith("#")} <= set(reader.ids)
    figures = unpacked(rendered[1])
    shared = re.findall(r'id="(.*?)"', figures["shared"])
    assert len(shared) == len(set(shared))
    drawn = "".join(elements for elements, _ in figures["figures"])
    used = set(re.findall(r'(?:href="#|url\(#)(\w+)', drawn + figures["shared"]))
    assert used == set(shared)
    assert "id=" not in drawn


def test_hostile_text_is_escaped(rendered, reader):
    assert [a.get("type") for tag, a in reader.tags if tag == "script"] == [
        "application/octet-stream",
        None,
    ]
    assert "alert(1)" not in "".join(reader.scripts)
    assert rendered[1].count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in rendered[1]
    assert "x<script>alert(1)</script>" in reader.text  # the reader sees the name as it is


def test_policy_allows_only_the_page_s_own_script(reader):
    (policy,) = (a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a)
    digest = hashlib.sha256("".join(reader.scripts).encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "default-src 'none'" in policy


def test_sections_and_figures_are_there(reader):
    for heading in ("Summary", "Observables", "Detector level", "Acceptance", "Convergence",
                    "Loss curves",
                    "Timing", "Weights", "Combination of lanes", "Definitions"):  # fmt: skip
        assert heading in reader.headings
    kinds = [label.split(" of ")[0] for label in reader.figures]
    for kind in ("Distribution", "Spread", "MSE", "Detector-level distribution"):
        assert kinds.count(kind) == 1  # one observable
    losses = [label for label in reader.figures if label.startswith("Loss curves")]
    assert len(losses) == 2 * 2 + 1  # two chains x two steps, and pre-training
    assert len(reader.figures) == len(set(reader.figures))


def test_small_study_says_so(reader):
    assert "This study shows the machinery, not physics." in reader.text
    assert "100\u202f000 data events" in reader.text


def test_numbers_of_the_model_are_shown(reader):
    text = " ".join(reader.text.split())
    assert "1.02± 0.10" not in text
    assert "0.50± 0.07" in text  # sigma of parallel relative to none, each with 10%
    assert "9.0 (0.14)" in text  # TD of the prior and its floor
    assert "12 min" not in text
    assert "6 min 30 s" in text  # 130 s x 3 lanes


def test_output_is_the_same_again(rendered):
    assert page.render(rendered[0]) == rendered[1]


@pytest.mark.usefixtures("undrawn")
def test_without_truth_its_parts_are_absent(tmp_path):
    methods = {"none": Strategy(), "step": Strategy(members=2, spread=0.7)}
    model = Model(methods, ("q2",), passes=2, iterations=1, epochs=2, has_truth=False)
    page.write(write_study(tmp_path / "study", model), tmp_path / "report.html")
    reader = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No truth." in reader.text
    assert "relative MSE" not in reader.text
    assert "bias_rel" not in reader.text
    assert not any("MSE" in label or "truth" in label for label in reader.figures)
    assert any(label.startswith("Spread") for label in reader.figures)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("has_truth", [True, False])
def test_one_pass_has_no_spread(has_truth):
    methods = {"none": Strategy(), "parallel": Strategy(lanes=3)}
    model = Model(methods, ("q2",), passes=1, iterations=1, epochs=2, has_truth=has_truth)
    reader = Reader(page.render(made(model)))
    labels = " ".join(reader.figures)
    for word in ("Spread", "spread", "σ_rel"):
        assert word not in labels
    assert ("MSE of" in labels) is has_truth
    assert "Spread" not in reader.text
    assert ("Convergence" in reader.headings) is has_truth
    assert "With one pass the spread cannot be measured" in reader.text


def test_binned_reference_is_shown(reader):
    text = " ".join(reader.text.split())
    assert "→ 0.71 (0.53)" in text  # TD and its floor
    assert text.count("binned (IBU)") == 6  # two legends, table, two texts, definition
    assert "There is no binned (IBU)" not in text


@pytest.mark.usefixtures("unmade")
def test_observables_without_a_binned_reference_are_named(known):
    text = " ".join(Reader(page.render(known)).text.split())
    assert "There is no binned (IBU) of jet τ₂₁: of what an event has several of, only jets" in text
    text = text.split("Distance to truth")[1].split("within twice the floor")[0]
    assert text.split("jet τ₂₁")[1].split("Q²")[0].endswith("– ")
    assert text.count("→") == 2 * 3 + 1  # two observables, three methods, one binned reference


@pytest.mark.usefixtures("undrawn")
def test_study_without_any_binned_reference(tmp_path):
    model = Model({"none": Strategy()}, ("jet_tau21",), passes=2, iterations=1, epochs=2)
    folder = write_study(tmp_path / "study", model)
    for table in (BAYES, BAYES_SUMMARY):
        table.write([], folder / table.name)
    text = " ".join(Reader(page.render(ReportTables.read(folder))).text.split())
    assert text.count("binned (IBU)") == 1
    assert "There is no binned (IBU) of jet τ₂₁" in text


@pytest.mark.parametrize("means", [False, True])
def test_what_the_binned_reference_does_with_misses_and_fakes(known, means):
    steps = ("1", "1b", "2", "2b") if means else ("1", "2")
    study = known.study.model_copy(update={"steps": steps})
    environment = Environment(loader=PackageLoader("omniflow.report"), autoescape=True)
    page = environment.get_template("definitions.html")
    text = " ".join(Reader(page.render(study=study, binned={"q2"}, f=formats)).text.split())
    assert ("Fakes scale like what is matched in their detector-level bin." in text) is means
    assert ("Fakes keep their simulated yield." in text) is not means
    assert ("while OmniFold’s keep ratio 1 here" in text) is not means


def test_missing_networks_are_told_to_the_reader(reader):
    assert "Incomplete." in reader.text
    assert "timing.csv lacks 2 <of> 9." in reader.text


def test_refused_input_leaves_no_file(study, tmp_path):
    (study / "timing.csv").unlink()
    with pytest.raises(InputError, match=r"timing\.csv"):
        page.write(study, tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["study"]


def test_output_folder_must_exist(rendered, tmp_path, monkeypatch):
    monkeypatch.setattr(ReportTables, "read", lambda folder: rendered[0])
    monkeypatch.setattr(page, "render", lambda tables: rendered[1])
    with pytest.raises(InputError, match=r"report\.html: cannot be written \(No such"):
        page.write(tmp_path, tmp_path / "absent" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder: cannot be written \(Is a .*give the path of a"):
        page.write(tmp_path, tmp_path / "folder")
    (tmp_path / "folder").rmdir()
    page.write(tmp_path, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == rendered[1]
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_without_warnings_that_is_said(reader):
    assert "No sample, step or result has weights beyond the limits" in reader.text


@pytest.mark.usefixtures("unmade")
def test_warnings_stand_before_the_verdict(small):
    warnings = ("data: poor weights: <all> of them.",)
    study = small.study.model_copy(update={"warnings": warnings})
    text = page.render(replace(small, study=study))
    place = text.index("data: poor weights: &lt;all&gt; of them.")
    assert place < text.index('<section id="verdict">')
    assert "No sample, step or result" not in text


@pytest.mark.parametrize("column", ["mean", "truth", "prior"])
def test_bins_below_0_are_drawn(small, undrawn, column):
    rows = small["metrics"]
    rows.loc[rows["bin"] == 2, column] *= -0.3
    page.render(small)


def test_a_truth_whose_weights_add_up_to_0_has_no_bias(tmp_path, undrawn):
    folder = write_study(tmp_path, Model({"none": Strategy()}, ("q2",), 2, 1, epochs=2))
    rows = pd.read_csv(folder / "metrics.csv")
    rows.loc[rows["bin"] == 2, "truth"] = 0.0
    rows.loc[rows["bin"] == 2, ["bias_rel", "rel_mse", "mse_rel_paper"]] = float("nan")
    rows.to_csv(folder / "metrics.csv", index=False)
    page.render(ReportTables.read(folder))


@pytest.mark.parametrize(("level", "other"), [("detector", "particle"), ("particle", "detector")])
def test_observables_of_one_level_are_shown_there(study, unmade, level, other):
    found = json.loads((study / "study.json").read_text(encoding="utf-8"))
    name = "jet_tau21"
    for observable in found["observables"]:
        if observable["name"] == name:
            observable["levels"] = [level]
    (study / "study.json").write_text(json.dumps(found), encoding="utf-8")
    for path in study.glob("*.csv"):
        table = pd.read_csv(path)
        mine = path.stem in ("detector", "detector_summary")
        if "observable" in table and mine != (level == "detector"):
            table[table["observable"] != name].to_csv(path, index=False)
    text = page.render(ReportTables.read(study))
    drawn = {"detector": '"Detector-level distribution of ', "particle": '"Distribution of '}
    label = "jet τ₂₁ (jet_tau21)"
    assert drawn[level] + label in text
    assert drawn[other] + label not in text
    assert f"Exists at {level} level alone." in text
    assert f"Exists at {other} level alone." not in text
    assert "has no rows for" not in text
    assert 'aria-label="Acceptance of jet τ₂₁' not in text
