"""`omniflow compare`: what it prints, and the files that it writes."""

import pytest
from click.testing import CliRunner
from made_studies import EDGES, Made, write

from omniflow.cli import main
from omniflow.evaluation import comparison
from omniflow.evaluation.studies import STUDIES


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A reference, one of half the spread, and one of another seed and other bins."""
    folder = tmp_path_factory.mktemp("studies")
    half = {"none": (0.005, 0.002)}
    adam = {"training": {"optimizer": "adam"}}
    return [
        write(folder / "lion", Made("lion", {"none": (0.01, 0.002)})),
        write(folder / "adam", Made("adam", half, adam, draws=2)),
        write(folder / "ecd", Made("ecd", half, seed=2, draws=3, edges={"x": EDGES["x"]})),
    ]


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(comparison, "ROTATIONS", 200)
    comparison._rotations.cache_clear()
    yield lambda *given: CliRunner().invoke(
        main, ["compare", *map(str, given)], catch_exceptions=False
    )
    comparison._rotations.cache_clear()


def test_differences_come_first_then_tables(studies, run):
    result = run(*studies)
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    parts = [
        f"Reference: lion ({studies[0]})",
        f"adam ({studies[1]}) differs in: training.optimizer: lion -> adam Paired: same seed, sam",
        f"ecd ({studies[2]}) differs in: study.seed: 1 -> 2",
        "Unpaired, because of different study.seed (1 and 2). Not compared: y (only in lion).",
        "Cost and averages",
        "sigma_rel: ratio to lion",
        "rel_mse: ratio to lion",
        "|bias_rel|: difference to lion, in percent",
        "* p below 0.05 after correction",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    (row, *_) = [line for line in result.stdout.splitlines() if line.startswith("│ y")]
    assert [len(cell.split()) > 0 for cell in row.split("│")[1:-1]] == [True, True, False]


def test_pairs_of_methods_are_named(studies, run, tmp_path):
    result = run(*studies[:2], "--methods", "none=none", "--csv", tmp_path / "found.csv")
    assert result.exit_code == 0
    table = STUDIES.read(tmp_path / "found.csv")
    assert set(table["metric"]) == {
        *("sigma_rel", "rel_mse", "bias_rel", "networks_per_pass", "core_hours_per_pass")
    }
    assert f"found.csv: {len(table)} rows." in result.stdout
    refused = run(*studies[:2], "--methods", "none=step")
    assert refused.exit_code == 1
    assert "'step': none" in refused.stderr
    assert "adam" in refused.stderr


def test_the_page_is_written(studies, run, tmp_path):
    result = run(*studies, "--html", tmp_path / "page.html")
    assert result.exit_code == 0
    text = (tmp_path / "page.html").read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    refused = run(*studies, "--html", tmp_path / "nowhere" / "page.html")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("InputError: ")


def test_errors_are_messages(studies, run, tmp_path):
    assert run(tmp_path).stderr.startswith("InputError: one study alone cannot be compared")
    assert "has no config.yaml" in run(studies[0], tmp_path).stderr
