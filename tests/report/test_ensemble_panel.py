from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from study_factory import Model, Strategy, assigned, changed, copied, made

from omniflow.report import ensemble_panel, formats, page

METHODS = {"none": Strategy(), "parallel": Strategy(lanes=5), "step": Strategy(members=3)}


@pytest.fixture(scope="module")
def several():
    return made(Model(METHODS, ("q2", "eta_e"), passes=6, iterations=1, epochs=2))


@pytest.fixture
def read(several):
    """A function that makes tables of a study; `changes` are of all rows of networks.csv."""

    def make(model=None, **changes):
        tables = copied(several) if model is None else made(model)
        return assigned(tables, "networks", **changes)

    return make


def _panel(tables):
    panel, *_ = ensemble_panel.panels(tables, _looks(tables))
    return panel


def _looks(tables):
    return formats.looks([m.name for m in tables.study.methods])


def test_the_fall_is_told_with_its_expectation(read):
    tables = read()
    text = " ".join(_panel(tables).sentences).replace("\u00a0", " ")
    # The made-up spread falls exactly with the square root: sqrt(3 / 5) = 0.775.
    assert "From 3 to 5 networks σ_rel falls by (23 ± 6) %;" in text
    assert "independent scatter would give 23 %" in text
    assert "without one 10 would bring σ_rel from 0.400 % to about 0.283 %" in text


def test_a_flat_curve_that_proves_nothing_promises_nothing(read):
    tables = read(floor_squared=9e-6, floor_squared_error=9e-6)
    text = " ".join(_panel(tables).sentences).replace("\u00a0", " ")
    assert "A part that stays seems to be most of it (about 0.300 %), but" in text
    assert "passes do not establish it" in text
    assert "would bring" not in text
    assert "more networks bring" not in text


def test_two_passes_tell_no_error_of_the_fall(read):
    text = " ".join(_panel(read(passes=2, ratio_error=1e-15)).sentences)
    assert "σ_rel falls by 22.5\u00a0%; independent" in text


def test_a_part_that_stays_is_told(read):
    tables = read(floor_squared=9e-6, floor_squared_error=2e-6, ratio=0.9)
    panel = _panel(tables)
    text = " ".join(panel.sentences).replace("\u00a0", " ")
    assert "falls by (10 ± 6) %" in text
    assert "About 0.300 % of spread is common to the networks of a pass" in text
    assert "would bring" not in text
    assert [row[-1].replace("\u00a0", " ") for row in panel.rows] == ["0.300 %"] * 2


@pytest.mark.parametrize(
    ("bias", "statistics", "p_value", "words"),
    [
        (0.0039, 1e-4, 0.01, "but smaller than that spread, so that more networks bring"),
        (0.02, 1e-4, 0.01, "and no number of networks lowers it"),
        (0.02, 1e-4, 0.06, "cannot be told from what statistics"),
        (0.02, 1e-4, None, "is not known without replicas"),
        (0.02, 0.02, None, "cannot be told from what statistics"),
        (0.002, 0.002, None, "It is smaller than that spread, so that more networks bring"),
    ],
)
def test_the_bias_decides_whether_more_networks_help(read, bias, statistics, p_value, words):
    panel = _biased(read, bias, statistics, p_value=p_value)[0]
    assert words in panel.sentences[-1]


def _biased(read, bias, statistics, model=None, p_value=None, **changes):
    """Panels of a study with a bias and a relative statistical error, of passes without scatter.

    With the p-value of a chi-square test against truth.
    """
    tables = read(model, **changes)
    if p_value is not None:
        tests = [
            {"method": m.name, "prediction": "truth", "p_value": p_value}
            for m in tables.study.methods
        ]
        tables = changed(tables, chi2=pd.DataFrame(tests))
    tables["summary"]["bias_rel"] = bias
    tables["metrics"]["truth_error"] = statistics * tables["metrics"]["truth"]
    tables["metrics"][["mean_error", "sigma_rel"]] = 0.0
    return ensemble_panel.panels(tables, _looks(tables))


@pytest.mark.parametrize("statistics", [1e-4, 0.003])
def test_more_networks_are_not_praised_where_they_help_little(read, statistics):
    changes = {"floor_squared": 9e-6, "floor_squared_error": 2e-6}
    text = " ".join(_biased(read, 0.003, statistics, **changes)[0].sentences)
    assert "would help little" in text
    assert "more networks bring" not in text
    assert "smaller than that spread." in text


