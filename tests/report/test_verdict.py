import dataclasses
import math

import numpy as np
import pytest
from study_factory import FIVE, Strategy, changed, copied, made

from omniflow.report.verdict import judge

SHARED = Strategy(members=5, start="pretrained", spread=0.4, bias=1.8)
OWN = {name: strategy for name, strategy in FIVE.items() if name != "pretrained"}


@pytest.fixture(scope="module")
def seen():
    return {}


@pytest.fixture
def read(model, seen):
    def make(**changes):
        key = repr(changes)
        if key not in seen:
            seen[key] = made(dataclasses.replace(model, **changes))
        return copied(seen[key])

    return make


def words(tables):
    verdict = judge(tables)
    return verdict.headline, dict(verdict.sentences)


def paired(tables, metric="sigma_rel", **others):
    """Replace ratios to `none` and whether they are significant: method -> (ratio, sure).

    Two methods differ where exactly one is sure.
    """
    rows = tables["comparisons"].copy()
    values = {"none": (1.0, False)} | others
    for at, row in rows[rows["metric"] == metric].iterrows():
        first, second = values[row["method"]], values[row["other"]]
        rows.loc[at, ["ratio", "log_error"]] = first[0] / second[0], 0.1
        rows.loc[at, "p_adjusted"] = 0.001 if first[1] != second[1] else 0.4
    return changed(tables, comparisons=rows)


def test_a_clear_winner_is_named(read):
    tables = read()
    headline, sentences = words(tables)
    assert headline == "parallel is the most precise method here."
    precision = sentences["Precision"].replace("\u00a0", " ")
    assert precision.startswith("parallel has the smallest spread")
    # both have errors of 10%
    assert "0.50 ± 0.07 times that of none, averaged over 2 observables" in precision
    assert ", a significant difference." in precision
    assert "Significantly above it" not in precision
    assert sentences["Accuracy"].startswith("parallel has the smallest relative MSE")
    assert "for this one data sample" in sentences["Accuracy"]
    assert "trains 12 networks in 6 min 30 s, 3.0 times the time of none" in sentences["Cost"]
    assert "about 24\u00a0%" in sentences["Passes"]
    assert "2 of 2 observables closer to truth" in sentences["Closure"]
    assert judge(tables).faults == ()


def test_three_passes_decide_nothing(read):
    headline, sentences = words(read(passes=3, error=0.25))
    assert headline == "With 3 passes no method is significantly more precise than none."
    assert "– not a significant difference" in sentences["Precision"]
    assert "about 50\u00a0%" in sentences["Passes"]


def test_equals_share_the_headline(read):
    headline, _ = words(read(methods=OWN, error=0.05))
    # 0.45 and 0.47 with 5% each: 0.6 standard errors apart; step's 0.6 is 4.1 above
    assert headline == "parallel and hybrid are the most precise here and cannot be told apart."


def test_only_methods_that_beat_the_reference_are_named(read):
    """1, 0.45 and 1.05 with a large error, which is not told apart from any of them."""
    three = {name: FIVE[name] for name in ("none", "parallel", "step")}
    tables = paired(read(methods=three), parallel=(0.45, True), step=(1.05, False))
    rows = tables["comparisons"]
    about = (rows["method"] == "parallel") & (rows["other"] == "step")
    rows.loc[about, "p_adjusted"] = 0.3
    headline, sentences = words(tables)
    assert headline == "parallel is the most precise method here."
    precision = sentences["Precision"].replace("\u00a0", " ")
    assert "Not told apart from it, nor from none: step (1.05 ± 0.11)" in precision


def test_the_best_of_the_significant_is_named_where_another_is_lower_but_unsure(read):
    three = {name: FIVE[name] for name in ("none", "parallel", "step")}
    tables = paired(read(methods=three), parallel=(0.5, True), step=(0.4, False))
    tables["comparisons"].loc[tables["comparisons"]["other"] == "step", "p_adjusted"] = 0.3
    headline, sentences = words(tables)
    assert headline == "parallel is the most precise method here."
    assert (
        "smallest spread between passes (σ_rel) of those significantly below none"
        in (sentences["Precision"])
    )


def test_ensembles_that_do_not_help_are_not_praised(read):
    worse = {"none": Strategy(), "parallel": Strategy(lanes=3, spread=1.6)}
    assert words(read(methods=worse))[0] == "No method has a smaller spread than none."


