import os
import sys

import pytest

from omniflow.stages import command


def _job(plan, step):
    raise AssertionError("there is no configuration")


def test_a_log_begins_with_where_the_job_runs(monkeypatch, capsys, tmp_path):
    """Before anything can go wrong: the first block of a log is its last one on a full disk."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(
        sys, "argv", ["train.py", "--config", str(tmp_path / "no.yaml"), "--step=1"]
    )
    with pytest.raises(SystemExit, match="ConfigError"):
        command.run(_job, step=int)
    assert capsys.readouterr().err.startswith(f"On {os.uname().nodename}, Slurm job 7, 2")


class _Full:
    """A log on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")

    flush = write


def test_a_log_that_takes_nothing_is_no_error_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(
        sys, "argv", ["train.py", "--config", str(tmp_path / "no.yaml"), "--step=1"]
    )
    monkeypatch.setattr(sys, "stderr", _Full())
    with pytest.raises(SystemExit, match="ConfigError"):
        command.run(_job, step=int)
