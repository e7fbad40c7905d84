import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_factory import OBSERVABLES, Model, Strategy, made, write_study, write_table

from omniflow.errors import InputError
from omniflow.report import page
from omniflow.report.content import ReportTables
from omniflow.report.uncertainty_panel import panel
from omniflow.tables.catalogue import TABLES

KEYS = {"method": "none", "combine": "none", "observable": "q2"}
REASON = "data: 10 replicas are too few for 15 bins, 17 would do"
NOTE = "Scatter of training is left in the blocks data, model."


def _covariance():
    """Errors of 300 (data) and 400 (training) in every bin, 500 in all; none of `model`."""
    bins = len(OBSERVABLES["q2"][5]) - 1
    i, j = (index.ravel() for index in np.indices((bins, bins)))
    frames = []
    variances = {"data": 300.0**2, "training": 400.0**2, "model": -4.0, "total": 500.0**2}
    for block, variance in variances.items():
        value = variance * (i == j)
        frames.append(pd.DataFrame({"block": block, "bin_i": i, "bin_j": j, "value": value}))
    return pd.concat(frames).assign(**KEYS)


MODEL = Model({"none": Strategy()}, ("q2",), passes=3, iterations=1, epochs=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("uncertain") / "study", MODEL)
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    study |= {"uncertain": ["none"], "uncertainty_notes": [NOTE]}
    (folder / "study.json").write_text(json.dumps(study))
    write_table(folder, "covariance", _covariance())
    means = pd.read_csv(folder / "metrics.csv").query("iteration == 1")["mean"].to_numpy()
    shifts = {"bin": range(15), "training_error": np.nan, "variation": "model"}
    shifts["statistical_error"] = 0.01 * means
    signs = (-1.0) ** np.arange(15)
    write_table(folder, "shifts", pd.DataFrame(KEYS | shifts | {"shift": 0.02 * signs * means}))
    chi2 = {"bins": 15, "covariance_freedom": 40.0, "blocks": "data training", "parallel": "jes"}
    tests = [
        {"prediction": "truth", "chi2": 12.3, "p_value": 0.66, "left_out": "x", "no_p_value": ""},
        {"prediction": "simulation", "chi2": 80, "left_out": "", "no_p_value": REASON},
    ]
    write_table(folder, "chi2", [KEYS | chi2 | test for test in tests])
    coverage = {"coverage": 0.7, "coverage_error": 0.05, "pull_mean": 0.1, "pull_width": 0.9}
    write_table(folder, "coverage", [KEYS | coverage | {"kind": "toy", "entries": 8}])
    write_table(folder, "pulls", [])
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A folder of its own, to be spoilt by a test."""
    return Path(shutil.copytree(whole, tmp_path / "study"))


def test_section_of_a_study_with_uncertainties(whole):
    text = page.render(ReportTables.read(whole))
    assert '<section id="uncertainties">' in text
    assert '<a href="#uncertainties">' in text
    assert 'aria-label="Uncertainty of none: Q² (q2)"' in text
    assert 'aria-label="Correlation of none: Q² (q2)"' in text
    section = text[text.index('id="uncertainties"') :]
    cells = [re.sub("<.*?>", "", c) for c in re.findall(r"<t[dh].*?</t[dh]>", section)]
    for row in (
        ["Q²", "none", "model", "2.00\u00a0%", "–", "1.00\u00a0%"],
        ["Q²", "none", "truth", "12.3 / 15", "0.66", "x", "jes"],
        ["Q²", "none", "simulation", "80.0 / 15", "–", "–", "jes"],
        ["Q²", "none", "8 toys, errors of data and training"],
    ):
        places = [i for i in range(len(cells)) if cells[i : i + len(row)] == row]
        assert len(places) == 1, row
    assert "contain the tested difference" in section
    assert "points along the tested difference" in section
    assert f"no p-value would hold. {REASON} (Q²)." in section
    assert NOTE in section


@pytest.mark.usefixtures("unmade")
def test_without_uncertainties_there_is_no_section():
    tables = made(MODEL)
    assert panel(tables) is None
    assert "uncertainties" not in page.render(tables).lower()


def test_tables_of_an_earlier_configuration_are_not_shown(folder):
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    (folder / "study.json").write_text(json.dumps(study | {"uncertain": []}))
    assert panel(ReportTables.read(folder)) is None


def test_a_missing_table_is_named(folder):
    (folder / "chi2.csv").unlink()
    with pytest.raises(InputError, match=r"chi2\.csv: cannot be read"):
        ReportTables.read(folder)


@pytest.mark.parametrize("name", ["covariance", "coverage"])
def test_a_missing_column_is_named(folder, name):
    column = TABLES[name].names[-1]
    table = pd.read_csv(folder / f"{name}.csv").drop(columns=column)
    table.to_csv(folder / f"{name}.csv", index=False)
    with pytest.raises(InputError, match=rf"{name}\.csv: column {column} is missing"):
        ReportTables.read(folder)


def test_tests_are_shown_without_a_covariance(folder):
    """One pass without replicas has tests against predictions alone."""
    table = pd.read_csv(folder / "covariance.csv")
    table[:0].to_csv(folder / "covariance.csv", index=False)
    found = panel(ReportTables.read(folder))
    assert len(found.tests[1]) == 2
    assert found.no_p_value == [f"{REASON} (Q²)"]
    assert found.parallel
    assert all(not drawn for _, drawn in found.figures)
