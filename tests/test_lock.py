"""One Snakemake at a time works on a study, and no job of a dead one beside it."""

import json
import os
import subprocess
import threading
from dataclasses import asdict, replace

import pytest

from omniflow.errors import LockError, OutputError
from omniflow.lock import VARIABLE, Lock
from omniflow.process import Process


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """No Snakemake is named, and none stays named."""
    monkeypatch.setenv(VARIABLE, "")


def _process(child):
    with open(f"/proc/{child.pid}/stat") as file:
        start = int(file.read().rpartition(")")[2].split()[19])
    return replace(Process.current(), pid=child.pid, start=start)


def _dead():
    child = subprocess.Popen(["sleep", "300"])
    process = _process(child)
    child.kill()
    child.wait()
    return process


def _write(lock, name, process):
    lock.folder.mkdir(parents=True, exist_ok=True)
    path = lock.folder / f"{name}.json"
    path.write_text(json.dumps(asdict(process)))
    return path


def _never(text):
    pytest.fail(f"nothing is to be said: {text}")


def _left(root):
    return sorted(path.name for path in root.rglob("*"))


def test_taken_and_given_back(tmp_path):
    lock = Lock(tmp_path / "results" / "study")
    lock.release()
    for _ in range(2):
        lock.acquire(_never)
        (record,) = lock.folder.iterdir()
        assert Process(**json.loads(record.read_text())) == replace(
            Process.current(), time=json.loads(record.read_text())["time"]
        )
        assert record.name == f"run-{os.environ[VARIABLE]}.json"
        lock.release()
        assert VARIABLE not in os.environ
        assert _left(lock.folder.parent) == []


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_second_is_told_who_has_it_and_what_to_do(tmp_path, sleeper, where):
    lock = Lock(tmp_path)
    process = _process(sleeper)
    if where == "elsewhere":
        process = replace(process, host="login-2", user="somebody")
    record = _write(lock, "run-1", process)
    with pytest.raises(LockError) as error:
        lock.acquire(_never)
    message = str(error.value)
    assert str(process) in message
    assert ("It runs." in message) == (where == "here")
    assert ("cannot be told from here" in message) == (where == "elsewhere")
    assert f"rm -r {lock.folder}" in message
    assert _left(tmp_path) == ["lock", record.name]


def test_what_the_message_says_helps(tmp_path):
    lock = Lock(tmp_path)
    _write(lock, "run-1", replace(Process.current(), host="login-2"))
    with pytest.raises(LockError) as error:
        lock.acquire(_never)
    command = str(error.value).rpartition("remove the lock: ")[2]
    subprocess.run(command.split(), check=True)
    lock.acquire(_never)
    lock.release()


@pytest.mark.parametrize("how", ["dead", "reused", "empty"])
def test_a_stale_one_is_taken_over(tmp_path, sleeper, how):
    lock, living = Lock(tmp_path), _process(sleeper)
    if how == "empty":  # killed between two steps of taking or giving it back
        lock.folder.mkdir()
    else:
        _write(lock, "run-1", _dead() if how == "dead" else replace(living, start=living.start - 9))
    lock.acquire(_never)
    assert [path.name for path in lock.folder.iterdir()] == [f"run-{os.environ[VARIABLE]}.json"]
    lock.release()


