import re

import pytest

from omniflow.refusals import ADVICE, advice

# What sbatch 22.05 and the executor say, as they say it.
SAID = {
    "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job "
    "violates accounting/QOS policy (job submit limit, user's size and/or time limits)": "`jobs`",
    "sbatch: error: AssocMaxSubmitJobLimit": "`jobs`",
    "The given account physics appears to be invalid. Available accounts:": "slurm_account",
    "Batch job submission failed: Invalid account or account/partition combination specified": (
        "slurm_account"
    ),
    "Batch job submission failed: Invalid qos specification": "default-resources",
    "sbatch: error: invalid partition specified: gpu": "slurm_partition",
    "sbatch: error: Requested time limit is invalid (missing or exceeds some limit)": (
        "execution.runtime"
    ),
    "Batch job submission failed: Requested node configuration is not available": "mem_mb",
    "sbatch: error: Memory required by task is not available": "mem_mb",
    "OSError: [Errno 30] Read-only file system: '/home/alice/.cache'": "XDG_CACHE_HOME",
    "Unable to contact slurm controller (connect failure)": "start Snakemake again",
}


@pytest.mark.parametrize("said", SAID)
def test_every_refusal_has_its_advice(said):
    (line,) = advice(f"Building DAG of jobs...\n{said}\nExiting\n")
    assert SAID[said] in line


def test_all_advice_is_for_something_that_is_said():
    for words in ADVICE:
        assert any(re.search(words, said) for said in SAID)


def test_other_failures_get_no_advice():
    assert advice("Error in rule train: (command exited with non-zero exit code)") == []


def test_advice_is_given_once_and_for_each_reason():
    assert len(advice("\n".join([*SAID, *SAID]))) == len(ADVICE)


def test_logs_of_failed_jobs_are_read(tmp_path):
    path = tmp_path / "rule_train" / "11.log"
    line = "Job 1 has been submitted with SLURM jobid {} (log: {}).\n"
    log = line.format(7, tmp_path / "removed.log") + line.format(11, path)
    assert advice(log) == []
    path.parent.mkdir()
    path.write_text("PermissionError: [Errno 13] Permission denied: '/home/a/.cache/snakemake'\n")
    (found,) = advice(log)
    assert "XDG_CACHE_HOME" in found
