"""Workflow: where its Snakefile and profiles lie, and how Snakemake is started on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from omniflow.errors import OmniflowError

PACKAGE = Path(__file__).parent
# Profiles that come with the workflow, by the names that they are given.
PROFILES = ("local", "slurm")


class WorkflowError(OmniflowError):
    """Snakemake cannot be started; the message says what is missing."""


def root() -> Path:
    """Return the folder of the Snakefile: the top of a checkout, or its copy in the package.

    Raises:
        WorkflowError: the package has none, which no installation leads to.
    """
    for folder in (PACKAGE / "checkout", PACKAGE.parents[1]):
        if (folder / "Snakefile").is_file():
            return folder
    raise WorkflowError(f"{PACKAGE}: is installed without its workflow; install omniflow again")


def command(
    config: Sequence[Path],
    settings: Sequence[str] = (),
    profile: str = "local",
    cores: int | None = None,
    arguments: Sequence[str] = (),
) -> list[str]:
    """Return the command that runs a study, with this interpreter.

    Args:
        config: files of the configuration, each on top of those before.
        settings: `key=value` on top of them.
        profile: one of PROFILES, or what Snakemake's --profile takes.
        cores: that it may use; None: as the profile says.
        arguments: further ones, as Snakemake takes them.

    Raises:
        WorkflowError: the package has no workflow.
    """
    home = root()
    if profile in PROFILES:
        profile = str(home / "profiles" / profile)
    return [
        # -P: the working folder is no place for modules, as with the command `snakemake`.
        *(sys.executable, "-P", "-m", "snakemake"),
        *("--configfile", *map(str, config)),
        *(("--config", *settings) if settings else ()),
        *("--profile", profile),
        *(("--cores", str(cores)) if cores is not None else ()),
        # Last, since it takes one value: targets may be the first of the arguments.
        *("--snakefile", str(home / "Snakefile")),
        *arguments,
    ]


def environment() -> dict[str, str]:
    """Return the environment of Snakemake: `python` of its jobs is this interpreter.

    Raises:
        WorkflowError: Snakemake is not installed, or the interpreter is not called `python`.
    """
    if find_spec("snakemake") is None:
        raise WorkflowError(
            f"Snakemake is not installed for {sys.executable}: pip install 'omniflow[workflow]'"
        )
    folder = Path(sys.executable).parent
    if not os.access(folder / "python", os.X_OK):
        raise WorkflowError(
            f"{folder}: has no `python` beside {sys.executable}, which jobs would start. Install "
            "omniflow into an environment (python3 -m venv, conda)"
        )
    return {**os.environ, "PATH": os.pathsep.join([str(folder), os.environ.get("PATH", "")])}


def start(command: Sequence[str]) -> NoReturn:
    """Become Snakemake, so that signals and exit status are its own.

    Raises:
        WorkflowError: as of `environment`.
    """
    variables = environment()
    sys.stdout.flush()
    os.execve(command[0], list(command), variables)
