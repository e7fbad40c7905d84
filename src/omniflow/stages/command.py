"""Command line of the workflow's scripts: a configuration and the coordinates of one job."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from omniflow import config
from omniflow.errors import OmniflowError, OutputError
from omniflow.lock import Lock
from omniflow.process import Process
from omniflow.unfolding.plan import Plan


def run(job: Callable[..., None], **coordinates: Callable[[str], object]) -> None:
    """Call `job(plan, **coordinates)` with what the command line gives.

    Errors that a user can mend end the process with status 1 and their message alone.

    Args:
        job: what the script does; its docstring describes it.
        coordinates: names (an underscore at the end is dropped) and what reads the options.
    """
    parser = argparse.ArgumentParser(description=job.__doc__, allow_abbrev=False)
    parser.add_argument("--config", required=True, help="resolved configuration (YAML)")
    for name, kind in coordinates.items():
        parser.add_argument(f"--{name.rstrip('_')}", dest=name, type=kind, required=True)
    options = vars(parser.parse_args())
    # The log gets its first block here, so that a message finds room on a disk that is full later.
    with suppress(OSError):
        print(_place(), file=sys.stderr, flush=True)
    try:
        plan = Plan(config.load(options.pop("config")))
        with Lock(plan.root).joined():
            job(plan, **options)
    except OutputError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        # Not by sys.exit: HDF5 crashes when it tidies up a file that it could not write, before
        # the message is out.
        os._exit(1)
    except OmniflowError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _place() -> str:
    """Return where and when this job runs."""
    this = Process.current()
    job = f", Slurm job {this.slurm_job}" if this.slurm_job else ""
    return f"On {this.host}{job}, {this.time}"
