"""Lanes that are added in rounds, by Snakemake and in one process, on excerpts of H1 files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import snakemakes
import yaml

import omniflow
from omniflow.api.run import evaluate, run
from omniflow.config import validate
from omniflow.hdf5 import memory_map
from omniflow.tables.lanes import LANES
from omniflow.unfolding import rounds
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[2] / "tests" / "data"
# Of a target that no lanes meet, and of one that all do.
NEVER, ALWAYS = "0.0001%", "1000%"


def _config(folder: Path, name: str, method: dict) -> dict:
    files = {"data": "h1_nature.h5", "simulation": "h1_simulation.h5"}
    return {
        "study": {"name": name, "passes": 1, "output": str(folder)},
        "samples": {k: {"source": "h1", "files": [str(DATA / v)]} for k, v in files.items()},
        "classifier": {"kind": "deepsets", "width": 8, "blocks": 1},
        "training": {
            **{"optimizer": "adam", "learning_rate": 1e-2, "epochs": 1},
            **{"warmup_epochs": 0, "min_updates": 5},
        },
        "unfolding": {"iterations": 2},
        "methods": {"none": {}, "many": method},
        "observables": {"names": ["q2", "jet_pt"]},
        "uncertainties": {"data_replicas": 2, "methods": ["none"]},
        "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
    }


def _added(target: str) -> dict:
    return {"lanes": 5, "until": {"sigma_rel": target, "start": 3, "observables": ["q2"]}}


def _snakemake(folder: Path, target: str, *options: str) -> str:
    done = snakemakes.forked(folder, _config(folder, "rounds", _added(target)), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _in_process(folder: Path, name: str, method: dict) -> Plan:
    plan = Plan(validate(_config(folder, name, method)))
    run(plan)
    return plan


def _trained(folder: Path) -> dict[str, int]:
    files = (folder / "rounds" / "training").rglob("history.json")
    return {str(path): path.stat().st_mtime_ns for path in files}


def _weights(plan: Plan) -> list[np.ndarray]:
    results = [("many", "mean"), ("many", "median")]
    results += [(f"{variant}none", "none") for variant in ("", "data-1.", "data-2.")]
    files = [plan.unfolded(*result, pass_=1) for result in results]
    # Weights of the last iteration, and ratios of all.
    return [memory_map(file, name) for file in files for name in ("weight", "ratio")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of a study that was interrupted after its first round, and went on."""
    folder = tmp_path_factory.mktemp("rounds")
    first_round = folder / "rounds" / "lanes" / "many" / "round-1.json"
    _snakemake(folder, NEVER, "--", str(first_round))
    first = _trained(folder)
    said = _snakemake(folder, NEVER)
    return folder, first, said


def test_a_study_goes_on_after_its_first_round(study):
    folder, first, said = study
    assert len(first) == 2 * 2  # iterations, steps: lanes 0 to 2 are one job
    assert {path: _trained(folder)[path] for path in first} == first
    replicas = [path for path in _trained(folder) if "data-" in path]
    assert len(replicas) == 2 * 2 * 2  # and two of them
    assert len(_trained(folder)) == 2 * len(first) + len(replicas)
    # Jobs that become known are counted.
    (line,) = [line for line in said.splitlines() if " jobs in " in line]
    done, _, total, *_ = line.split()
    assert done == total
    assert not list(folder.rglob("logits.h5"))
    report = (folder / "rounds" / "report.html").read_text(encoding="utf-8")
    assert "Rounds of lanes" in report
    assert "5 lanes after 2 round(s) do NOT meet the target, sigma_rel of at most 1e-06" in report


def test_weights_are_those_of_as_many_lanes(study, tmp_path):
    """By Snakemake in rounds, in one process in rounds, and with their number given."""
    found = _weights(rounds.decided(Plan(validate(_config(study[0], "rounds", _added(NEVER))))))
    added = _in_process(tmp_path, "added", _added(NEVER))
    given = _in_process(tmp_path, "given", {"lanes": 5})
    for ours, theirs, known in zip(found, _weights(added), _weights(given), strict=True):
        assert ours.tobytes() == theirs.tobytes() == known.tobytes()
    evaluate(added)
    own = LANES.read(added.root / "lanes.csv")
    assert own.equals(LANES.read(study[0] / "rounds" / "lanes.csv"))
    assert own["lanes"].tolist() == [3, 5]
    assert own["met"].tolist() == ["no", "no"]
    assert own["following"].isna().tolist() == [False, True]


def test_more_replicas_train_only_new_ones(study):
    folder = study[0]
    config = _config(folder, "rounds", _added(NEVER))
    config["uncertainties"]["data_replicas"] = 3
    planned = snakemakes.forked(folder, config, "--dry-run").stdout
    replicas = [line for line in planned.splitlines() if "wildcards: chain=" in line]
    assert len(replicas) == 2 * 2 * 2  # training and weights of two steps, twice
    assert all("group=data-3.lanes-0-0" in line for line in replicas)


def test_another_target_trains_nothing_that_is_there(study):
    folder = study[0]
    before = _trained(folder)
    record = folder / "rounds" / "study.json"
    said = _snakemake(folder, ALWAYS, "--", str(record))
    assert _trained(folder) == before
    assert "rule train" not in said
    (row,) = LANES.read(folder / "rounds" / "lanes.csv").itertuples()
    assert (row.lanes, row.met, row.wanted) == (3, "yes", 3)
    read = omniflow.read(folder / "rounds")
    assert read.lanes_of("many").shape[0] == 3
    # The report shows what was asked for, which can be run again.
    shown = yaml.safe_load(json.loads(record.read_text())["config_yaml"])
    assert validate(shown).methods["many"].lanes == 5
    again = _snakemake(folder, ALWAYS, "--dry-run")
    assert set(re.findall(r"^(?:local)?rule (\w+):", again, re.MULTILINE)) == {"report", "all"}
