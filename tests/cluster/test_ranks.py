"""Two ranks with Horovod on this machine, started by horovodrun."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent / "rank_process.py"
HOROVODRUN = Path(sys.executable).parent / "horovodrun"


def _run(folder, size, kind):
    command = [sys.executable, SCRIPT, str(size), kind, folder]
    if size > 1:
        command = [HOROVODRUN, "-np", str(size), "--gloo", *command]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, check=False
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
