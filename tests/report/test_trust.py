from dataclasses import replace

import numpy as np
import pytest
from study_factory import Model, Strategy, assigned, changed, made
from test_page import Reader

from omniflow.errors import InputError
from omniflow.report import formats, trust
from omniflow.report.content import ReportTables
from omniflow.report.study_json import JudgedRecord


def _lines(table):
    """Rows of a table as text, without unbreakable and thin spaces."""
    return [" | ".join(row).replace("\xa0", " ").replace("\u202f", " ") for row in table[1]]


def test_section_is_there_with_its_figures(rendered):
    reader = Reader(rendered[1])
    assert "Trust in the classifier" in reader.headings
    # Two chains (none and parallel share one) and two steps.
    for kind in ("Reliability", "ROC", "AUC"):
        assert sum(label.startswith(f"{kind} of") for label in reader.figures) == 4
    assert sum(label.startswith("Effective sample size of") for label in reader.figures) == 1
    assert {"Event weights", "Change of event weights"} <= set(reader.figures)
    text = " ".join(reader.text.split())
    for part in ("Can a new classifier tell", "Where to stop", "before unfolding"):
        assert part in text


def test_second_classifiers_are_compared_with_before(known):
    lines = _lines(trust._second(known))
    half = "0.580 ± 0.004 | 20 | –"
    assert lines[0] == f"before unfolding | {half} | {half}"
    # 0.008 of 0.08 is left, with an error of 0.004 / 0.08.
    half = "0.508 ± 0.004 | 2.0 | (10 ± 5) %"
    assert lines[2] == f"parallel | {half} | {half}"


def test_a_prior_like_data_has_no_scale(known):
    tables = assigned(known, "second_classifier", auc=0.503)
    half = "0.503 ± 0.004 | 0.75 | –"
    assert _lines(trust._second(tables))[2] == f"parallel | {half} | {half}"


def test_failed_second_classifiers_are_told(known):
    failed = {"auc": np.nan, "auc_error": np.nan, "failure": "it diverges"}
    tables = assigned(known, "second_classifier", **failed)
    assert trust._failures(tables)[0] == "before unfolding, detector level: it diverges"
    assert _lines(trust._second(tables))[2] == "parallel" + 6 * " | –"


def test_switched_off_second_classifiers(known):
    none = known["second_classifier"][:0]
    assert trust._second(changed(known, second_classifier=none)) is None


def test_suggested_iterations_have_a_reason(known):
    sentences = dict(trust._stopping(known))
    expected = "None yet: from iteration 1 to 2 the distance in jet τ₂₁ still fell by 0.84 (unc"
    assert sentences["none"].startswith(expected)
    assert sentences["parallel"].startswith("Iteration 1. After it, up to any later iteration, the")
    columns = {"iteration": 2, "observable": "q2", "fall": 1.234, "uncertainty": 0.5, "last": 3}
    sentences = dict(trust._stopping(assigned(known, "stopping", to=3, **columns)))
    assert sentences["none"] == (
        "Iteration 2. One earlier would be too early: from iteration 1 to 3 the distance in Q² "
        "falls by 1.2 (uncertainty 0.50)."
    )
    tables = assigned(known, "stopping", iteration=np.nan, observable="", last=1)
    assert dict(trust._stopping(tables))["none"] == "With one iteration nothing can be said."


def test_distances_that_stay_high_or_rise_are_named(known):
    tables = assigned(known, "stopping", above_floor="q2 jet_tau21", rising="q2")
    sentences = dict(trust._stopping(tables))
    assert "Not converged in iteration 2: the distance in Q² and jet τ₂₁" in sentences["none"]
    assert "Not converged in iteration 1: the distance in Q² and jet τ₂₁" in sentences["parallel"]
    assert sentences["parallel"].endswith("rises by more than its uncertainty in Q².")


def test_falls_of_the_distance(known):
    lines = _lines(trust._falls(known))
    # 3.6 and 3.6 x 0.1, of three methods and two observables.
    assert lines[0] == "none | jet τ₂₁ | 3.6 ± 0.4 | 0.4 ± 0.4"
    assert len(lines) == 6


def test_overtraining_and_tails_are_tabulated(known):
    lines = _lines(trust._overtraining(known))
    assert lines[0] == "scratch-1 | 1 | 3 | 0.400 % | 1.2 | 1.2"
    assert lines[1] == "scratch-1 | 2 | 3 | 0.400 % | 0.60 | 0.60"
    expected = "none | 0.0200 | 0.110 | 0.930 | 4.10 | 12.5 | 4.30 % | 51 234"
    assert _lines(trust._tails(known))[0] == expected


