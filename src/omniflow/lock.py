"""The lock of a study: one Snakemake at a time, and no job of one that has died beside it.

The lock is a folder with one record for every process that works on the study: `run-<token>.json`
of the Snakemake that holds it, `job-<token>-<random>.json` of its jobs. It is free when it is empty
or missing. A folder with the first record inside is renamed into its place, which fails where there
is a record: that is atomic and visible at once on every file system, network ones included, where
locks of files often are not. An ended process's record is removed by its own name, so that of two
that find it one alone goes on, and nobody removes a new record for an old one.

A job writes its record first and then looks for that of its Snakemake; who takes the lock over
removes the record of the Snakemake first and then looks for jobs. One of the two always sees the
other.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from omniflow.errors import LockError
from omniflow.files import discard_left_over, writable, write_json
from omniflow.process import Process

# Names the token of the Snakemake that a job belongs to.
VARIABLE = "OMNIFLOW_LOCK"
# Errors of a renaming that came too late, or whose folder was removed as left over meanwhile.
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT)


class Lock:
    """The lock of the study in a folder."""

    def __init__(self, root: Path) -> None:
        """Take the study's folder; nothing is read or written."""
        self.folder = (root / "lock").absolute()
        self._token = ""

    def acquire(self, say: Callable[[str], None], pause: float = 5.0) -> None:
        """Take the lock, and name it in the environment of jobs.

        Jobs of a Snakemake that has died are waited for.

        Args:
            say: what tells the user that, and why, it waits.
            pause: seconds between looks at such jobs.

        Raises:
            LockError: another Snakemake has it, or has had it and cannot be seen from here.
            OutputError: the study's folder cannot be written to.
        """
        token, said, patience = uuid.uuid4().hex[:12], False, time.monotonic() + 10
        while not self._take(token):
            jobs = self._others()
            if jobs and not said:
                say(_waiting(jobs))
                said = True
            if not jobs and time.monotonic() > patience:
                raise LockError(f"{self.folder}: holds something that is no record; remove it")
            patience = time.monotonic() + 10 if jobs else patience
            time.sleep(pause if jobs else 0.1)
        discard_left_over(self.folder)
        self._token = os.environ[VARIABLE] = token

    def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""
        if not self._token:
            return
        _remove(self._record(self._token))
        os.environ.pop(VARIABLE, None)
        self._token = ""
        for path, process in self._records("job"):
            if process is not None and process.runs() is False:
                _remove(path)
        with suppress(OSError):  # records of jobs that end later
            self.folder.rmdir()

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Work on the study as a job of the Snakemake that the environment names, if any.

        Raises:
            LockError: that Snakemake has ended, and another may have the study.
        """
        token = os.environ.get(VARIABLE)
        if not token:
            yield
            return
        record = self.folder / f"job-{token}-{uuid.uuid4().hex[:12]}.json"
        self._write(record)
        try:
            self._require(token)
            yield
        finally:
            _remove(record)

    def _require(self, token: str) -> None:
        if not self._record(token).exists():
            raise LockError(
                f"{self.folder}: the Snakemake that this job belongs to has ended, and the study "
                "may have gone on without it; start Snakemake again"
            )

    def _record(self, token: str) -> Path:
        return self.folder / f"run-{token}.json"

    def _records(self, kind: str) -> list[tuple[Path, Process | None]]:
        """Return the records of a kind; None in place of a process where one cannot be read."""
        return [(path, _read(path)) for path in sorted(self.folder.glob(f"{kind}-*.json"))]

    def _others(self) -> list[Process]:
        """Remove the records of what has ended; return the jobs that still run.

        Raises:
            LockError: a Snakemake runs, or whether a process runs cannot be told.
        """
        running: list[Process] = []
        for kind in ("run", "job"):  # in this order: see above
            for path, process in self._records(kind):
                runs = process.runs() if process else None
                if runs is False:
                    _remove(path)
                elif path.exists():
                    if kind == "run" or process is None or runs is None:
                        raise LockError(_held(path, process, runs))
                    running.append(process)
        return running

    def _take(self, token: str) -> bool:
        """Return whether the lock was free, and take it."""
        temporary = self._temporary()
        with writable(self.folder, temporary):
            with suppress(OSError):
                self.folder.rmdir()  # free; not every file system renames onto an empty folder
            try:
                write_json(asdict(Process.current()), temporary / self._record(token).name)
                os.rename(temporary, self.folder)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        # A network file system may report an error for what it has done.
        return self._record(token).exists()

    def _write(self, record: Path) -> None:
        temporary = self._temporary()
        with writable(record, temporary):
            try:
                temporary.write_text(json.dumps(asdict(Process.current())), encoding="utf-8")
                os.rename(temporary, record)
            except FileNotFoundError:
                pass  # the lock is gone: `_require` tells
            finally:
                temporary.unlink(missing_ok=True)

    def _temporary(self) -> Path:
        return self.folder.parent / f".tmp-{uuid.uuid4().hex[:12]}-{self.folder.name}"


def _read(path: Path) -> Process | None:
    try:
        return Process(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError, RecursionError):
        return None


def _remove(record: Path) -> None:
    with suppress(
        OSError
    ):  # it says less than what has led here; the record tells that it is stale
        record.unlink(missing_ok=True)


def _held(path: Path, process: Process | None, runs: bool | None) -> str:
    """Return why the lock cannot be had, and what to do."""
    who = str(process) if process else f"an unknown process ({path} cannot be read)"
    state = "runs" if runs else "may run, which cannot be told from here"
    return (
        f"{path.parent.parent}: somebody works on this study: {who}. It {state}. Wait until it has "
        "ended, or choose another study.name or study.output. Where it is certain that it and its "
        f"jobs have ended, remove the lock: rm -r {path.parent}"
    )


def _waiting(jobs: list[Process]) -> str:
    """Return why the lock is waited for."""
    lines = "\n  ".join(map(str, jobs))
    return (
        "Waiting for jobs of a Snakemake that has died: nothing may write beside them, and what "
        f"they finish is kept. End them (kill, scancel) to go on at once:\n  {lines}"
    )
