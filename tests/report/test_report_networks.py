import numpy as np
import pandas as pd
import pytest
from study_factory import Model, Strategy, write_study

from omniflow.report import formats, networks, page
from omniflow.report.tables import ReportTables

METHODS = {"none": Strategy(), "parallel": Strategy(lanes=5), "step": Strategy(members=3)}


def _read(folder, model=None, **changes):
    """Tables of a made-up study; `changes` are of all rows of networks.csv."""
    model = model or Model(METHODS, ("q2", "eta_e"), passes=6, iterations=1, epochs=2)
    write_study(folder, model)
    path = folder / "networks.csv"
    pd.read_csv(path).assign(**changes).to_csv(path, index=False)
    return ReportTables.read(folder)


def _panel(tables):
    (panel,) = networks.panels(tables, _looks(tables))
    return panel


def _looks(tables):
    return formats.looks([m.name for m in tables.study.methods])


def test_the_fall_is_told_with_its_expectation(tmp_path):
    tables = _read(tmp_path)
    text = " ".join(_panel(tables).sentences).replace("\u00a0", " ")
    # The made-up spread falls exactly with the square root: sqrt(3 / 5) = 0.775.
    assert "From 3 to 5 networks σ_rel falls by (23 ± 6) %;" in text
    assert "independent scatter would give 23 %" in text
    assert "without one 10 would bring σ_rel from 0.400 % to about 0.283 %" in text


def test_a_part_that_stays_is_told(tmp_path):
    tables = _read(tmp_path, floor_squared=9e-6, floor_squared_error=2e-6, ratio=0.9)
    panel = _panel(tables)
    text = " ".join(panel.sentences).replace("\u00a0", " ")
    assert "falls by (10 ± 6) %" in text
    assert "About 0.300 % of spread is common to the networks of a pass" in text
    assert "would bring" not in text
    assert [row[-1].replace("\u00a0", " ") for row in panel.rows] == ["0.300 %"] * 2


@pytest.mark.parametrize(("bias", "words"), [(0.002, "is smaller"), (0.02, "is larger")])
def test_the_bias_decides_whether_more_networks_help(tmp_path, bias, words):
    tables = _read(tmp_path)
    tables.summary["bias_rel"] = bias
    assert words in _panel(tables).sentences[-1]


def test_lanes_of_several_networks_are_called_so(tmp_path):
    model = Model({"hybrid": Strategy(lanes=2, members=3)}, ("q2",), 4, 1, epochs=2)
    panel = _panel(_read(tmp_path, model))
    assert panel.sentences[0].startswith("From 1 to 2 lanes of 3 networks σ_rel falls by")


def test_the_page_shows_figure_and_table_and_names_methods_without(tmp_path):
    text = page.render(_read(tmp_path))
    assert text.count('aria-label="Spread by number of lanes of parallel"') == 1
    assert "There is no curve of step:" in text
    assert 'href="#networks"' in text


@pytest.mark.parametrize("passes", [1, 3])
def test_without_lanes_there_is_no_panel(tmp_path, passes):
    model = Model({"step": Strategy(members=3)}, ("q2",), passes, 1, epochs=2)
    tables = _read(tmp_path, model)
    assert tables.networks.empty
    assert networks.panels(tables, _looks(tables)) == []
    assert ("There is no curve of step" in page.render(tables)) is (passes > 1)


def test_half_of_the_lanes_is_a_size_that_exists():
    for sizes, half in (([1, 2], 1), ([1, 2, 3], 2), ([1, 3], 1), (range(1, 11), 5)):
        assert networks._half(pd.DataFrame({"x": 0}, index=np.array(sizes))) == half
