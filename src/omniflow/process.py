"""A process: where it runs, what it is, and whether it still runs, as seen from any machine."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Files of Linux that tell this machine, its start and, in a container, what process ids mean.
_MACHINE, _BOOT = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = "/proc/self/ns/pid"


@dataclass(frozen=True)
class Process:
    """A process.

    Attributes:
        host, machine: name of the computer, and the id of its installation.
        boot: id of the start of the computer; it changes when that starts anew.
        namespace: of process ids, which a container has of its own.
        pid, start: process id, and its start in clock ticks after that of the computer: ids are
            used again, the two together are not.
        slurm_job: id of the Slurm job that it belongs to; empty without one.
        user, time, command, folder: who started it, when (UTC), how and where.
    """

    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    start: int
    slurm_job: str
    user: str
    time: str
    command: str
    folder: str

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        state = _state(os.getpid())
        return cls(
            *_place(),
            pid=os.getpid(),
            start=state[1] if state else 0,
            slurm_job=os.environ.get("SLURM_JOB_ID", ""),
            user=_user(),
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            command=shlex.join(sys.orig_argv),
            folder=os.getcwd(),
        )

    def runs(self) -> bool | None:
        """Return whether it still runs; None where that cannot be told from here.

        On the same computer the process itself tells, or a later start of the computer; for a job
        of Slurm its queue.
        """
        host, machine, boot, namespace = _place()
        if boot and (self.host, self.boot, self.namespace) == (host, boot, namespace):
            return _runs(self.pid, self.start)
        known = all((self.machine, self.boot, boot))
        if known and (self.host, self.machine) == (host, machine) and self.boot != boot:
            return False
        return _queued(self.slurm_job) if self.slurm_job else None

    def __str__(self) -> str:
        """Return it as a user can find it."""
        job = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        # Snakemake's own commands for its jobs fill a page.
        command = self.command if len(self.command) <= 200 else f"{self.command[:200]} ..."
        return (
            f"process {self.pid} on {self.host}{job}, of {self.user} since {self.time}: "
            f"{command} (in {self.folder})"
        )


def _place() -> tuple[str, str, str, str]:
    """Return host, machine, boot and namespace of this process; empty where they are not known."""
    try:
        namespace = os.readlink(_NAMESPACE)
    except OSError:
        namespace = ""
    return os.uname().nodename, _text(_MACHINE), _text(_BOOT), namespace


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers know users that have no name
        return str(os.getuid())


def _runs(pid: int, start: int) -> bool | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # there is one, of another user
    state = _state(pid)
    if state is None:  # of another user and hidden, or it has just ended
        return None
    # A zombie has ended; what started at another time is another process.
    return state[0] not in "ZX" and state[1] == start


def _state(pid: int) -> tuple[str, int] | None:
    """Return state and start of a process; None where it cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return fields[0], int(fields[19])


def _queued(job: str) -> bool | None:
    """Return whether a job is in Slurm's queue, waiting or running."""
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if found.returncode == 0:
        return bool(found.stdout.strip())
    return False if "Invalid job id" in found.stderr else None
