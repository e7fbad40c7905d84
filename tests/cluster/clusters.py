"""Studies on the Slurm of the tests: running them, disturbing them, comparing their numbers."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
SLURM = ROOT / "tests" / "cluster" / "slurm.sh"
IMPATIENT = ROOT / "tests" / "cluster" / "impatient.py"
# Without an accounting database; waiting shorter, because the file system is local.
OPTIONS = ["--slurm-status-command", "squeue", "--slurm-no-account", "--latency-wait", "10"]
STEP_1 = "results/small/training/scratch-1/pass-1/lanes-0-1/iteration-1/step-1/weights.h5"


def config(**execution):
    """A study of one pass, one iteration and two lanes, whose jobs train for some seconds."""
    return {
        "study": {"name": "small", "passes": 1},
        "samples": {
            "data": {"source": "h1", "files": [str(DATA / "h1_nature.h5")]},
            "simulation": {"source": "h1", "files": [str(DATA / "h1_simulation.h5")]},
        },
        "classifier": {"kind": "deepsets", "width": 16, "blocks": 2},
        "training": {
            **{"optimizer": "adam", "learning_rate": 1e-3, "warmup_epochs": 0},
            **{"epochs": 400, "patience": 400, "min_updates": 1},
        },
        "unfolding": {"iterations": 1},
        "methods": {"parallel": {"lanes": 2}},
        "observables": {"names": ["q2", "log10_pt", "jet_pt"]},
        # Jobs like any other training.
        "diagnostics": {"second_classifier": False, "oracle": False, "response": False},
        # A checkpoint several times a second.
        "execution": {"networks_per_job": 2, "checkpoint": 0.005} | execution,
    }


OURS = """
from typing import Literal
from omniflow.physics.dis.h1 import H1

class Ours(H1):
    source: Literal["ours"]
"""


def installed(folder):
    """A package whose entry point `ours` is a source that reads what h1 reads: its folder."""
    info = folder / "ours-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "ours_of_a_package.py").write_text(OURS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[omniflow.source]\nours = ours_of_a_package:Ours\n")
    return folder


def with_source(content, name):
    """A study's configuration with another source of its samples."""
    samples = {role: sample | {"source": name} for role, sample in content["samples"].items()}
    return content | {"samples": samples}


def command(profile, *options):
    """The command line of a study, to be started in its folder."""
    base = [sys.executable, *(["-m", "snakemake"] if profile == "local" else [str(IMPATIENT)])]
    base += [
        "--profile",
        str(ROOT / "profiles" / profile),
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--configfile",
        "config.yaml",
    ]
    return base + (OPTIONS if profile == "slurm" else []) + list(options)


def run(folder, profile, *options):
    """Run a study to its end; the result has status and output."""
    return subprocess.run(
        command(profile, *options),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )


def finish(folder, profile, *options):
    """Run a study, which must succeed."""
    result = run(folder, profile, *options)
    assert result.returncode == 0, result.stdout[-6000:] + logs(folder)
    return result.stdout


