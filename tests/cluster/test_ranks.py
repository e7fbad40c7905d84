"""Two ranks with Horovod on this machine, started by horovodrun."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from omniflow.training.checkpoint import Checkpoint

SCRIPT = Path(__file__).parent / "rank_process.py"
HOROVODRUN = Path(sys.executable).parent / "horovodrun"


def _run(folder, size, kind, variables=None):
    command = [sys.executable, SCRIPT, str(size), kind, folder]
    if size > 1:
        command = [HOROVODRUN, "-np", str(size), "--gloo", *command]
    return subprocess.run(
        list(map(str, command)),
        env=os.environ | (variables or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-10), ("lion", 0.02)])
def test_two_ranks_give_what_one_gives(tmp_path, kind, tolerance):
    """Bitwise up to the order of sums; Lion turns rounding into whole steps of its rate."""
    for size in (1, 2):
        done = _run(tmp_path, size, kind)
        assert done.returncode == 0, done.stderr[-3000:]
    alone, first, second = (np.load(tmp_path / f"{kind}-{n}.npz") for n in ("1-0", "2-0", "2-1"))
    for name in alone.files:
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], alone[name], atol=tolerance)
    assert (alone["losses"][:, -1] < alone["losses"][:, 0] - 0.05).all()


def test_a_rank_that_dies_ends_the_job(tmp_path):
    begin = time.monotonic()
    done = _run(tmp_path, 2, "die")
    assert time.monotonic() - begin < 60 + 30  # a minute, and the time to start
    assert done.returncode
    assert "Exit code: 9" in done.stderr
    assert "[0]<stderr>:RankError: rank 0 of 2 on" in done.stderr, done.stderr[-6000:]
    assert "another rank has ended" in done.stderr
    assert "[0]<stderr>:Traceback" not in done.stderr
    # Rank 1 died in its 50th update, and rank 0 has saved where both were.
    progress = Checkpoint(tmp_path / "die-0.h5", "key").read().progress
    assert (progress["epoch"], progress["update"]) == (1, 49)
    assert not (tmp_path / "die-1.h5").exists()


# Horovod's own patience is shorter than the time by which rank 1 is late.
LATE = {"HOROVOD_GLOO_TIMEOUT_SECONDS": "4"}


def test_a_late_rank_is_waited_for(tmp_path):
    done = _run(tmp_path, 2, "late", LATE)
    assert done.returncode == 0, done.stderr[-3000:]


def test_tasks_of_slurm_meet_and_leave_no_file(tmp_path):
    """Two processes with the variables that srun gives its tasks."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text("#!/bin/sh\necho 127.0.0.1\n")
    scontrol.chmod(0o755)
    folder = tmp_path / "study"
    folder.mkdir()
    # Of the same job before it was requeued; nobody answers there.
    (folder / "ranks-7-0.txt").write_text("127.0.0.1 9 omniflow-old\n", encoding="utf-8")
    step = {"JOB_ID": 7, "STEP_ID": 0, "NTASKS": 2, "STEP_NUM_TASKS": 2, "NODEID": 0}
    step |= {"STEP_TASKS_PER_NODE": "2", "STEP_NODELIST": "node1"}
    environment = os.environ | LATE | {f"SLURM_{name}": str(v) for name, v in step.items()}
    environment["PATH"] = f"{scontrol.parent}:{environment['PATH']}"
    tasks = [
        subprocess.Popen(
            [sys.executable, SCRIPT, "2", "late", folder],
            env=environment | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    found = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], "\n".join(found)[-3000:]
    assert not list(folder.iterdir())
