"""Whether a process still runs, as seen from where it ran and from elsewhere."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from omniflow import process
from omniflow.process import Process


def _start(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def _record(pid, **changes):
    return replace(Process.current(), pid=pid, start=_start(pid), slurm_job="", **changes)


def test_this_process():
    found = Process.current()
    assert found.runs() is True
    assert (found.pid, found.host) == (os.getpid(), os.uname().nodename)
    assert found.folder == os.getcwd()
    text = str(found)
    assert f"process {os.getpid()} on {os.uname().nodename}" in text
    assert found.user in text
    assert "x" * 150 in str(replace(found, command="x" * 150))
    assert len(str(replace(found, command="x" * 9000))) < 600


def test_a_process_that_ends(sleeper):
    record = _record(sleeper.pid)
    assert record.runs() is True
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert record.runs() is False  # a zombie: nobody has asked for its status
    sleeper.wait()
    assert record.runs() is False


def test_another_process_with_the_same_id(sleeper):
    record = _record(sleeper.pid)
    assert replace(record, start=record.start - 1).runs() is False


def test_the_process_of_another_user_may_be_hidden(sleeper, monkeypatch):
    record = _record(sleeper.pid)

    def kill(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert record.runs() is True
    monkeypatch.setattr(process, "_state", lambda pid: None)
    assert record.runs() is None


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"namespace": "pid:[1]"}])
def test_elsewhere_nothing_can_be_told(sleeper, where):
    record = _record(sleeper.pid, **where)
    sleeper.kill()
    sleeper.wait()
    assert record.runs() is None


def test_a_computer_that_has_started_again(sleeper, tmp_path, monkeypatch):
    (tmp_path / "machine").write_text("abc\n")
    monkeypatch.setattr(process, "_MACHINE", tmp_path / "machine")
    record = _record(sleeper.pid, boot="an earlier start")
    assert record.machine == "abc"
    assert record.runs() is False
    # Another computer of the same name, and computers without an id, may be running.
    assert replace(record, machine="def").runs() is None
    assert replace(record, machine="").runs() is None
    assert replace(record, boot="").runs() is None


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ('[ "$*" = "--noheader --format=%T --jobs=77" ] && echo RUNNING', True),
        ("echo PENDING", True),
        ("exit 0", False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", None),
        (None, None),
    ],
)
def test_jobs_elsewhere_are_looked_up_in_the_queue(tmp_path, monkeypatch, script, runs):
    if script is not None:
        (tmp_path / "squeue").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    record = replace(Process.current(), host="node-1", slurm_job="77")
    assert record.runs() is runs
    assert "Slurm job 77" in str(record)


def test_here_the_process_tells_and_not_the_queue(tmp_path, monkeypatch, sleeper):
    """An allocation may go on when the process has died in it."""
    (tmp_path / "squeue").write_text("#!/bin/sh\necho RUNNING\n")
    (tmp_path / "squeue").chmod(0o755)
    record = replace(_record(sleeper.pid), slurm_job="77")
    sleeper.kill()
    sleeper.wait()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record.runs() is False


def test_the_command_is_that_of_the_shell():
    code = "from omniflow.process import Process; print(Process.current().command)"
    found = subprocess.run([sys.executable, "-c", code, "a b"], capture_output=True, text=True)
    assert found.stdout.strip().endswith("'a b'")
    assert found.stdout.startswith(sys.executable)
