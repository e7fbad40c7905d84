"""Interrupt: signals to end are noted, so that a training can save where it stands first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from omniflow.errors import OmniflowError


class Interrupted(OmniflowError):
    """The job was told to end; what it has done is kept, and a rerun goes on from there."""


class Interrupt:
    """Whether the process was told to end."""

    requested = False


@contextmanager
def noted() -> Iterator[Interrupt]:
    """Yield an `Interrupt` that notes SIGTERM and SIGINT; afterwards they act as before.

    Slurm sends SIGTERM ahead of the time limit (`--signal`) and at `scancel`, and SIGKILL after a
    grace period; Ctrl-C sends SIGINT. Threads other than the main one get no signals.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(*_: object) -> None:
        interrupt.requested = True

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
