"""Fixtures: made-up studies (see study_factory.py) read once per session."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from study_factory import Model, Strategy, copied, made, write_study

from omniflow.report import drawing
from omniflow.report.content import ReportTables
from omniflow.report.page import render

THREE = {
    "none": Strategy(),
    "parallel": Strategy(lanes=3, spread=0.5, bias=0.5),
    "pretrained": Strategy(members=2, start="pretrained", spread=0.9, bias=2.0),
}
# Ten passes; parallel has half the spread and half the bias of none, errors are 10%.
KNOWN = Model(methods=THREE, observables=("jet_tau21", "q2"), iterations=2, epochs=3)
SMALL = replace(KNOWN, observables=("q2",), passes=3)


@pytest.fixture
def model() -> Model:
    return KNOWN


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("written"), KNOWN)


@pytest.fixture
def study(tmp_path: Path, written: Path) -> Path:
    """A folder of its own with the tables of KNOWN, to be spoilt by a test."""
    return Path(shutil.copytree(written, tmp_path / "study"))


@pytest.fixture(scope="session")
def known() -> ReportTables:
    """Tables of KNOWN, to be read alone."""
    return made(KNOWN)


@pytest.fixture
def tables(known: ReportTables) -> ReportTables:
    """Tables of KNOWN, to be spoilt by a test."""
    return copied(known)


@pytest.fixture(scope="session")
def _small() -> ReportTables:
    return made(SMALL)


@pytest.fixture
def small(_small: ReportTables) -> ReportTables:
    """Tables of a study of one observable, to be spoilt by a test that makes a page of them."""
    return copied(_small)


@pytest.fixture
def unmade(undrawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not even made: for tests of a page's text alone."""
    code = drawing.styled(drawing.panels).__code__
    for module in [m for name, m in sys.modules.items() if name.startswith("omniflow.report.")]:
        for name, function in list(vars(module).items()):
            if getattr(function, "__code__", None) is code:
                monkeypatch.setattr(module, name, lambda *_, title, **__: drawing._svg(None, title))


@pytest.fixture(scope="session")
def rendered() -> tuple[ReportTables, str]:
    """A complete page with hostile text in every place that a user or file can fill."""
    evil = "<script>alert(1)</script>"
    tables = made(replace(SMALL, name=f"x{evil}", machinery_only=True))
    records = tables.study.model_dump()
    records["notes"] = (evil,)
    records["config_yaml"] = f"a: {evil}"
    records["versions"] = {f"p{evil}": evil}
    for sample in records["samples"]:
        sample["source"] = evil
    records["observables"][0]["label"] = f'q"{evil}'
    hostile = type(tables.study).model_validate(records)
    tables = replace(tables, study=hostile, problems=("timing.csv lacks 2 <of> 9.",))
    return tables, render(tables)
