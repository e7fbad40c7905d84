"""One algorithm, two ways in: a study from Python, and the same one by Snakemake from files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import omniflow
from omniflow import files

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


@pytest.fixture(scope="module")
def from_files(tmp_path_factory):
    """The folder of a study that Snakemake has run."""
    folder = tmp_path_factory.mktemp("files")
    samples = {"data": "h1_nature.h5", "simulation": "h1_simulation.h5"}
    config = SECTIONS | {
        "study": {
            **{"name": "same", "seed": SEED, "passes": PASSES, "output": str(folder / "results")}
        },
        "samples": {k: {"source": "h1", "files": [str(DATA / v)]} for k, v in samples.items()},
        "unfolding": {"iterations": ITERATIONS},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "config.yaml"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    # Jobs start the `python` that they find first.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    options = {"cwd": folder, "env": os.environ | {"PATH": path}}
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "results" / "same"


@pytest.fixture(scope="module")
def from_python(h1):
    return omniflow.unfold(
        h1("nature"),
        h1("simulation"),
        seed=SEED,
        passes=PASSES,
        iterations=ITERATIONS,
        **SECTIONS,
    )


def test_stores_and_weights_are_bitwise_equal(from_files, from_python, datasets):
    for pattern, least in (
        ("samples/*.h5", 10),
        ("features/*.h5", 10),
        ("training/**/weights.h5", 8),
        ("unfolded/**/*.h5", 12),
        ("histograms/*.h5", 20),
        ("training/**/*.weights.h5", 50),
    ):
        ours, theirs = (datasets(p, pattern) for p in (from_python.folder, from_files))
        assert len(theirs) >= least, pattern
        assert list(ours) == list(theirs)
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype
            assert ours[name].tobytes() == values.tobytes(), name


def test_tables_are_equal(from_files, from_python):
    names = sorted(path.stem for path in from_files.glob("*.csv"))
    assert set(names) == set(from_python.tables)
    for name in names:
        theirs = files.read_csv(from_files / f"{name}.csv")
        ours = from_python.tables[name]
        kept = [column for column in theirs if column not in TIMES]
        pd.testing.assert_frame_equal(ours[kept], theirs[kept], check_exact=True)


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
