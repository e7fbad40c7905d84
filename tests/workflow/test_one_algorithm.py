"""One algorithm, two ways in: a study from Python, and the same one by an installed Snakemake."""

import json
import os
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
from omniflow.physics.dis import h1_file
from omniflow.tables.catalogue import TABLES

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
SECTIONS = {
    "classifier": {"kind": "deepsets", "width": 8, "blocks": 1, "features": "dis"},
    "training": {
        **{"optimizer": "adam", "learning_rate": 1e-2, "epochs": 1, "warmup_epochs": 0},
        **{"min_updates": 15, "batch_size": 100},
    },
    "methods": {"hybrid": {"lanes": 2, "members": 2, "aggregate": "median"}},
    "combine": ["mean", "log_mean"],
    "observables": {"names": ["q2", "jet_pt"]},
    "execution": {"networks_per_job": 4},
}
SEED, PASSES, ITERATIONS = 7, 2, 2
# What tells of the run and not of the result.
TIMES = {"seconds", "seconds_per_pass", "seconds_per_pass_error", "events_per_second", "waiting"}
TIMES |= {"job_seconds", "pretraining_seconds"}


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
def from_files(tmp_path_factory, site):
    """The folder of a study that the `omniflow run` of an installed package has run."""
    folder = tmp_path_factory.mktemp("files")
    samples = {"data": "h1_nature.h5", "simulation": "h1_simulation.h5"}
    config = SECTIONS | {
        "study": {"name": "same", "seed": SEED, "passes": PASSES},
        "samples": {k: {"source": "h1", "files": [str(DATA / v)]} for k, v in samples.items()},
        "unfolding": {"iterations": ITERATIONS},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, site / "bin" / "omniflow", "run", "study.yaml", "--cores", "2"]
    result = subprocess.run(
        [*map(str, command), "--", "--quiet", "all"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(site)},
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "results" / "same"


@pytest.fixture(scope="module")
def from_python():
    return omniflow.unfold(
        _events("nature"),
        _events("simulation"),
        seed=SEED,
        passes=PASSES,
        iterations=ITERATIONS,
        **SECTIONS,
    )


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


def test_a_checkout_goes_on_where_an_installation_has_ended(from_files):
    """Where the workflow lies makes nothing anew."""
    folder = from_files.parents[1]
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    result = snakemakes.forked(folder, config, "--dry-run")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Nothing to be done" in result.stdout + result.stderr
