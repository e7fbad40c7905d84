import dataclasses
import math

import pytest
from study_factory import FIVE, Strategy, write_study

from omniflow.report.tables import ReportTables
from omniflow.report.verdict import Ratio, compare, judge


@pytest.fixture
def read(tmp_path, model):
    def make(**changes):
        folder = tmp_path / "_".join(map(str, changes)) / "study"
        return ReportTables.read(write_study(folder, dataclasses.replace(model, **changes)))

    return make


def words(tables):
    verdict = judge(tables)
    return verdict.headline, dict(verdict.sentences)


def test_ratio_and_its_error_follow_from_the_model(read):
    spread = compare(read(), "sigma_rel")
    ratio = spread.average("parallel")
    assert spread.reference == "none"
    assert ratio.value == pytest.approx(0.5)
    assert ratio.log_error == pytest.approx(0.1 * math.sqrt(2))  # both have 10%
    assert spread.order() == ["parallel", "pretrained", "none"]
    assert spread.leaders() == ["parallel"]


@pytest.mark.parametrize(
    ("passes", "comparisons", "sure"),
    # 97.5% quantile of Student's t: 2.262 at 9 and 4.303 at 2 degrees of freedom; with two
    # comparisons the 98.75% quantile 2.685 at 9
    [(10, 1, True), (3, 1, False), (10, 2, False), (1, 1, False)],
)
def test_significance_depends_on_the_number_of_passes(passes, comparisons, sure):
    ratio = Ratio(math.exp(-0.24), 0.1)
    assert ratio.differs(passes, comparisons) is sure


def test_a_clear_winner_is_named(read):
    headline, sentences = words(read())
    assert headline == "parallel is the most precise method here."
    precision = sentences["Precision"].replace("\u00a0", " ")
    assert precision.startswith("parallel has the smallest spread")
    assert "0.50 ± 0.07 times that of none, averaged over 2 observables" in precision
    assert ", a significant difference." in precision
    assert "Significantly above it: pretrained (0.90 ± 0.13)" in precision
    assert sentences["Accuracy"].startswith("parallel has the smallest relative MSE")
    assert "trains 12 networks in 6 min 30 s, 3.0 times the time of none" in sentences["Cost"]
    assert "about 24\u00a0%" in sentences["Passes"]
    assert "2 of 2 observables closer to truth" in sentences["Closure"]


def test_three_passes_decide_nothing(read):
    headline, sentences = words(read(passes=3, error=0.25))
    assert headline == "With 3 passes no method is significantly more precise than none."
    assert "– not a significant difference" in sentences["Precision"]
    assert "about 50\u00a0%" in sentences["Passes"]


def test_equals_share_the_headline(read):
    headline, _ = words(read(methods=FIVE, error=0.05))
    # 0.40, 0.45 and 0.47 with 5% each: at most 2.3 standard errors apart, step's 0.6 5.7
    assert headline == (
        "pretrained, parallel and hybrid are the most precise here and cannot be told apart."
    )


def test_ensembles_that_do_not_help_are_not_praised(read):
    worse = {"none": Strategy(), "parallel": Strategy(lanes=3, spread=1.6)}
    assert words(read(methods=worse))[0] == "No method has a smaller spread than none."


def test_most_precise_and_most_accurate_can_differ(read):
    methods = {"none": Strategy(bias=3.0), "a": Strategy(lanes=2, spread=0.3, bias=9.0)}
    methods["b"] = Strategy(members=2, spread=0.9, bias=0.1)
    headline, sentences = words(read(methods=methods))
    assert headline == "a is the most precise method here."
    assert sentences["Accuracy"].startswith("b has the smallest relative MSE")
    assert sentences["Closure"].startswith("b ")


def test_one_method_has_no_rank(read):
    headline, sentences = words(read(methods={"only": Strategy()}))
    assert "nothing to compare" in headline
    assert set(sentences) == {"Closure"}


def test_one_pass_has_no_spread(read):
    assert words(read(passes=1))[0].startswith("With one pass the spread cannot be measured")


def test_without_truth_only_precision_and_data_are_judged(read):
    _, sentences = words(read(has_truth=False))
    assert set(sentences) == {"Precision", "Closure", "Cost", "Passes"}
    assert "closer to data at detector level" in sentences["Closure"]