def test_areas_of_trained_and_held_out_events(known):
    # AUC 0.5 + 0.08 x 0.4 and 0.5 + 0.08 x 0.4^2, and 0.004 more for events that trained.
    lines = _lines(trust._summary(known))
    rest = "0.004 ± 0.007 | 1.1"
    assert lines[0] == f"scratch-1 | 1 | 1 | 30 | 0.532 ± 0.005 | 0.536 ± 0.005 | {rest}"
    assert lines[1] == f"scratch-1 | 1 | 2 | 30 | 0.513 ± 0.005 | 0.517 ± 0.005 | {rest}"


@pytest.mark.parametrize(
    ("judged", "sentence"),
    [
        ({"events": "reserved", "fraction": 0.1}, "the 10.0 % of all events that no network"),
        ({"events": "fold", "fraction": 0.5}, "those of its fold"),
        (
            {"events": "split", "fraction": 0.2, "split": "kept"},
            "Nor was it trained on them in an earlier iteration",
        ),
        # Networks start again in iteration 2, and hold other events out.
        (
            {"events": "split", "fraction": 0.2, "split": "cold"},
            "most of those held out in iteration 2 trained the network of the same lane and member",
        ),
        # Of two iterations: 0.2 of the 0.2 were held out in the first one too.
        ({"events": "fresh", "fraction": 0.2}, "iteration 2 it has been trained on all but 20.0 %"),
    ],
)
def test_page_says_what_held_out_events_are(known, judged, sentence):
    text = trust._held_out(_judged(known, **judged)).replace("\xa0", " ")
    assert sentence in text


def _judged(tables, **record):
    study = tables.study.model_copy(update={"judged": JudgedRecord.model_validate(record)})
    return replace(tables, study=study)


@pytest.mark.parametrize("events", ["reserved", "fold", "split", "fresh"])
@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("others", ""),
        ("declared", " That the networks of samples.pretraining.weights were trained on none of "),
        (
            "overlap",
            " This leaves out pre-training: networks that start from a pre-trained one may",
        ),
        ("unknown", " This leaves out pre-training: what the networks of samples.pretraining.wei"),
    ],
)
def test_page_says_what_pretraining_may_know(known, events, said, sentence):
    without = trust._held_out(_judged(known, events=events))
    text = trust._held_out(_judged(known, events=events, pretraining=said))
    assert text.startswith(without)
    assert text[len(without) :].startswith(sentence)
    assert bool(text[len(without) :]) == (said != "others")


def test_studies_without_scores_have_no_table_of_networks(known):
    empty = {name: known[name][:0] for name in ("classifiers", "reliability", "roc")}
    tables = changed(known, **empty)
    assert trust._summary(tables)[1] == trust._classifiers(tables, {}) == []


def test_networks_without_an_area_are_counted_and_leave_no_figure(tables, undrawn):
    """One network of step 1, and all of step 2: these have no curves either."""
    rows = tables["classifiers"]
    chain = rows["chain"] == "scratch-1"
    one = (rows["step"] == "1") & (rows["pass"] == 1) & (rows["lane"] == 0)
    rows.loc[chain & (one | (rows["step"] == "2")), ["auc", "auc_error"]] = np.nan
    rows.loc[chain & (rows["step"] == "2"), ["chi2", "bins"]] = 0
    for name in ("reliability", "roc"):
        curve = tables[name]
        lost = (curve["chain"] == "scratch-1") & (curve["step"] == "2")
        if name == "reliability":  # nor step 1 of the other chain, but for what trained
            lost |= (curve["chain"] != "scratch-1") & (curve["part"] == "held-out")
        tables = changed(tables, **{name: curve[~lost]})
    # Of 10 passes x 2 iterations x 2 steps x (3 lanes + 2 members), 2 and 60.
    assert trust._unjudged(tables).startswith("62 of 200 networks")
    lines = _lines(trust._summary(tables))
    assert lines[0].startswith("scratch-1 | 1 | 1 | 29 | 0.532 ± 0.005")
    assert lines[2] == "scratch-1 | 2 | 1 | 0" + 4 * " | –"
    looks = formats.looks([m.name for m in tables.study.methods])
    drawn = {title: len(found) for title, _, found in trust._classifiers(tables, looks)}
    (first, *others) = drawn.items()
    assert first == ("scratch-1, step 1", 3)
    assert [number for _, number in others] == [2, 2]


def test_missing_tables_are_refused(study):
    (study / "tails.csv").unlink()
    with pytest.raises(InputError, match=r"tails\.csv: cannot be read"):
        ReportTables.read(study)


def test_real_data_have_the_detector_level_alone():
    model = Model({"none": Strategy()}, ("q2",), passes=1, iterations=1, has_truth=False)
    tables = made(model)
    header, _ = trust._second(tables)
    assert "data against simulation: AUC" in header
    assert not any("truth" in column for column in header)
