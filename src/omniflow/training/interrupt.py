"""Interrupt: SIGTERM noted instead of obeyed, so that a training can save where it stands."""

from __future__ import annotations

import signal
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
    """Yield an `Interrupt` that notes SIGTERM; afterwards SIGTERM acts as before.

    Slurm sends it ahead of the time limit (`--signal`) and at `scancel`, and again SIGKILL after
    a grace period.
    """
    interrupt = Interrupt()

    def note(*_: object) -> None:
        interrupt.requested = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGTERM, before)