def test_most_precise_and_most_accurate_can_differ(read):
    methods = {"none": Strategy(bias=3.0), "a": Strategy(lanes=2, spread=0.3, bias=6.0)}
    methods["b"] = Strategy(members=2, spread=0.9, bias=0.1)
    headline, sentences = words(read(methods=methods))
    assert headline == "a is the most precise method here."
    assert sentences["Accuracy"].startswith("b has the smallest relative MSE")
    assert sentences["Closure"].startswith("b ")


def test_methods_whose_passes_share_a_model_are_ranked_apart(read):
    tables = read(methods=FIVE, error=0.05)
    headline, sentences = words(tables)
    assert "pretrained" not in headline
    last = sentences["Precision"].replace("\u00a0", " ")
    assert "Ranked apart: pretrained (0.400 ± 0.028), whose passes share pre-trained models" in last
    # 10 passes of 5 members of one lane
    assert "methods.pretrained.transfer: {models: 50, per_pass: true}" in last


def test_methods_with_models_per_pass_are_ranked(read):
    tables = read(methods=FIVE, error=0.05)
    methods = tuple(
        m.model_copy(update={"models": 50, "per_pass": True}) if m.name == "pretrained" else m
        for m in tables.study.methods
    )
    study = tables.study.model_copy(update={"methods": methods})
    headline, sentences = words(dataclasses.replace(tables, study=study))
    assert headline.startswith("pretrained, parallel and hybrid are")
    assert "Ranked apart" not in sentences["Precision"]


def test_where_all_passes_share_models_the_rank_says_so(read):
    tables = read(methods={"none": SHARED, "more": dataclasses.replace(SHARED, lanes=4)})
    _, sentences = words(tables)
    assert (
        "share pre-trained models, so that this spread lacks the scatter"
        in (sentences["Precision"])
    )


def test_one_method_has_no_rank(read):
    headline, sentences = words(read(methods={"only": Strategy()}))
    assert "nothing to compare" in headline
    assert set(sentences) == {"Bias", "Closure"}


def test_one_pass_has_no_spread(read):
    assert words(read(passes=1))[0].startswith("With one pass the spread cannot be measured")


def test_an_observable_without_spread_is_left_out_and_named(read):
    """It is no sign of a single pass, and leaves the others their ratio."""
    tables = read()
    rows = tables["comparisons"]
    rows.loc[rows["observable"] == "q2", ["bins", "ratio", "log_error"]] = 0, np.nan, np.nan
    headline, sentences = words(tables)
    assert headline == "parallel is the most precise method here."
    assert (
        "Q² is left out where a method or none has the same content in all passes"
        in (sentences["Precision"])
    )


def test_no_spread_at_all_is_no_single_pass(read):
    tables = read()
    rows = tables["comparisons"]
    rows.loc[rows["metric"] == "sigma_rel", ["bins", "ratio", "log_error"]] = 0, np.nan, np.nan
    assert words(tables)[0] == "The passes do not differ, so there is no spread to compare."


def test_without_truth_only_precision_and_data_are_judged(read):
    _, sentences = words(read(has_truth=False))
    assert set(sentences) == {"Precision", "Closure", "Cost", "Passes"}
    assert "closer to data at detector level" in sentences["Closure"]


def test_faults_come_before_the_rank(read):
    tables = read()
    rows = tables["detector_summary"]
    rows.loc[rows["iteration"] == 2, "td"] = 5.0
    verdict = judge(tables)
    assert verdict.headline == "Not converged."
    assert [subject for subject, _ in verdict.faults] == ["Not converged"]
    subject, text = verdict.sentences[0]
    assert subject == "Precision"
    assert text.startswith("parallel is the most precise method here. parallel has the smallest")


def test_bias_is_compared_with_its_expectation(read):
    """Without bias the mean over passes is off by the scatter of passes and by statistics."""
    tables = read(methods={"none": Strategy(bias=0.0), "a": Strategy(lanes=2, bias=0.0)})
    _, sentences = words(tables)
    text = sentences["Bias"].replace("\u00a0", " ")
    assert "it cannot be told from none" in text
    rows = tables.headline("metrics", 2)
    rows = rows[rows["method"] == "none"]
    spread = rows["sigma_rel"] * rows["mean"] / rows["truth"]
    alone = math.sqrt(2 / math.pi / 10) * spread.groupby(rows["observable"]).mean().mean()
    assert f"scatter of its passes alone gives {100 * alone:.3g} %" in text


def test_a_bias_beyond_perfect_statistics_is_not_called_one_without_replicas(read):
    tables = read(methods={"none": Strategy(bias=9.0), "a": Strategy(lanes=2, bias=9.0)})
    _, sentences = words(tables)
    assert "is not known without replicas" in sentences["Bias"]