def test_members_of_the_last_step_tell_nothing_of_more_networks(read):
    model = Model({"step": Strategy(members=5)}, ("q2",), 6, 1, epochs=2)
    (members,) = _biased(read, 0.003, 1e-4, model, p_value=0.01)
    assert members.sentences[-1].endswith("but smaller than that spread.")


def test_lanes_of_several_networks_are_called_so(read):
    model = Model({"hybrid": Strategy(lanes=2, members=3)}, ("q2",), 4, 1, epochs=2)
    panel = _panel(read(model))
    assert panel.sentences[0].startswith("From 1 to 2 lanes of 3 networks σ_rel falls by")


def test_members_are_told_apart_from_lanes(read):
    model = Model({"hybrid": Strategy(lanes=2, members=4)}, ("q2",), 4, 1, epochs=2)
    tables = read(model)
    lanes, members = ensemble_panel.panels(tables, _looks(tables))
    assert (lanes.title, members.title) == ("hybrid", "hybrid: members of the last step")
    text = " ".join(members.sentences).replace("\u00a0", " ")
    assert text.startswith(
        "Given the weights of all earlier steps, which used all 4 members, σ_rel"
    )
    assert "from 2 to 4 members of the last step; independent scatter" in text
    assert "this step alone would give 29 %" in text  # 1 - sqrt(2 / 4)
    assert "earlier steps is significant; without one 8 would bring σ_rel" in text


def test_a_part_that_comes_from_earlier_steps_is_told(read):
    model = Model({"step": Strategy(members=5)}, ("q2",), 6, 1, epochs=2)
    tables = read(model, floor_squared=9e-6, floor_squared_error=2e-6)
    text = " ".join(_panel(tables).sentences).replace("\u00a0", " ")
    assert "About 0.300 % of spread is common to the members of a pass" in text
    assert "Whether more in every step would, this curve does not tell" in text
    assert "would bring" not in text


@pytest.mark.usefixtures("unmade")
def test_the_page_shows_figure_and_table_and_names_methods_without(read):
    tables = read()
    rows = tables["networks"][tables["networks"]["varied"] == "lanes"]
    text = page.render(changed(tables, networks=rows))
    assert text.count('aria-label="Spread by number of lanes of parallel"') == 1
    assert "There is no curve of members of step: its last step" in text
    assert 'href="#networks"' in text


@pytest.mark.parametrize("passes", [1, 3])
def test_without_lanes_or_members_there_is_no_panel(read, passes):
    model = Model({"none": Strategy()}, ("q2",), passes, 1, epochs=2)
    tables = read(model)
    assert tables["networks"].empty
    assert ensemble_panel.panels(tables, _looks(tables)) == []
    assert ensemble_panel.without_members(tables) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aggregate": "stacking"}, "stacked members were decided on all of them"),
        ({"networks": 1}, "copies of one network"),
        ({}, "by an earlier version"),
    ],
)
def test_methods_without_a_curve_of_members_are_named(read, changes, words):
    tables = read()
    (step,) = (m for m in tables.study.methods if m.name == "step")
    study = tables.study.model_copy(update={"methods": (step.model_copy(update=changes),)})
    rows = tables["networks"][tables["networks"]["varied"] == "lanes"]
    assert ensemble_panel.without_members(replace(tables, study=study)) == []
    (found,) = ensemble_panel.without_members(replace(changed(tables, networks=rows), study=study))
    assert found.startswith("There is no curve of members of step:")
    assert words in found


def test_models_that_passes_share_are_told(read):
    methods = {"none": Strategy(), "parallel": Strategy(lanes=2)}
    tables = read(Model(methods, ("q2",), 2, 1, epochs=2))
    alone = "nothing in common but the events, whose statistical fluctuation is not in this spread."
    assert ensemble_panel.in_common(tables).endswith(alone)
    methods["begun"] = Strategy(lanes=2, start="pretrained")
    tables = read(Model(methods, ("q2",), 2, 1, epochs=2))
    text = ensemble_panel.in_common(tables)
    assert "but the events and, of begun, pre-trained models, whose scatter is not in" in text


def test_half_of_the_lanes_is_a_size_that_exists():
    for sizes, half in (([1, 2], 1), ([1, 2, 3], 2), ([1, 3], 1), (range(1, 11), 5)):
        assert ensemble_panel._half(pd.DataFrame({"x": 0}, index=np.array(sizes))) == half
