"""Fixtures: made-up studies (see study_factory.py) read once per session."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from study_factory import Model, Strategy, write_study

from omniflow.report.content import ReportTables
from omniflow.report.page import render

THREE = {
    "none": Strategy(),
    "parallel": Strategy(lanes=3, spread=0.5, bias=0.5),
    "pretrained": Strategy(members=2, start="pretrained", spread=0.9, bias=2.0),
}
# Ten passes; parallel has half the spread and half the bias of none, errors are 10%.
KNOWN = Model(methods=THREE, observables=("jet_tau21", "q2"), iterations=2, epochs=3)


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
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReportTables, str]:
    """A complete page with hostile text in every place that a user or file can fill."""
    evil = "<script>alert(1)</script>"
    model = Model(
        methods=THREE, observables=("q2",), passes=3, iterations=2, epochs=3,
        name=f"x{evil}", machinery_only=True,
    )  # fmt: skip
    tables = ReportTables.read(write_study(tmp_path_factory.mktemp("study"), model))
    records = tables.study.model_dump()
    records["notes"] = (evil,)
    records["config_yaml"] = f"a: {evil}"
    records["versions"] = {f"p{evil}": evil}
    for sample in records["samples"]:
        sample["source"] = evil
    records["observables"][0]["label"] = f'q"{evil}'
    hostile = type(tables.study).model_validate(records)
    tables = ReportTables(
        **{**vars(tables), "study": hostile, "problems": ("timing.csv lacks 2 <of> 9.",)}
    )
    return tables, render(tables)
