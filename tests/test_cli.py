import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from omniflow import workflow
from omniflow.cli import main
from omniflow.config import load
from omniflow.training import runtime

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "config" / "paper.yaml"
DEMO = ROOT / "config" / "demo.yaml"


def _run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_check_prints_a_configuration_that_means_the_same(tmp_path):
    result = _run("check", DEMO)
    assert result.exit_code == 0
    (tmp_path / "resolved.yaml").write_text(result.stdout)
    assert load(tmp_path / "resolved.yaml") == load(DEMO)


def test_check_notes_what_nothing_here_can_train(monkeypatch):
    monkeypatch.setattr(runtime, "installed", lambda: False)
    result = _run("check", DEMO, "-C", "execution={engine: tensorflow}")
    assert result.exit_code == 0
    assert "Note: TensorFlow is needed here" in result.stderr
    assert "pip install 'omniflow[cpu]'" in result.stderr


def test_run_becomes_snakemake(monkeypatch):
    monkeypatch.setattr(workflow.os, "execve", lambda *command: started.append(command))
    started = []
    options = ["--profile", "slurm", "--cores", 3, "-C", "study={name: x}"]
    assert _run("run", DEMO, PAPER, *options, "--", "--dry-run", "a target").exit_code == 0
    ((program, command, environment),) = started
    assert program == sys.executable
    assert command[1:4] == ["-P", "-m", "snakemake"]
    assert command[4:] == [
        *("--configfile", str(DEMO), str(PAPER), "--config", "study={name: x}"),
        *("--profile", str(ROOT / "profiles" / "slurm"), "--cores", "3"),
        *("--snakefile", str(ROOT / "Snakefile"), "--dry-run", "a target"),
    ]
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_run_takes_profiles_of_ones_own_and_the_local_one_by_default():
    assert "./local" in workflow.command([DEMO], profile="./local")
    assert str(ROOT / "profiles" / "local") in workflow.command([DEMO])


