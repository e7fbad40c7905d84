"""Snakemake on this checkout, as users start it, and without the time to start.

A dry run is mostly the import of Snakemake, and a small job that of the package. So those of tests
are forked from one process that has imported both; everything else, from the arguments on, is as in
a process of their own.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import forked_jobs
import yaml

ROOT = Path(__file__).parents[2]
FORKS = multiprocessing.get_context("forkserver")
# What Snakemake, our Snakefile and most jobs import.
FORKS.set_forkserver_preload(
    [
        *("snakemake.cli", "smart_open", "snakemake_logger_plugin_rich"),
        *("omniflow.config", "omniflow.stages.conversion", "omniflow.pace"),
        *("omniflow.stages.preflight", "omniflow.unfolding.estimate", "omniflow.unfolding.limits"),
        *("omniflow.stages.evaluation", "omniflow.stages.training"),
    ]
)


def written(folder: Path, config: dict) -> list[str]:
    """Write a configuration into a folder; return the arguments for its study there."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    arguments = ["--cores", "2", "--configfile", str(path)]
    return [*arguments, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]


def run(folder: Path, config: dict, *options: str) -> CompletedProcess[str]:
    """Run a study in a folder, in a process of its own."""
    command = [sys.executable, "-m", "snakemake", *written(folder, config), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def forked(folder: Path, config: dict, *options: str) -> CompletedProcess[str]:
    """Do the same in a forked process, whose jobs are forked, too (`forked_jobs`).

    It ends without tidying up, so it is not for what is interrupted.
    """
    arguments = [*written(folder, config), *options]
    said = [folder / name for name in ("out.txt", "err.txt")]
    process = FORKS.Process(target=_main, args=(arguments, folder, said))
    process.start()
    process.join()
    out, err = (path.read_text(encoding="utf-8") for path in said)
    return CompletedProcess(arguments, process.exitcode, out, err)


def _main(arguments: list[str], folder: Path, said: list[Path]) -> None:
    """Be Snakemake in a folder; what it says goes into two files."""
    for number, path in zip((1, 2), said, strict=True):
        with open(path, "w") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    sys.argv[:] = ["snakemake", *arguments]
    with forked_jobs.python():
        from snakemake.cli import main

        main(arguments)
