"""Refusals: what Slurm says when it takes no job, and what to do about it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

# Words of sbatch or of Snakemake's executor, and advice. Of several that fit, all are given.
ADVICE = {
    r"QOSMaxSubmitJob|AssocMaxSubmitJob|AssocGrpSubmitJob|QOSGrpSubmitJob"
    r"|Job violates accounting/QOS policy": (
        "Slurm takes no more jobs of yours at a time, those of other studies among them. Set "
        "`jobs` of the profile (or --jobs) below the limit, which `sacctmgr show qos "
        "format=Name%20,MaxSubmitPU,MaxSubmitPA,GrpSubmit` and `sacctmgr show assoc user=$USER "
        "format=Account%40,QOS%20,MaxSubmit` name."
    ),
    r"[Ii]nvalid account|given account \S+ appears to be invalid": (
        "Slurm does not know the account for you. Set slurm_account under default-resources, and "
        "where set-resources name it, to one of `sacctmgr show assoc user=$USER "
        "format=Account%80,Partition%20,QOS%40`."
    ),
    r"[Ii]nvalid qos": (
        "Slurm does not know the QOS for you and this account. Set qos under default-resources, "
        "and where set-resources name it, to one of `sacctmgr show assoc user=$USER "
        "format=Account%80,QOS%40`."
    ),
    r"[Ii]nvalid partition": (
        "There is no such partition. Set slurm_partition under default-resources, and where "
        "set-resources name it, to one that `sinfo --summarize` lists."
    ),
    r"Requested time limit is invalid": (
        "The partition or QOS allows less time than a job asks for. Set execution.runtime (in "
        "minutes) to no more than `sinfo --format='%P %l'` says; trainings go on in the next job."
    ),
    r"Requested node configuration is not available|Memory required by task is not available": (
        "No node of the partition has the processors, GPUs or memory that a job asks for. Compare "
        "execution.threads, gpus, ranks and mem_mb, or what set-resources say, with `sinfo "
        "--format='%P %c %m %G'`."
    ),
    r"(Read-only file system|Permission denied): '\S*/\.cache": (
        "Compute nodes cannot write to your home, where Snakemake and the native engine keep what "
        "they make. Set XDG_CACHE_HOME to a folder that nodes can write to, before Snakemake "
        "starts."
    ),
    r"Unable to contact slurm controller": (
        "Slurm's controller did not answer. Jobs that run go on; start Snakemake again."
    ),
}


def advice(log: str) -> list[str]:
    """Return what to do about a failed run.

    Args:
        log: what Snakemake has said. Logs of Slurm jobs that it names are read, too, those of jobs
            that have failed: they alone say what happened before a job's own log began.

    Returns:
        A line for each reason that is known.
    """
    said = "\n".join([log, *_job_logs(log)])
    return [line for words, line in ADVICE.items() if re.search(words, said)]


def _job_logs(log: str) -> list[str]:
    found = []
    for path in re.findall(r"with SLURM jobid \d+ \(log: (.+?)\)\.$", log, re.MULTILINE):
        with suppress(OSError):  # of a job that succeeded: it has been removed
            found.append(Path(path).read_text(encoding="utf-8", errors="replace"))
    return found