def test_run_refuses_what_cannot_be_started(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = _run("run", "nothing.yaml")
    assert result.exit_code == 1
    assert result.stderr.startswith("ConfigError: nothing.yaml: cannot be read")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert "has no `python` beside" in _run("run", DEMO).stderr
    monkeypatch.setattr(workflow, "find_spec", lambda name: None)
    assert "pip install 'omniflow[workflow]'" in _run("run", DEMO).stderr
    monkeypatch.setattr(workflow, "PACKAGE", tmp_path / "site-packages" / "omniflow")
    assert "installed without its workflow" in _run("run", DEMO).stderr


def test_check_refuses_with_the_message_alone(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(DEMO.read_text().replace("iterations: 2", "iteration: 2"))
    result = _run("check", path)
    assert result.exit_code == 1
    assert "unfolding.iteration: unknown key; did you mean 'iterations'?" in result.stderr
    assert result.stdout == ""


def test_the_page_on_scaling_shows_what_plan_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no event files, and nothing measured
    monkeypatch.setenv("COLUMNS", "100")
    printed = _run("plan", PAPER, "--workers", 64).stdout
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    block = page.partition("\nprints\n\n")[2].partition("\n\nHow to read it")[0]
    assert block.splitlines() == [f"    {line}".rstrip() for line in printed.splitlines()], (
        "replace the block by the output of "
        "`COLUMNS=100 omniflow plan config/paper.yaml --workers 64`, indented by 4 spaces"
    )


def test_plan_counts_networks_and_jobs():
    text = " ".join(_run("plan", DEMO).stdout.split())
    # 3 passes x 2 iterations x 2 steps x (3 + 4 + 2) networks, and one pre-trained model: none is a
    # lane of parallel, and step one of hybrid.
    # Two second classifiers of five methods and of the simulation before unfolding, and the oracle.
    assert f"{3 * 2 * 2 * (3 + 4 + 2) + 1 + 12 + 1} networks" in text
    assert f"{3 * 2 * 2 * 3 + 1 + 6 + 1} jobs" in text
    assert "5,000" in text


def test_plan_of_the_papers_study_needs_no_files():
    text = " ".join(_run("plan", PAPER, "--rate", 10_000).stdout.split())
    # 10 passes, 5 iterations of 2 steps, 4 methods of 5 networks, 50 pre-trained models, two second
    # classifiers of five methods and of the simulation before unfolding, and the oracle.
    assert f"{10 * 5 * 2 * 4 * 5 + 50 + 12 + 1:,} networks" in text
    assert "simulation: data/rapgap.h5 is missing; counted as the 5,000,000 records" in text
    assert "the given rate: 10,000 events/s" in text
    # Pairs of step 1 (52% of 5.25 million) and 2; 100 epochs of 88% and the work around them.
    hours = 1000 * (0.52 * 5.25e6 + 5e6) * (100 * 0.88 + 1.2 / 2.5) / 1e4 / 3600
    hours += 50 * 0.52 * 7e5 * (100 * 0.88 + 1.2 / 2.5) / 1e4 / 3600
    # Second classifiers: the data and twice as many simulated events, 52% of them and all.
    hours += 6 * 1.52 * 7.5e5 * (100 * 0.88 + 1.2 / 2.5) / 1e4 / 3600
    # The oracle: data and simulation, all at particle level.
    hours += 5.25e6 * (100 * 0.88 + 1.2 / 2.5) / 1e4 / 3600
    assert f"at most {hours:,.1f} GPU hours" in text


def test_plan_shows_wall_times_around_the_workers():
    table = _run("plan", DEMO, "--workers", 8).stdout.split("Wall time")[1].split("Simulated")[0]
    rows = [line.split("│")[1:4] for line in table.splitlines() if line.startswith("│")]
    assert [int(row[0]) for row in rows] == [2, 4, 8, 16, 32]


def test_plan_refuses_fewer_workers_than_ranks(tmp_path):
    path = tmp_path / "ranks.yaml"
    path.write_text(DEMO.read_text().replace("networks_per_job: 5", "ranks: 4"))
    result = _run("plan", path, "--workers", 3)
    assert result.exit_code == 1
    assert "--workers 3: one training needs 4" in result.stderr


@pytest.mark.parametrize("option", [("--workers", 0), ("--rate", 0), ("--rate", -1)])
def test_plan_refuses_impossible_options(option):
    assert _run("plan", DEMO, *option).exit_code == 2


@pytest.mark.parametrize("name", ["h1_nature.h5", "h1_simulation.h5"])
def test_inspect_names_layout_and_events(name):
    result = _run("inspect", ROOT / "tests" / "data" / name)
    assert result.exit_code == 0
    assert "H1 layout" in result.stdout
    assert "1,000 events" in result.stdout


def test_inspect_refuses_what_is_no_event_file():
    result = _run("inspect", ROOT / "README.md")
    assert result.exit_code == 1
    assert "README.md: is neither an event store nor" in result.stderr


def test_inspect_shows_the_samples_of_a_configuration(tmp_path):
    files = {
        role: str(ROOT / "tests" / "data" / f"h1_{role}.h5") for role in ("nature", "simulation")
    }
    config = {
        "study": {"name": "small", "output": str(tmp_path / "results")},
        "samples": {
            "data": {"source": "h1", "files": [files["nature"]]},
            "simulation": {"source": "h1", "files": [files["simulation"]]},
        },
        "methods": {"none": {}},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(config))
    result = _run("inspect", tmp_path / "study.yaml", "--events", 50)
    assert result.exit_code == 0
    for word in ("data: ", "simulation: ", "50 events", "misses", "GeV^2"):
        assert word in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
    result = _run("inspect", DEMO)
    assert result.stdout.count("generated when the study runs") == 4


def test_files_and_settings_on_top_of_a_configuration(tmp_path):
    (tmp_path / "more.yaml").write_text("training: {epochs: 2e1, patience: 4}\n")
    settings = ["training={epochs: 1e1}", "study={passes: 7}"]
    options = [part for setting in settings for part in ("--config", setting)]
    result = _run("check", DEMO, tmp_path / "more.yaml", *options)
    assert result.exit_code == 0
    (tmp_path / "resolved.yaml").write_text(result.stdout)
    found = load(tmp_path / "resolved.yaml")
    assert found == load(DEMO, tmp_path / "more.yaml", settings=settings)
    assert (found.training.epochs, found.training.patience, found.study.passes) == (10, 4, 7)
    assert found.methods == load(DEMO).methods
    planned = _run("plan", DEMO, "-C", "methods={new: {lanes: 9}}").stdout
    assert "new" in planned
    wrong = _run("check", DEMO, "-C", "training={epoch: 3}")
    assert wrong.exit_code == 1
    assert "demo.yaml, --config: 1 problem(s)" in wrong.stderr


def test_paths_of_the_command_line_are_expanded(tmp_path, monkeypatch):
    data = ROOT / "tests" / "data"
    monkeypatch.setenv("HOME", str(data))
    monkeypatch.setenv("EVENTS", "h1_nature")
    monkeypatch.delenv("ABSENT", raising=False)
    for path in ("~/h1_nature.h5", "$HOME/${EVENTS}.h5"):
        result = _run("inspect", path)
        assert result.exit_code == 0
        assert "1,000 events" in result.stdout
    for arguments in (("check", "$ABSENT/a.yaml"), ("closure", "$ABSENT/results")):
        result = _run(*arguments)
        assert result.exit_code == 2
        assert "the environment variable ABSENT is not set" in result.stderr
    # What a shell has found is there as it is written.
    (tmp_path / "a$ABSENT.h5").symlink_to(data / "h1_nature.h5")
    assert _run("inspect", tmp_path / "a$ABSENT.h5").exit_code == 0