@contextmanager
def started(folder, *options):
    """A study that runs on Slurm meanwhile; it is waited for at the end."""
    with open(folder / "snakemake.log", "a") as log:
        process = subprocess.Popen(
            command("slurm", *options), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield process
            process.wait(timeout=900)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            drain()


def logs(folder):
    """What Slurm's logs and those of the jobs say."""
    files = [*folder.glob(".snakemake/slurm_logs/**/*.log"), *folder.glob("results/*/logs/*.log")]
    return "".join(f"\n--- {file}\n{file.read_text()[-1500:]}" for file in files)


def write_config(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


def with_samples(reference, folder):
    """Copy a finished study without its trainings and results: the samples are prepared."""
    root = folder / "results" / "small"
    for name in ("samples", "features", "observables"):
        shutil.copytree(reference / "results" / "small" / name, root / name)
    shutil.copytree(reference / ".snakemake", folder / ".snakemake")
    shutil.copy(reference / "config.yaml", folder)
    return folder


# -- disturbances --------------------------------------------------------------------------------


def trainings(folder):
    """Process ids of the trainings of a study."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            python = words[0].endswith(b"python") and any(w.endswith(b"/train.py") for w in words)
            if python and (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
        except OSError:
            continue  # it has ended meanwhile
    return sorted(found)


def length_of_trainings(folder):
    """Processor seconds of the shortest job of a step in a finished study."""
    files = (folder / "results/small/benchmarks").glob("train-scratch-1-*.tsv")
    return min(float(pd.read_csv(file, sep="\t")["cpu_time"].iloc[0]) for file in files)


def wait_for(what, process=None, seconds=120):
    """Wait until `what()` is true, and return it; None when `process` ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        if process is not None and process.poll() is not None:
            return None
        time.sleep(0.1)
    raise TimeoutError(f"nothing after {seconds} s")


def kill(pid, number=signal.SIGKILL):
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def jobs():
    """Ids of the Slurm jobs that wait or run."""
    states = ["--states", "PENDING,RUNNING,COMPLETING"]
    result = subprocess.run(
        ["squeue", "--noheader", "--format", "%A", *states],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


def memory(job):
    """What a Slurm job, ended or not, has asked for."""
    command = ["squeue", "--noheader", "--states", "all", "--jobs", job, "--format", "%m"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def drain():
    """Wait until no Slurm job is left."""
    wait_for(lambda: not jobs(), seconds=300)


def checkpoints(folder):
    """Where the trainings of a study stand, by lane and step; outputs are no longer here."""
    found = {}
    with suppress(OSError):  # files are written anew, and removed, meanwhile
        for path in (folder / "results/small/checkpoints/scratch-1").rglob("iteration-*.h5"):
            words = path.stem.split("-")  # iteration-1-step-1-lane-0-...
            with h5py.File(path) as h5file:
                found[int(words[5]), int(words[3])] = json.loads(h5file["progress"][()])
    return found


def processor_seconds(pid):
    """Processor time of a process, which does not depend on what else the machine does."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.inf  # it has ended
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def begun(folder):
    """Epochs of the trainings that are past their first and not at their end."""
    states = checkpoints(folder).items()
    return {
        key: state["epoch"] for key, state in states if state["epoch"] > 1 and not state["finished"]
    }


def seconds(folder):
    """How long each network trained, which tells trainings of the same numbers apart."""
    return {key: summary["seconds"] for key, summary in summaries(folder).items()}


def summaries(folder):
    """What the histories of a study say of each network, by lane and step."""
    found = {}
    for path in (folder / "results" / "small" / "training").rglob("history.json"):
        for record in json.loads(path.read_text())["networks"]:
            network = record["network"]
            found[network["lane"], network["step"]] = record["summary"]
    return found


# -- numbers -------------------------------------------------------------------------------------


def datasets(file):
    """All datasets of an HDF5 file by name."""
    found = {}
    with h5py.File(file) as h5file:
        h5file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def assert_same_file(one, other):
    """Both files hold the same datasets, bit by bit."""
    first, second = datasets(one), datasets(other)
    assert first.keys() == second.keys()
    for name in first:
        assert np.array_equal(first[name], second[name], equal_nan=True), f"{one}: {name}"


def assert_same_results(one, other):
    """Two studies have the same final weights and metrics, bit by bit."""
    roots = [folder / "results" / "small" for folder in (one, other)]
    files = [sorted(p.relative_to(root) for p in root.glob("unfolded/*/*/*.h5")) for root in roots]
    assert files[0]
    assert files[0] == files[1]
    for file in files[0]:
        assert_same_file(roots[0] / file, roots[1] / file)
    tables = [pd.read_csv(root / "metrics.csv") for root in roots]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def left_over(folder):
    """Files that are not complete."""
    return list(folder.rglob(".tmp-*"))
