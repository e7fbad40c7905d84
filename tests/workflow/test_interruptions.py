"""Snakemakes that are killed, interrupted or started twice, and the same command again."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from omniflow.config import load
from omniflow.events.store import provenance, verify

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
# A number that Snakemake's own YAML reads as text, a merge key, a variable in a path.
CONFIG = """
study: {name: small, passes: 1, output: "${RESULTS}/all"}
samples:
  data: &h1 {source: h1, files: [DATA/h1_nature.h5]}
  simulation: {<<: *h1, files: [DATA/h1_simulation.h5]}
training: {epochs: 1e1, optimizer: adam, min_updates: 1}
methods: {none: {}}
"""
MORE = """
training: {epochs: 2e1, learning_rate: 1e-3, warmup_epochs: 0}
unfolding: {iterations: 1}
"""
SETTINGS = ("training={warmup_epochs: 1e0, batch_size: 1e2}", "execution={checkpoint: 1e-1}")


@pytest.fixture
def folder(tmp_path):
    """A working folder with the two files of a configuration."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(CONFIG.replace("DATA", str(DATA)))
        (tmp_path / name / "b.yaml").write_text(MORE)
    return tmp_path / "one"


def _study(folder):
    return folder.parent / "results" / "all" / "small"


@contextmanager
def _snakemake(folder, cores=1):
    """Snakemake that makes one event store, in a study's working folder."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--configfile", "a.yaml", "b.yaml"]
    command += ["--config", *SETTINGS, "--", str(_study(folder) / "samples" / "data.h5")]
    environment = os.environ | {"RESULTS": str(folder.parent / "results")}
    with (
        open(folder / "log", "a") as log,
        subprocess.Popen(
            command,
            **{"cwd": folder, "env": environment, "stdout": log, "stderr": subprocess.STDOUT},
            # Shells start what runs in the background deaf to it, these tests perhaps too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
    ):
        try:
            yield process
            process.wait(timeout=120)
        finally:
            process.kill()


def _until(what, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := what():
            return found
        assert process.poll() is None, "Snakemake has ended"
        time.sleep(0.02)
    raise TimeoutError


def _signal(process, number, heard):
    """Send a signal, again after some seconds of silence as people do.

    The handler of Snakemake's log swallows an interrupt that reaches it (snakemake/logging.py).
    """

    def again():
        nonlocal last
        if heard():
            return True
        if time.monotonic() > last + 10:
            last = time.monotonic()
            process.send_signal(number)
        return False

    last = float("-inf")
    _until(again, process)


def _records(folder, kind):
    """Records of a kind in the study's lock."""
    found = []
    for path in (_study(folder) / "lock").glob(f"{kind}-*.json"):
        try:
            found.append(json.loads(path.read_text()))
        except FileNotFoundError:
            continue  # it has ended meanwhile
    return found


def _stopped_job(folder, process):
    """Process id of the job, which stands still."""
    (job,) = _until(lambda: _records(folder, "job"), process)
    os.kill(job["pid"], signal.SIGSTOP)
    return job["pid"]


def _log(folder):
    return (folder / "log").read_text()


def test_killed_and_repeated(folder, monkeypatch):
    with _snakemake(folder) as first:
        job = _stopped_job(folder, first)
        # Another one, in another working folder: refused, and nothing of the first is touched.
        before = {path: path.stat().st_mtime_ns for path in _study(folder).rglob("*")}
        with _snakemake(folder.parent / "two") as second:
            pass
        assert second.returncode == 1
        message = _log(folder.parent / "two")
        assert f"process {first.pid} on {os.uname().nodename}" in message
        assert f"rm -r {_study(folder) / 'lock'}" in message
        assert "Traceback" not in message
        assert {path: path.stat().st_mtime_ns for path in _study(folder).rglob("*")} == before
        first.kill()
    with _snakemake(folder) as again:
        # The job goes on, and nobody writes beside it.
        _until(lambda: "Waiting for jobs of a Snakemake that has died" in _log(folder), again)
        assert [record["pid"] for record in _records(folder, "job")] == [job]
        assert _records(folder, "run") == []
        os.kill(job, signal.SIGCONT)
    assert again.returncode == 0, _log(folder)
    store = _study(folder) / "samples" / "data.h5"
    verify(store)
    assert provenance(store)["events"] == 1000
    left = {path.name for path in _study(folder).iterdir()}
    assert left == {"samples", "checksums", "config.yaml", "logs", "benchmarks"}
    # The job had the configuration that `omniflow check` shows.
    monkeypatch.setenv("RESULTS", str(folder.parent / "results"))
    config = load(folder / "a.yaml", folder / "b.yaml", settings=SETTINGS)
    assert load(_study(folder) / "config.yaml") == config
    training = config.training
    assert (training.epochs, training.warmup_epochs, training.batch_size) == (20, 1, 100)


@pytest.mark.parametrize(
    ("number", "answer"),
    [(signal.SIGINT, "Terminating processes"), (signal.SIGTERM, "Will exit after finishing")],
)
def test_interrupted(folder, number, answer):
    with _snakemake(folder) as process:
        job = _stopped_job(folder, process)
        (run,) = _records(folder, "run")
        assert run["pid"] == process.pid
        _signal(process, number, lambda: answer in _log(folder))
        os.kill(job, signal.SIGCONT)
    assert process.returncode != 0, _log(folder)
    assert not (_study(folder) / "lock").exists()
