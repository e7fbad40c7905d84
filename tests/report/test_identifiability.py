"""What the report says of distances without bins, the oracle and the detector response."""

import numpy as np
import pytest
from study_factory import Model, Strategy, copied, made
from test_page import Reader

from omniflow.report import faults, identifiability
from omniflow.report.page import render


@pytest.fixture(scope="module")
def good():
    methods = {"none": Strategy(), "parallel": Strategy(lanes=3, spread=0.5)}
    return made(Model(methods, passes=2, epochs=3))


@pytest.fixture
def tables(good):
    return copied(good)


def _set(tables, subject, observable, td):
    rows = tables["distances"]
    own = (rows["level"] == "particle") & (rows["subject"] == subject)
    rows.loc[own & (rows["observable"] == observable), "td"] = td


def test_the_section_is_there(rendered):
    text = " ".join(Reader(rendered[1]).text.split())
    for part in (
        "Distances without bins",
        "all together (sliced)",
        "The oracle: the best that this network can do",
        "Is the detector response the same?",
        "No difference to the simulation is found (z = 0.80).",
    ):
        assert part in text


def test_distances_of_all_subjects_stand_in_their_order(tables):
    found = identifiability.context(tables)
    header, rows = found["wasserstein"]["particle"]
    assert header == ["observable", "before unfolding", "none", "parallel", "oracle", "floor"]
    assert rows[-1] == ["all together (sliced)", "0.050", "0.0019", "0.0019", "0.0014", "0.0040"]
    assert list(found["wasserstein"]) == ["particle", "detector"]
    header, rows = found["discriminators"]
    assert rows[0] == ["Q²", "4.0", "0.15", "0.15", "0.11", "0.12"]
    assert len(rows) == len(tables.study.observables)  # sliced has none


def test_an_oracle_at_its_floor_says_that_networks_are_good_enough(tables):
    text = identifiability.oracle(tables)
    assert text.startswith("It is within twice its floor in all 2 observables")
    assert "In no observable all methods stay behind it" in text


def test_an_oracle_above_its_floor_blames_network_and_training(tables):
    _set(tables, "_oracle", "q2", 0.3)
    assert "It exceeds twice its floor in Q²: there network or training limit" in (
        identifiability.oracle(tables)
    )


def test_methods_behind_the_oracle_pay_for_the_detector(tables):
    for method in ("none", "parallel"):
        _set(tables, method, "q2", 0.9)
    assert "All methods stay behind it, by more than the floor, in Q²:" in (
        identifiability.oracle(tables)
    )
    _set(tables, "parallel", "q2", 0.12)
    assert "In no observable" in identifiability.oracle(tables)


def _test(tables, **columns):
    """Set columns of the test and of its control."""
    for name, (sample, control) in columns.items():
        tables["response"][name] = [sample, control]


def test_another_response_is_named_first(tables):
    assert "Response" not in {fault.subject for fault in faults.find(tables)}
    _test(tables, z=(6.2, 0.3), p_value=(3e-10, 0.4))
    ((role, text),) = identifiability.responses(tables)
    assert role == "data"
    assert text.startswith("Differs from that of the simulation (z = 6.2)")
    assert identifiability.differing(tables) == ["data"]
    (fault,) = [each for each in faults.find(tables) if each.subject == "Response"]
    assert fault.short == "another detector response"


def test_a_control_that_fails_too_decides_nothing(tables):
    _test(tables, z=(6.2, 5.1), p_value=(3e-10, 2e-7))
    ((_, text),) = identifiability.responses(tables)
    assert text.startswith("Not known: a difference is found (z = 6.2), but also between halves")
    assert identifiability.differing(tables) == []


@pytest.mark.usefixtures("unmade")
def test_networks_that_failed_are_told(tables):
    none = (np.nan, np.nan)
    _test(tables, z=none, p_value=none, auc=none, failure=("it diverges", "it diverges"))
    found = identifiability.context(tables)
    assert found["response"] == [("data", "Not known: a network could not be trained.")]
    assert found["failures"][0] == "data (sample): it diverges"
    assert "it diverges" in render(tables)


@pytest.mark.usefixtures("unmade")
def test_real_data_have_distances_to_data_alone():
    tables = made(Model({"none": Strategy()}, has_truth=False, passes=2))
    found = identifiability.context(tables)
    assert list(found["wasserstein"]) == ["detector"]
    assert found["oracle"] == ""
    text = " ".join(Reader(render(tables)).text.split())
    assert "in standard deviations of the data" in text
    assert "The oracle" not in text
    assert "detector response" not in text
