"""Studies on a real Slurm of one node, undisturbed and disturbed: always the same numbers."""

import os
import random
import re
import signal
import subprocess
import time

import clusters
import numpy as np
import pytest
from clusters import STEP_1

KILLS = int(os.environ.get("KILLS", "2"))


def _assert_step_1(study, reference):
    clusters.assert_same_file(study / STEP_1, reference / STEP_1)
    assert not clusters.left_over(study / "results" / "small" / "samples")


def test_slurm_gives_the_numbers_of_one_machine(slurm, reference, tmp_path):
    study = clusters.write_config(tmp_path, clusters.config())
    output = clusters.finish(study, "slurm")
    clusters.assert_same_results(study, reference)
    # Samples, two trainings, two second classifiers, results, tables; aggregate and report are no
    # jobs of Slurm.
    assert output.count("has been submitted with SLURM jobid") == 7
    # Neither the profile nor the machine is a reason to run anything again.
    assert "Nothing to be done" in clusters.finish(study, "slurm", "--dry-run")
    assert "Nothing to be done" in clusters.finish(study, "local", "--dry-run")


def test_trainings_killed_at_random_moments(slurm, study, reference):
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    done, finished = 0, {}
    for _ in range(1 + KILLS):
        with clusters.started(study) as process:
            while done < KILLS:
                found = clusters.wait_for(lambda: clusters.trainings(study), process, 300)
                if not found:
                    break
                time.sleep(moments.uniform(0, 6))
                done += clusters.kill(found[0])
                clusters.wait_for(lambda pid=found[0]: pid not in clusters.trainings(study))
                states = clusters.checkpoints(study).items()
                finished |= {
                    key: state["total_seconds"] for key, state in states if state["finished"]
                }
        if process.returncode == 0 and done == KILLS:
            break
    assert done == KILLS
    assert process.returncode == 0, (study / "snakemake.log").read_text()[-6000:]
    print(f"seed {seed}, {len(finished)} network(s) had finished in a job that was killed")
    clusters.assert_same_results(study, reference)
    # What had finished was not trained again: its time is that of the training that was kept.
    found = clusters.summaries(study)
    assert finished == {key: found[key]["seconds"] for key in finished}


def test_a_killed_training_goes_on_from_its_checkpoint(slurm, reference, tmp_path):
    # Long enough to be met in the middle.
    content = clusters.config()
    content["training"] |= {"epochs": 150, "patience": 150}
    undisturbed, study = (clusters.with_samples(reference, tmp_path / name) for name in "ab")
    for folder in (undisturbed, study):
        clusters.write_config(folder, content)
    clusters.finish(undisturbed, "local", "--", STEP_1)
    begun = {}
    with clusters.started(study, STEP_1) as process:
        while not begun and clusters.wait_for(lambda: clusters.begun(study), process):
            # Stopped, so that it does not end between a look at its checkpoints and the kill.
            found = clusters.trainings(study)
            for pid in found:
                clusters.kill(pid, signal.SIGSTOP)
            begun = clusters.begun(study)
            for pid in found:
                clusters.kill(pid, signal.SIGKILL if begun else signal.SIGCONT)
    assert process.returncode == 0, (study / "snakemake.log").read_text()[-6000:]
    assert begun, "no training was stopped between its first epoch and its last"
    found = clusters.summaries(study)
    assert all(found[key]["resumed"] == 1 for key in begun)
    _assert_step_1(study, undisturbed)


def test_a_cancelled_job_is_submitted_again(slurm, study, reference):
    with clusters.started(study, STEP_1) as process:
        clusters.wait_for(lambda: clusters.trainings(study), process)
        subprocess.run(["scancel", *clusters.jobs()], check=True)
        clusters.wait_for(lambda: not clusters.trainings(study), process)
        kept = {
            key: state["total_seconds"]
            for key, state in clusters.checkpoints(study).items()
            if state["finished"]
        }
    log = (study / "snakemake.log").read_text()
    assert process.returncode == 0, log[-6000:]
    assert "CANCELLED" in log
    found = clusters.summaries(study)
    assert kept == {key: found[key]["seconds"] for key in kept}
    _assert_step_1(study, reference)


def test_a_job_runs_into_its_time_limit(slurm, study, reference):
    # A training that hangs, with a limit of one minute.
    options = ["--retries", "0", "--set-resources", "train:runtime=1", "--default-resources"]
    options += ["slurm_extra='--signal=TERM@10'", "mem_mb=1000", "disk_mb=1000"]
    with clusters.started(study, STEP_1, *options) as process:
        (pid,) = clusters.wait_for(lambda: clusters.trainings(study), process)
        clusters.kill(pid, signal.SIGSTOP)
    log = (study / "snakemake.log").read_text()
    assert process.returncode != 0
    # SIGTERM came before the limit, or, where the training did not heed it, the limit.
    assert re.search("SLURM status is: '(FAILED|TIMEOUT)'", log), log[-6000:]
    clusters.finish(study, "slurm", STEP_1)
    _assert_step_1(study, reference)


def test_snakemake_is_killed(slurm, study, reference):
    with clusters.started(study, STEP_1) as process:
        clusters.wait_for(lambda: clusters.trainings(study), process)
        process.kill()
    # The job goes on alone, and has ended when `started` returns.
    result = clusters.run(study, "slurm", STEP_1)
    assert result.returncode != 0
    assert "--unlock" in result.stdout
    clusters.finish(study, "slurm", "--unlock")
    clusters.finish(study, "slurm", STEP_1)
    _assert_step_1(study, reference)


def test_the_node_daemon_is_killed(slurm, study, reference):
    with clusters.started(study, STEP_1) as process:
        clusters.wait_for(lambda: clusters.trainings(study), process)
        assert clusters.kill(int((slurm / "run" / "slurmd.pid").read_text()))
        time.sleep(5)
        subprocess.run([clusters.SLURM, "start", slurm], check=True)
    assert process.returncode == 0, (study / "snakemake.log").read_text()[-6000:]
    _assert_step_1(study, reference)


def test_two_ranks_share_a_training(slurm, reference, tmp_path):
    study = clusters.with_samples(reference, tmp_path)
    clusters.write_config(study, clusters.config(ranks=2))
    output = clusters.finish(study, "slurm", STEP_1)
    assert output.count("has been submitted with SLURM jobid") == 1
    ratio, one_rank = (clusters.datasets(root / STEP_1)["ratio"] for root in (study, reference))
    # The same seeds and batches; only the order of sums differs, which Adam enlarges.
    assert ratio == pytest.approx(one_rank, rel=1e-2)
    assert np.std(one_rank) > 0.01