@pytest.mark.parametrize("stale", [True, False])
def test_of_several_that_come_at_once_one_takes_it(tmp_path, stale):
    for attempt in range(15):
        root = tmp_path / str(attempt)
        if stale:
            _write(Lock(root), "run-1", _dead())
        start, taken, refused = threading.Barrier(6), [], []

        def take(root=root, start=start, taken=taken, refused=refused):
            lock = Lock(root)
            start.wait()
            try:
                lock.acquire(_never)
                taken.append(lock)
            except LockError:
                refused.append(lock)

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(taken), len(refused)) == (1, 5)
        assert len(list((root / "lock").iterdir())) == 1
        taken[0].release()
        assert not [path for path in root.iterdir() if path.name == "lock"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_record_that_cannot_be_read_is_not_taken_for_a_dead_one(tmp_path, text):
    lock = Lock(tmp_path)
    _write(lock, "run-1", Process.current()).write_text(text)
    with pytest.raises(LockError, match=r"run-1\.json cannot be read"):
        lock.acquire(_never)


def test_something_else_in_its_place(tmp_path, monkeypatch):
    times = iter(range(0, 1000, 6))
    monkeypatch.setattr("omniflow.lock.time.monotonic", lambda: next(times))
    for name in ("file", "folder"):
        lock = Lock(tmp_path / name)
        lock.folder.parent.mkdir()
        if name == "folder":
            lock.folder.mkdir()
            (lock.folder / "notes.txt").touch()
        else:
            lock.folder.touch()
        with pytest.raises(LockError, match="holds something that is no record"):
            lock.acquire(_never)
        assert lock.folder.exists()


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("omniflow.lock.os.rename", refuse)
    with pytest.raises(OutputError, match="lock: cannot be written: the file system is read-only"):
        Lock(tmp_path).acquire(_never)
    assert _left(tmp_path) == []


# -- jobs ----------------------------------------------------------------------------------------


def test_a_job_leaves_a_record_while_it_works(tmp_path):
    lock = Lock(tmp_path)
    lock.acquire(_never)
    work = Lock(tmp_path).joined()
    work.__enter__()
    assert sorted(path.name[:4] for path in lock.folder.iterdir()) == ["job-", "run-"]
    with pytest.raises(ZeroDivisionError):
        work.gen.throw(ZeroDivisionError)
    assert len(list(lock.folder.iterdir())) == 1
    lock.release()
    assert _left(tmp_path) == []


def test_a_script_without_snakemake_needs_no_lock(tmp_path):
    with Lock(tmp_path / "absent").joined():
        pass
    assert _left(tmp_path) == []


@pytest.mark.parametrize("follower", [None, "run-2"])
def test_a_job_whose_snakemake_has_ended_does_nothing(tmp_path, monkeypatch, follower):
    lock = Lock(tmp_path)
    monkeypatch.setenv(VARIABLE, "1")
    if follower:
        _write(lock, follower, Process.current())
    with pytest.raises(LockError, match="has ended"), lock.joined():
        pytest.fail("it works")
    assert _left(tmp_path) == (["lock", "run-2.json"] if follower else [])


def test_jobs_of_a_dead_snakemake_are_waited_for(tmp_path, sleeper):
    lock, said = Lock(tmp_path), []
    dead = _write(lock, "run-1", _dead())
    _write(lock, "job-1-a", _dead())
    living = _write(lock, "job-1-b", _process(sleeper))
    who = str(_process(sleeper)).partition(" since ")[0]
    taking = threading.Thread(target=lock.acquire, args=(said.append, 0.02))
    taking.start()
    taking.join(0.5)
    assert taking.is_alive()
    assert not dead.exists()  # jobs of it that start now end themselves
    assert [path.name for path in lock.folder.iterdir()] == [living.name]
    sleeper.kill()
    sleeper.wait()
    taking.join(10)
    assert not taking.is_alive()
    assert len(said) == 1
    assert who in said[0]
    assert [path.name for path in lock.folder.iterdir()] == [f"run-{os.environ[VARIABLE]}.json"]
    lock.release()


def test_jobs_that_cannot_be_seen_are_not_waited_for(tmp_path):
    lock = Lock(tmp_path)
    job = replace(Process.current(), host="node-7")
    _write(lock, "job-1-a", job)
    with pytest.raises(LockError, match="node-7"):
        lock.acquire(_never)


def test_records_of_killed_jobs_go_with_the_lock(tmp_path, sleeper):
    lock = Lock(tmp_path)
    lock.acquire(_never)
    _write(lock, "job-1-a", _dead())
    living = _write(lock, "job-1-b", _process(sleeper))
    lock.release()
    assert _left(tmp_path) == [living.name, "lock"]
