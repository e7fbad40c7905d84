from pathlib import Path

import pytest
from click.testing import CliRunner

from omniflow.cli import main
from omniflow.config import load

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "config" / "demo.yaml"


def _run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_check_prints_a_configuration_that_means_the_same(tmp_path):
    result = _run("check", DEMO)
    assert result.exit_code == 0
    (tmp_path / "resolved.yaml").write_text(result.stdout)
    assert load(tmp_path / "resolved.yaml") == load(DEMO)


def test_check_refuses_with_the_message_alone(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(DEMO.read_text().replace("iterations: 2", "iteration: 2"))
    result = _run("check", path)
    assert result.exit_code == 1
    assert "unfolding.iteration: unknown key; did you mean 'iterations'?" in result.stderr
    assert result.stdout == ""


def test_plan_counts_networks_and_jobs():
    text = " ".join(_run("plan", DEMO).stdout.split())
    # 3 passes x 2 iterations x 2 steps x (3 + 4 + 2) networks, and one pre-trained model: none is a
    # lane of parallel, and step one of hybrid.
    assert f"{3 * 2 * 2 * (3 + 4 + 2) + 1} networks" in text
    assert f"{3 * 2 * 2 * 3 + 1} jobs" in text
    assert "5,000" in text


@pytest.mark.parametrize("name", ["h1_nature.h5", "h1_simulation.h5"])
def test_inspect_names_layout_and_events(name):
    result = _run("inspect", ROOT / "tests" / "data" / name)
    assert result.exit_code == 0
    assert "H1 layout" in result.stdout
    assert "1,000 events" in result.stdout


def test_inspect_refuses_what_is_no_event_file():
    result = _run("inspect", DEMO)
    assert result.exit_code == 1
    assert "is not an HDF5 file" in result.stderr
