"""Snakemake that looks after its Slurm jobs every second; arguments are those of `snakemake`.

The executor waits five seconds before each submission, and between two looks at jobs that run ten
seconds more each time. That spares a cluster that many share, and would be most of the time of
these tests.
"""

import time
from types import SimpleNamespace

import snakemake_executor_plugin_slurm as slurm
from snakemake.cli import main

slurm.time = SimpleNamespace(time=time.time, sleep=lambda seconds: None)
slurm.Executor.next_seconds_between_status_checks = property(
    lambda executor: 1, lambda executor, seconds: None
)
main()
