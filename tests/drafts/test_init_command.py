"""The commands, as a user goes: init, check, inspect, convert."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from omniflow import config
from omniflow.cli import main
from omniflow.drafts.commented import scalar

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_from_a_file_to_event_stores(tmp_path):
    made = run("init", DATA / "nano_dy.root", "--output", "jets.yaml")
    assert made.exit_code == 0
    text = Path("jets.yaml").read_text(encoding="utf-8")
    assert f"marked TODO, {text.count('TODO: ')} time(s)" in " ".join(text.split())
    assert "TODO: there is one file" in made.stdout
    assert config.load("jets.yaml").study.name == "jets"
    assert run("check", "jets.yaml").exit_code == 0
    converted = run("convert", "jets.yaml", "--samples", "simulation")
    assert "results/jets/samples/simulation.h5 written" in converted.stdout
    assert not Path("results/jets/samples/data.h5").exists()
    again = run("init", DATA / "nano_dy.root", "--output", "jets.yaml")
    assert (again.exit_code, Path("jets.yaml").read_text(encoding="utf-8")) == (1, text)
    assert "is there already" in again.stderr
    assert run("init", DATA / "nano_dy.root", "--output", "jets.yaml", "--force").exit_code == 0


def test_names_and_roles_by_options():
    files = {"data": DATA / "h1_simulation.h5", "simulation": DATA / "h1_nature.h5"}
    options = [part for role, file in files.items() for part in (f"--{role}", file)]
    assert run("init", *options, "--name", "dis").exit_code == 0
    found = config.load("my.yaml")
    assert found.study.name == "dis"
    assert found.samples.data.files == (str(files["data"]),)
    assert run("init").exit_code == 1


def test_first_records_are_tried():
    weight = np.ones(2000)
    weight[7] = 1e5
    pd.DataFrame(
        {"x": np.arange(2000.0), "x_true": np.arange(2000.0), "weight": weight}
    ).to_parquet("a.parquet")
    assert "data, first 1,000 records: Weights: poor weights" in run("init", "a.parquet").stdout


def test_inspect_reads_files_as_init_maps_them():
    shown = " ".join(run("inspect", DATA / "nano_dy.root").stdout.split())
    assert "HLT_IsoMu24" in shown
    assert "as omniflow init maps it (NanoAOD)" in shown
    assert "of the events of particle level are measured" in shown
    shown = " ".join(run("inspect", DATA / "nano_dy.parquet", "--events", 10).stdout.split())
    assert "its first 10 records" in shown
    pd.DataFrame({"x": np.full(20, np.nan), "x_true": np.arange(20.0)}).to_parquet("a.parquet")
    shown = " ".join(run("inspect", "a.parquet").stdout.split())
    assert "refused: a.parquet: pass_detector: no event passes" in shown


@pytest.mark.parametrize(
    "text", ["yes", "a: b", "x # y", "1", "-x", "", "null", "a, b", "[x]", "é"]
)
def test_texts_survive_yaml(text):
    from omniflow.config.text import _parse

    assert _parse(f"{{ a: {scalar(text)}, b: [{scalar(text)}] }}", "x") == {"a": text, "b": [text]}
