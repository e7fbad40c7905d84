"""What `omniflow plan` predicts beside what Snakemake makes of the same study."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from omniflow.config import validate
from omniflow.unfolding.estimate import rates
from omniflow.unfolding.footprint import footprint
from omniflow.unfolding.jobs import jobs
from omniflow.unfolding.plan import Plan

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
SAMPLE = {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]}
# Kinds of files, by the folders that they are in; whatever else lies above them is a table.
FOLDERS = {
    "event stores": "samples/*.h5",
    "classifier inputs": "features/*",
    "observables": "observables/*/*",
    "networks": "**/*.weights.h5",
    "histories": "**/history.json",
    "weights of steps": "training/**/step-?/weights.h5",
    "logits": "**/logits.h5",
    "checkpoints": "checkpoints/**/*.h5",
    "final weights": "unfolded/**/*.h5",
    "histograms": "histograms/*",
    "tables and report": "*.*",
    "time stamps of folders": "**/.snakemake_timestamp",
}
STAMP = ".snakemake_timestamp"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Every strategy, lanes cut into several jobs, and a pre-trained model."""
    return {
        "study": {"name": "small", "passes": 1, "output": str(tmp_path_factory.mktemp("out"))},
        "samples": {
            "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")], "events": 600},
            "simulation": SAMPLE | {"events": 600},
            "pretraining": {
                "numerator": SAMPLE | {"skip": 600, "events": 200},
                "denominator": SAMPLE | {"skip": 800},
            },
        },
        "classifier": {"kind": "deepsets", "width": 8, "blocks": 1},
        "training": {"optimizer": "adam", "epochs": 1, "warmup_epochs": 0},
        "unfolding": {"iterations": 2},
        "methods": {
            "none": {},
            "parallel": {"lanes": 3},
            "pretrained-step": {"members": 3, "start": "pretrained"},
        },
        "observables": {"names": ["q2", "log10_pt"]},
        "execution": {"networks_per_job": 2},
    }


def _snakemake(folder, config, *options):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", str(path)]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _jobs(config):
    plan = Plan(validate(config))
    return plan, jobs(plan, rates(plan))


def test_jobs_are_those_of_the_workflow(config, tmp_path):
    stdout = _snakemake(tmp_path, config, "--dry-run", "--quiet", "rules")
    rows = [line.split() for line in stdout.splitlines()]
    planned = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    found = Counter(job.rule for job in _jobs(config)[1])
    assert planned == {**found, "total": sum(found.values())}


def test_files_and_disk_are_those_of_a_finished_study(config, tmp_path):
    config = config | {"unfolding": {"iterations": 1}}
    _snakemake(tmp_path, config, "--quiet", "all")
    plan, found = _jobs(config)
    predicted = {kind.name: kind for kind in footprint(plan, found)}
    assert set(predicted) == {*FOLDERS, "logs and benchmarks", "Snakemake's notes"}
    total = predicted["logs and benchmarks"].files
    for name, pattern in FOLDERS.items():
        files = [path for path in plan.root.glob(pattern) if _counts(path, name)]
        if predicted[name].temporary:
            assert files == [], name
            continue
        assert len(files) == predicted[name].files, name
        size = sum(path.stat().st_size for path in files)
        assert size / 3 <= predicted[name].size <= 3 * size, (name, size, predicted[name].size)
        total += len(files)
    assert total == sum(path.is_file() for path in plan.root.rglob("*"))
    notes = [path for path in tmp_path.glob(".snakemake/metadata/**/*") if path.is_file()]
    assert len(notes) == predicted["Snakemake's notes"].files


def _counts(path, name):
    return path.is_file() and (path.name == STAMP) == (name == "time stamps of folders")
