"""One algorithm, two ways in: a study that an installed Snakemake has run, and Python's.

What is made, what is left to do, and that both are equal bit by bit, on the excerpts in tests/data.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import snakemakes
import yaml

import omniflow
from omniflow import Events
from omniflow.api.run import evaluate, run
from omniflow.config import validate
from omniflow.physics.dis import h1_file
from omniflow.report import page
from omniflow.tables.catalogue import TABLES
from omniflow.unfolding.estimate import rates
from omniflow.unfolding.footprint import footprint
from omniflow.unfolding.jobs import jobs
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[2] / "tests" / "data"
PASSES = 2
SECTIONS = {
    "classifier": {"kind": "deepsets", "width": 8, "blocks": 1, "features": "dis"},
    "unfolding": {"iterations": 1},
    "training": {
        **{"optimizer": "adam", "learning_rate": 1e-2, "epochs": 1, "warmup_epochs": 0},
        **{"min_updates": 15, "batch_size": 100},
    },
    "methods": {"hybrid": {"lanes": 2, "members": 2, "aggregate": "median"}},
    "combine": ["mean", "log_mean"],
    # By name, by an expression and in Python, in bins of all kinds.
    "observables": {
        "names": ["q2", "jet_pt", "ht", "sum_pt"],
        "define": {
            "ht": {"expression": "sum(pt)", "bins": {"quantiles": 6}, "unit": "GeV"},
            "sum_pt": {"object": "shapes:scalar_sum", "edges": [5, 20]},
        },
    },
    "execution": {"networks_per_job": 4},
}
SHAPES = """\
import numpy as np

def scalar_sum(level):
    event = np.repeat(np.arange(len(level)), level.counts)
    return np.bincount(event, level.particles[:, 0], len(level))
