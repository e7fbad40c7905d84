"""Studies on a real Slurm of one node, undisturbed and disturbed: always the same numbers."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import time

import clusters
import numpy as np
import pytest
import yaml
from clusters import STEP_1

KILLS = int(os.environ.get("KILLS", "2"))


@pytest.fixture(scope="module")
def undisturbed(reference, tmp_path_factory):
    """Step 1 of a training long enough to be met in the middle, finished without Slurm."""
    content = clusters.config()
    content["training"] |= {"epochs": 1500, "patience": 1500}
    study = clusters.with_samples(reference, tmp_path_factory.mktemp("undisturbed"))
    clusters.write_config(study, content)
    clusters.finish(study, "local", "--", STEP_1)
    return study


@pytest.fixture
def long_study(undisturbed, tmp_path):
    """The same, with its samples prepared: its folder and configuration."""
    study = clusters.with_samples(undisturbed, tmp_path / "study")
    return study, yaml.safe_load((undisturbed / "config.yaml").read_text())


def _assert_step_1(study, reference):
    clusters.assert_same_file(study / STEP_1, reference / STEP_1)
    # Nothing incomplete is left, and no checkpoint of what has been aggregated.
    assert not clusters.left_over(study)
    assert not list((study / "results" / "small" / "checkpoints").rglob("*.h5"))


def _into_training(study):
    """Seconds of its processor after which a job of a study is in the middle of its trainings."""
    (path,) = (study / "results" / "small" / "training").rglob("history.json")
    content = json.loads(path.read_text())
    trained = sum(network["summary"]["seconds"] for network in content["networks"])
    return content["job"]["seconds"] - trained + trained / 3


def _log(study):
    return (study / "snakemake.log").read_text()[-6000:]


def test_slurm_gives_the_numbers_of_one_machine(slurm, reference, tmp_path, monkeypatch):
    """Also where samples come from a source of an installed package, which jobs have to find."""
    package = clusters.installed(tmp_path / "packages")
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=os.pathsep)
    content = clusters.config()
    content["diagnostics"]["second_classifier"] = True
    study = clusters.with_source(content, "ours")
    study = clusters.write_config(tmp_path / "study", study)
    output = clusters.finish(study, "slurm")
    clusters.assert_same_results(study, reference)
    # Samples, two trainings, two second classifiers, results, tables; aggregate and report are no
    # jobs of Slurm.
    assert output.count("has been submitted with SLURM jobid") == 7
    assert len(list(study.glob("results/small/second_classifier/*.json"))) == 2
    # Neither the profile nor the machine is a reason to run anything again.
    assert "Nothing to be done" in clusters.finish(study, "slurm", "--dry-run")
    assert "Nothing to be done" in clusters.finish(study, "local", "--dry-run")


def test_lanes_are_added_in_rounds(slurm, tmp_path):
    """Jobs of a cluster know what rounds before them have decided."""
    until = {"sigma_rel": "0.0001%", "start": 3, "observables": ["q2"]}
    content = clusters.config()
    content["training"] |= {"epochs": 5, "patience": 5}
    content["methods"] = {"parallel": {"lanes": 7, "until": until}, "none": {}}
    given = content | {"methods": {"parallel": {"lanes": 7}, "none": {}}}
    study = clusters.write_config(tmp_path / "rounds", content)
    alone = clusters.write_config(tmp_path / "given", given)
    clusters.finish(study, "slurm")
    clusters.finish(alone, "local")
    clusters.assert_same_results(study, alone)
    found = sorted(study.glob("results/small/lanes/parallel/*.json"))
    assert [json.loads(path.read_text())["lanes"] for path in found] == [3, 7]
    assert "Nothing to be done" in clusters.finish(study, "slurm", "--dry-run")


def test_trainings_killed_at_random_moments(slurm, reference, tmp_path):
    seed = random.randrange(10**6)
    moments, kills = random.Random(seed), KILLS
    length = clusters.length_of_trainings(reference)
    for number in itertools.count(1):
        # A training may end before its moment comes: what is left is for another study.
        study = clusters.with_samples(reference, tmp_path / f"study-{number}")
        done, finished = _kill_trainings(study, kills, lambda: moments.uniform(0, length))
        print(f"seed {seed}, study {number}: {done} kills, {len(finished)} finished before theirs")
        clusters.assert_same_results(study, reference)
        # What had finished was not trained again: its time is that of the training that was kept.
        found = clusters.seconds(study)
        assert finished == {key: found[key] for key in finished}
        kills -= done
        if not kills:
            return
        assert number <= 3 + KILLS, f"trainings ended before they were killed; seed {seed}"


def _kill_trainings(study, kills, moment):
    """Run a study and kill so many trainings, fewer if it ends before.

    Return how many, and the seconds of the networks that had finished in a job that was killed.
    """
    done, finished = 0, {}
    for _ in range(1 + kills):
        with clusters.started(study) as process:
            while done < kills:
                found = clusters.wait_for(lambda: clusters.trainings(study), process, 300)
                if not found:
                    break
                # Counted in processor time: of start-up, the first network and the second.
                when = moment()
                clusters.wait_for(
                    lambda pid=found[0], when=when: clusters.processor_seconds(pid) > when
                )
                done += clusters.kill(found[0])
                clusters.wait_for(lambda pid=found[0]: pid not in clusters.trainings(study))
                states = clusters.checkpoints(study).items()
                finished |= {
                    key: state["total_seconds"] for key, state in states if state["finished"]
                }
        if process.returncode == 0:
            return done, finished
    pytest.fail(_log(study))


@pytest.mark.parametrize("how", ["kill", "scancel"])
def test_a_training_ended_in_the_middle_goes_on_from_its_checkpoint(
    slurm, long_study, undisturbed, how
):
    study, _ = long_study
    begun, finished = {}, {}
    with clusters.started(study, STEP_1) as process:
        while not begun and clusters.wait_for(lambda: clusters.begun(study), process):
            # Stopped, so that it does not end between a look at its checkpoints and the kill.
            found = clusters.trainings(study)
            for pid in found:
                clusters.kill(pid, signal.SIGSTOP)
            begun = clusters.begun(study)
            if begun and how == "scancel":
                subprocess.run(["scancel", *clusters.jobs()], check=True)
            for pid in found:
                clusters.kill(pid, signal.SIGKILL if begun and how == "kill" else signal.SIGCONT)
        states = clusters.checkpoints(study).items()
        finished = {key: state["total_seconds"] for key, state in states if state["finished"]}
    assert process.returncode == 0, _log(study)
    assert begun, "no training was stopped between its first epoch and its last"
    found = clusters.summaries(study)
    assert all(found[key]["resumed"] == 1 for key in begun)
    assert all(found[key]["seconds"] == finished[key] for key in finished.keys() - begun.keys())
    _assert_step_1(study, undisturbed)


@pytest.mark.parametrize("how", ["signal", "requeue"])
def test_a_training_that_is_told_to_end_saves_where_it_stands(slurm, long_study, undisturbed, how):
    study, content = long_study
    # No checkpoint but that of the signal, and those of networks that have finished.
    content["execution"]["checkpoint"] = 60
    clusters.write_config(study, content)
    with clusters.started(study, STEP_1) as process:
        (pid,) = clusters.wait_for(lambda: clusters.trainings(study), process)
        training = _into_training(undisturbed)
        clusters.wait_for(lambda: clusters.processor_seconds(pid) > training)
        # As `--signal=TERM@...` does before the time limit, to all processes but the batch script.
        command = {"signal": ["scancel", "--signal=TERM"], "requeue": ["scontrol", "requeue"]}[how]
        subprocess.run([*command, *clusters.jobs()], check=True)
        clusters.wait_for(lambda: pid not in clusters.trainings(study), process)
    assert process.returncode == 0, _log(study)
    found = clusters.summaries(study)
    assert sum(summary["resumed"] for summary in found.values()) == 1, found
    # A job that Slurm requeues is not submitted again beside it.
    submitted = (study / "snakemake.log").read_text().count("has been submitted with SLURM jobid")
    assert submitted == (2 if how == "signal" else 1)
    _assert_step_1(study, undisturbed)


def test_a_cancelled_job_is_submitted_again(slurm, study, reference):
    with clusters.started(study, STEP_1) as process:
        clusters.wait_for(lambda: clusters.trainings(study), process)
        subprocess.run(["scancel", *clusters.jobs()], check=True)
    assert process.returncode == 0, _log(study)
    assert "CANCELLED" in (study / "snakemake.log").read_text()
    _assert_step_1(study, reference)


def test_a_hanging_job_runs_into_its_time_limit(slurm, study, reference):
    options = ["--retries", "0", "--set-resources", "train:runtime=1", "--default-resources"]
    options += ["slurm_extra='--signal=TERM@10'", "mem_mb=1000", "disk_mb=1000"]
    with clusters.started(study, STEP_1, *options) as process:
        (pid,) = clusters.wait_for(lambda: clusters.trainings(study), process)
        clusters.kill(pid, signal.SIGSTOP)
    log = (study / "snakemake.log").read_text()
    assert process.returncode != 0
    # SIGTERM first, which a process that stands still cannot heed; then the limit.
    assert re.search("SLURM status is: '(FAILED|TIMEOUT)'", log), log[-6000:]
    clusters.finish(study, "slurm", STEP_1)
    _assert_step_1(study, reference)


def test_a_job_out_of_memory_is_submitted_with_more(slurm, reference, tmp_path):
    study = clusters.with_samples(reference, tmp_path)
    clusters.write_config(study, clusters.config(mem_mb=150))
    with clusters.started(study, STEP_1):
        pass
    log = (study / "snakemake.log").read_text()
    asked = [clusters.memory(job) for job in re.findall(r"with SLURM jobid (\d+)", log)]
    assert asked[:2] == ["150M", "300M"], log[-6000:]  # Snakemake in a job takes 190 MB
    # Without cgroups Slurm ends the step, and the job has failed.
    assert re.search("SLURM status is: '(FAILED|OUT_OF_MEMORY)'", log), log[-6000:]
    _assert_step_1(study, reference)


def test_snakemake_is_killed(slurm, study, reference):
    with clusters.started(study, STEP_1) as process:
        clusters.wait_for(lambda: clusters.trainings(study), process)
        process.kill()
        # The job goes on alone, and the same command waits for it.
        with clusters.started(study, STEP_1) as again:
            clusters.wait_for(lambda: "Waiting for jobs of a Snakemake" in _log(study), again)
            clusters.drain()
            trained = clusters.seconds(study)
            assert trained
    assert again.returncode == 0, _log(study)
    # Snakemake asked for the job again, and the job took over what it had trained.
    assert clusters.seconds(study) == trained
    _assert_step_1(study, reference)


def test_the_node_daemon_is_killed(slurm, study, reference):
    with clusters.started(study, STEP_1) as process:
        clusters.wait_for(lambda: clusters.trainings(study), process)
        assert clusters.kill(int((slurm / "run" / "slurmd.pid").read_text()))
        time.sleep(5)
        subprocess.run([clusters.SLURM, "start", slurm], check=True)
    assert process.returncode == 0, _log(study)
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