"""
# What tells of the run and not of the result.
TIMES = {"seconds", "seconds_per_pass", "seconds_per_pass_error", "events_per_second", "waiting"}
TIMES |= {"job_seconds", "pretraining_seconds"}


# Kinds of files, by the folders that they are in; whatever else lies above them is a table.
FOLDERS = {
    "event stores": "samples/*.h5",
    "checksums of given files": "checksums/*.json",
    "classifier inputs": "features/*",
    "observables": "observables/*/*",
    "networks": "training/**/*.weights.h5",
    "histories": "training/**/history.json",
    "weights of steps": "training/**/step-?/weights.h5",
    "logits": "**/logits.h5",
    "checkpoints": "checkpoints/**/*.h5",
    "final weights": "unfolded/**/*.h5",
    "weights for histograms": "histograms/.*",
    "histograms": "histograms/*",
    "scores": "**/scores.h5",
    "second classifiers": "second_classifier/*",
    "oracle": "oracle/*",
    "tests of the response": "response/*",
    "tables and report": "*.*",
    "time stamps of folders": "**/.snakemake_timestamp",
}
STAMP = ".snakemake_timestamp"


def _without_truth(source: Path, target: Path) -> None:
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name in old:
            if name.startswith("reco"):
                old.copy(name, new)


def _config(folder: Path) -> dict:
    """Return the configuration of a study in a folder, which has the data."""
    samples = {"data": folder / "data.h5", "simulation": DATA / "h1_simulation.h5"}
    return SECTIONS | {
        "study": {"name": "small", "seed": 7, "passes": PASSES, "output": str(folder / "results")},
        "samples": {k: {"source": "h1", "files": [str(v)]} for k, v in samples.items()},
    }


def _events(name):
    """Return the events of an excerpt of H1 files."""
    return Events.joined(list(h1_file.read([str(DATA / f"h1_{name}.h5")])))


def _datasets(folder, pattern):
    """Return all datasets of the HDF5 files below a folder, by file and name."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        with h5py.File(path) as file:

            def visit(name, item, path=path):
                if isinstance(item, h5py.Dataset):
                    found[f"{path.relative_to(folder)}: {name}"] = item[...]

            file.visititems(visit)
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory, site):
    """The folder and configuration of a study that `omniflow run` of an installed package has run.

    Of pseudo-data with truth. Its jobs are processes of their own, as a user's are.
    """
    folder = tmp_path_factory.mktemp("study")
    shutil.copy(DATA / "h1_nature.h5", folder / "data.h5")
    (folder / "shapes.py").write_text(SHAPES)
    with h5py.File(folder / "weights.h5", "w") as file:
        file["up"] = np.linspace(0.5, 1.5, 1000)
    weights = {"files": [str(folder / "weights.h5")], "dataset": "up"}
    config = _config(folder) | {
        "uncertainties": {"variations": {"model": {"simulation_weights": weights}}}
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, site / "bin" / "omniflow", "run", "study.yaml", "--cores", "2"]
    result = subprocess.run(
        [*map(str, command), "--", "--quiet", "rules"],
        cwd=folder,
        capture_output=True,
        text=True,
        # Bytecode is kept: each job would compile the package anew.
        env=os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": ""},
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    done = re.findall(r"^(\d+) of (\d+) jobs in ", result.stderr, re.MULTILINE)
    assert len(done) == 1
    assert done[0][0] == done[0][1]
    return folder, config


@pytest.fixture(scope="module")
def from_files(study):
    return study[0] / "results" / "small"


@pytest.fixture(scope="module")
def from_python(study):
    return omniflow.unfold(_events("nature"), _events("simulation"), config=study[0] / "study.yaml")


def test_stores_and_weights_are_bitwise_equal(from_files, from_python):
    for pattern, least in (
        ("samples/*.h5", 10),
        ("features/*.h5", 10),
        ("training/**/weights.h5", 8),
        ("unfolded/**/*.h5", 12),
        ("histograms/*.h5", 20),
        ("training/**/*.weights.h5", 50),
    ):
        ours, theirs = (_datasets(p, pattern) for p in (from_python.folder, from_files))
        assert len(theirs) >= least, pattern
        assert list(ours) == list(theirs)
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype
            assert ours[name].tobytes() == values.tobytes(), name


def test_tables_are_equal(from_files, from_python):
    names = sorted(path.stem for path in from_files.glob("*.csv"))
    assert set(names) == set(from_python.tables)
    for name in names:
        theirs = TABLES[name].read(from_files / f"{name}.csv")
        ours = from_python.tables[name]
        kept = [column for column in theirs if column not in TIMES]
        pd.testing.assert_frame_equal(ours[kept], theirs[kept], check_exact=True)


def test_the_record_has_the_bins_of_the_tables(from_files):
    record = json.loads((from_files / "study.json").read_text(encoding="utf-8"))
    axes = json.loads((from_files / "axes.json").read_text(encoding="utf-8"))["axes"]
    assert [{key: o[key] for key in axes[0]} for o in record["observables"]] == axes
    metrics = TABLES["metrics"].read(from_files / "metrics.csv")
    for observable in record["observables"]:
        edges = np.array(observable["edges"])
        rows = metrics[metrics["observable"] == observable["name"]]
        assert len(rows)
        np.testing.assert_array_equal(rows["low"], edges[rows["bin"]])
        np.testing.assert_array_equal(rows["high"], edges[rows["bin"] + 1])


def test_what_is_read_from_the_folder_is_what_the_program_has(from_files, from_python):
    study = omniflow.read(from_files)
    assert study.headline == from_python.headline == ("hybrid", "mean")
    # Ids are the numbers of the records, so that both are in the order of the file.
    np.testing.assert_array_equal(study.weights, from_python.weights)
    np.testing.assert_array_equal(study.ensemble, from_python.ensemble)
    assert study.ensemble.shape == (PASSES, 1000)
    place = {"combine": "log_mean", "pass_": 2, "iteration": 1}
    np.testing.assert_array_equal(study.weights_of(**place), from_python.weights_of(**place))
    assert np.std(study.weights) > 1e-3
    assert not np.array_equal(*study.ensemble)
    for role in ("data", "simulation"):
        ours, theirs = from_python.events(role), study.events(role)
        np.testing.assert_array_equal(ours.event_id, theirs.event_id)
        np.testing.assert_array_equal(ours.particle.particles, theirs.particle.particles)
    assert study.scale == from_python.scale


def test_no_logits_are_left(from_files, from_python):
    assert not list(from_files.rglob("logits.h5"))
    assert not list(from_python.folder.rglob("logits.h5"))


def test_files_are_those_that_the_plan_counts(study):
    plan = Plan(validate(study[1], root=study[0]))
    predicted = {kind.name: kind for kind in footprint(plan, jobs(plan, rates(plan)))}
    assert set(predicted) == {*FOLDERS, "logs and benchmarks", "Snakemake's notes"}
    total = predicted["logs and benchmarks"].files
    for name, pattern in FOLDERS.items():
        stamps = name == "time stamps of folders"
        files = [path for path in plan.root.glob(pattern) if path.is_file()]
        files = [path for path in files if (path.name == STAMP) == stamps]
        if predicted[name].temporary:
            assert files == [], name
            continue
        assert len(files) == predicted[name].files, name
        size = sum(path.stat().st_size for path in files)
        assert size / 3 <= predicted[name].size <= 3 * size, (name, size, predicted[name].size)
        total += len(files)
    assert total == sum(path.is_file() for path in plan.root.rglob("*"))
    notes = [path for path in study[0].glob(".snakemake/metadata/**/*") if path.is_file()]
    assert len(notes) == predicted["Snakemake's notes"].files


def test_the_report_is_there(from_files):
    report = (from_files / "report.html").read_text(encoding="utf-8")
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert report.rstrip().endswith("</html>")
    assert "Q² (q2)" in report


def test_a_checkout_goes_on_where_an_installation_has_ended(study):
    """Where the workflow lies makes nothing anew, and nothing is left to do."""
    result = snakemakes.forked(*study, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "Nothing to be done" in result.stdout + result.stderr


def test_another_binning_trains_nothing(study):
    folder, config = study
    changed = config | {"observables": {"names": ["q2", "eta_e"]}, "combine": ["median", "mean"]}
    result = snakemakes.forked(folder, changed, "--dry-run")
    planned = result.stdout + result.stderr
    assert result.returncode == 0, planned
    assert "rule histograms:" in planned
    for rule in ("train", "aggregate", "event_store", "features"):
        assert f"rule {rule}:" not in planned


def test_another_definition_trains_nothing(study):
    """Changed text of a module runs again what rests on it; a label and edges cluster nothing."""
    folder, config = study
    (folder / "shapes.py").write_text(SHAPES.replace("0], len", "0] * 2, len"))
    edited = snakemakes.forked(folder, config, "--dry-run").stdout
    (folder / "shapes.py").write_text(SHAPES)
    define = config["observables"]["define"]
    bins = {"ht": define["ht"] | {"bins": {"quantiles": 5}, "label": "H_T"}}
    section = config["observables"] | {"define": define | bins}
    binned = snakemakes.forked(folder, config | {"observables": section}, "--dry-run").stdout
    for planned, computed in ((edited, True), (binned, False)):
        assert ("rule observables:" in planned) == computed
        assert "rule axes:" in planned
        assert "rule histograms:" in planned
        for rule in ("train", "aggregate", "event_store", "features", "combine"):
            assert f"rule {rule}:" not in planned


def test_more_passes_train_only_new_ones(study):
    """Neither those that are there nor the variation; of replicas: test_rounds_of_lanes.py."""
    folder, config = study
    changed = config | {"study": config["study"] | {"passes": PASSES + 1}}
    planned = snakemakes.forked(folder, changed, "--dry-run").stdout
    passes = [line for line in planned.splitlines() if "wildcards: chain=" in line]
    assert len(passes) == 2 * 2  # training and weights of two steps
    assert all(f"pass_={PASSES + 1}" in line for line in passes)


def test_given_files_count_by_their_bytes(study):
    """As large files do, which Snakemake takes for changed when they have a new time stamp."""
    folder, config = study
    files = [folder / name for name in ("data.h5", "weights.h5")]
    content = [file.read_bytes() for file in files]
    for file, old in zip(files, content, strict=True):
        file.unlink()
        file.write_bytes(old)
    result = snakemakes.forked(folder, config, "--dry-run", "--max-checksum-file-size", "0")
    assert "Nothing to be done" in result.stdout + result.stderr
    for file, old in zip(files, content, strict=True):
        file.write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
        os.utime(file, ns=(10**18, 10**18))  # older than all that was made of it
    planned = snakemakes.forked(folder, config, "--dry-run").stdout
    for file, old in zip(files, content, strict=True):
        file.write_bytes(old)
    lines = planned.splitlines()
    assert [line for line in lines if "wildcards: role=" in line and "level" not in line] == [
        "    wildcards: role=data"
    ] * 3  # event store, observables, and the test of the detector response
    variation = [line for line in lines if "wildcards: chain=" in line and "=model." in line]
    assert len(variation) == 2 * 2
    # Bytes that are back are those that everything was made of.
    assert "Nothing to be done" in snakemakes.forked(folder, config, "--dry-run").stdout


def test_snakemake_report_carries_ours(study):
    folder, config = study
    report = folder / "snakemake-report.html"
    result = snakemakes.forked(folder, config, "--report", str(report))
    assert result.returncode == 0, result.stderr
    assert "report.html" in report.read_text(encoding="utf-8")


def test_wrong_configuration_names_key_and_remedy(tmp_path):
    config = _config(tmp_path) | {"training": SECTIONS["training"] | {"learning_rat": 1}}
    result = snakemakes.forked(tmp_path, config, "--dry-run")
    assert result.returncode != 0
    message = result.stdout + result.stderr
    assert "training.learning_rat: unknown key; did you mean 'learning_rate'?" in message
    assert "Traceback" not in message


def test_data_without_particle_level_conditional_means_and_folds(tmp_path, undrawn):
    _without_truth(DATA / "h1_nature.h5", tmp_path / "data.h5")
    config = _config(tmp_path) | {
        "methods": {"none": {}},
        "training": SECTIONS["training"] | {"folds": 2},
        # And with every step that there is.
        "unfolding": {
            **{"iterations": 1, "particle_level": "pass_gen"},
            **{"misses": "conditional_mean", "fakes": "conditional_mean"},
        },
        "observables": {"names": ["q2", "log10_pt", "jet_pt"]},
    }
    config["study"]["passes"] = 1
    planned = snakemakes.forked(tmp_path, config, "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    for step in ("1", "1b", "2", "2b"):
        assert f"step={step}, block=0" in planned.stdout
    # The jobs themselves in this process, which saves their starts.
    plan = Plan(validate(config))
    run(plan)
    evaluate(plan)
    page.write(plan.root, plan.table("report.html"))
    root = plan.root
    metrics = pd.read_csv(root / "metrics.csv")
    assert metrics[["truth", "bias_rel", "rel_mse", "mse_rel_paper"]].isna().all().all()
    assert metrics[["mean", "prior"]].notna().all().all()
    bayes = pd.read_csv(root / "bayes.csv")
    assert bayes[["truth", "bias_rel"]].isna().all().all()
    assert bayes[["content", "error", "prior"]].notna().all().all()
    assert pd.read_csv(root / "detector_summary.csv").td.notna().all()
    assert json.loads((root / "study.json").read_text())["has_truth"] is False
    report = (root / "report.html").read_text(encoding="utf-8")
    for step in ("1", "1b", "2", "2b"):
        assert f"scratch-1, step {step}" in report
    steps, timing = (pd.read_csv(root / f"{name}.csv", dtype=str) for name in ("steps", "timing"))
    assert sorted(steps.step) == ["1", "1b", "2", "2b"]
    assert sorted(timing.step + timing.fold) == ["11", "12", "1b1", "1b2", "21", "22", "2b1", "2b2"]
    assert set(steps[steps.step == "1b"].events) == {"25"}
    assert set(steps[steps.step == "2b"].events) == {"200"}
    assert " lacks " not in report
    assert "learns the mean step-1 ratio" in report
    assert "networks have no scores" not in report
    classifiers = pd.read_csv(root / "classifiers.csv")
    assert sorted(zip(classifiers.step, classifiers.fold, strict=True)) == [
        (step, fold) for step in (1, 2) for fold in (1, 1, 2, 2)
    ]
