"""Studies on a cluster of several nodes with accounting: always the same numbers."""

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import clusters
import numpy as np
import pytest
from clusters import STEP_1
from nodes import ACCOUNT, QOS, SUBMITTED
from users import User

RANKS = Path(__file__).parent / "rank_process.py"


@pytest.fixture
def alice(cluster):
    return User(cluster)


def _assert_step_1(study, reference):
    clusters.assert_same_file(study / STEP_1, reference / STEP_1)
    assert not clusters.left_over(study)


def test_several_nodes_give_the_numbers_of_one_machine(alice, reference):
    study = alice.study("equal", clusters.config())
    said = alice.finish(study, alice.profile())
    clusters.assert_same_results(study, reference)
    # Samples, two trainings, results, tables.
    assert said.count("has been submitted with SLURM jobid") == 5
    # The database says of every job how it ended, on which account, and what it was: the study is
    # in its name, chain, pass, group, iteration, step and block in its comment.
    jobs = alice.accounted("State", "Account", "Comment", "JobName%80")
    assert len(jobs) == 5
    assert {(state, account) for state, account, *_ in jobs} == {("COMPLETED", ACCOUNT)}
    comments = [comment for _, _, comment, _ in jobs]
    for step in (1, 2):
        assert f"rule_train_wildcards_scratch-1_1_lanes-0-1_1_{step}_0" in comments
    assert all(re.fullmatch(r"small_[0-9a-f-]{36}", name) for *_, name in jobs)


def test_users_work_side_by_side(cluster, reference):
    users = [User(cluster, name) for name in ("alice", "bob")]
    studies = [user.study("beside", clusters.config(), reference) for user in users]
    with ExitStack() as stack:
        running = [
            stack.enter_context(user.started(study, user.profile(), STEP_1))
            for user, study in zip(users, studies, strict=True)
        ]
    assert [process.returncode for process in running] == [0, 0]
    for user, study in zip(users, studies, strict=True):
        _assert_step_1(study, reference)
        assert user.accounted("User", "State")[-1] == [user.name, "COMPLETED"]


# -- limits --------------------------------------------------------------------------------------


@pytest.fixture
def wide(alice, reference):
    """A study that has more jobs at a time than the QOS takes."""
    content = clusters.config(networks_per_job=1)
    content["methods"] = {"parallel": {"lanes": SUBMITTED + 2}}
    return lambda name: alice.study(name, content, reference)


def _steps_1():
    lanes = range(SUBMITTED + 2)
    return [STEP_1.replace("lanes-0-1", f"lanes-{lane}-{lane}") for lane in lanes]


def test_a_limit_on_submitted_jobs_is_kept_by_jobs(alice, wide, reference):
    study = wide("within")
    said = alice.finish(study, alice.profile(jobs=SUBMITTED, qos=QOS), *_steps_1())
    assert "QOSMaxSubmitJobPerUserLimit" not in said
    assert said.count("has been submitted with SLURM jobid") == SUBMITTED + 2
    for lane, expected in enumerate(clusters.datasets(reference / STEP_1)["ratio"]):
        (ratio,) = clusters.datasets(study / _steps_1()[lane])["ratio"]
        np.testing.assert_array_equal(ratio, expected)


def test_a_limit_on_submitted_jobs_that_is_exceeded_comes_with_advice(alice, wide):
    status, said = alice.run(wide("beyond"), alice.profile(qos=QOS), *_steps_1())
    assert status != 0
    assert "QOSMaxSubmitJobPerUserLimit" in said
    assert "Set `jobs` of the profile (or --jobs) below the limit" in said


# -- ranks over nodes ----------------------------------------------------------------------------


def _ranks(user, folder, ranks, nodes):
    """Train by ranks on nodes, without Snakemake; the result has status and output."""
    where = [f"--nodes={nodes}", f"--ntasks={ranks}", f"--ntasks-per-node={ranks // nodes}"]
    command = user.enter(folder, "srun", *where, sys.executable, RANKS, ranks, "float64", folder)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_ranks_on_two_nodes_give_what_one_gives(alice):
    folder = alice.study("ranks", {})
    for ranks, nodes in ((1, 1), (2, 2), (4, 2)):
        done = _ranks(alice, folder, ranks, nodes)
        assert done.returncode == 0, done.stderr[-3000:]
    alone = np.load(folder / "float64-1-0.npz")
    for ranks in (2, 4):
        first, last = (np.load(folder / f"float64-{ranks}-{n}.npz") for n in (0, ranks - 1))
        for name in alone.files:
            np.testing.assert_array_equal(first[name], last[name])
            np.testing.assert_allclose(first[name], alone[name], atol=1e-10)
    assert (alone["losses"][:, -1] < alone["losses"][:, 0] - 0.05).all()
    assert not list(folder.glob("ranks-*"))


@pytest.fixture
def named_loopback(cluster):
    """Nodes whose own names stand for the loopback, as Debian's installer has it."""
    for name in cluster.nodes:
        own = cluster.folder / f"hosts-{name}"
        own.write_text(f"127.0.1.1 {name}\n" + (cluster.folder / "hosts").read_text())
        cluster.computers[name].run("mount", "--bind", own, "/etc/hosts")
    yield
    for name in cluster.nodes:
        cluster.computers[name].run("umount", "/etc/hosts")


def test_nodes_whose_names_are_the_loopback_are_refused(alice, named_loopback):
    done = _ranks(alice, alice.study("loopback", {}), 2, 2)
    assert done.returncode != 0
    assert (
        "RankError: rank 1 of 2 on node2: the node's name, node2, has the address 127.0.1.1"
        in done.stderr
    )


@pytest.fixture
def two_ranks(alice, reference):
    """Start step 1 of a study by two ranks, one on each of two nodes."""

    def start(name):
        study = alice.study(name, clusters.config(ranks=2, checkpoint=0.01), reference)
        return study, alice.started(study, alice.profile(nodes=2), STEP_1)

    return start


@pytest.fixture
def partition(alice, two_ranks):
    """A training of two ranks whose nodes did not see each other for 20 s: its study."""
    study, started = two_ranks("partition")
    with started as process:
        _, node = _in_the_middle(alice, study, process)
        alice.cluster.link(node, "down")
        time.sleep(20)
        alice.cluster.link(node, "up")
    assert process.returncode == 0, alice.said(study)[-6000:]
    assert alice.said(study).count("has been submitted with SLURM jobid") == 1
    assert all(summary["resumed"] == 0 for summary in clusters.summaries(study).values())
    return study


def _in_the_middle(user, study, process):
    """Wait until a training has begun; return its two nodes."""
    assert clusters.wait_for(lambda: clusters.begun(study), process, 300), user.said(study)[-6000:]
    (nodes,) = user.ask("squeue", "--me", "--noheader", "--states=running", "--format=%N").split()
    return user.ask("scontrol", "show", "hostnames", nodes).split()


def test_a_job_of_two_nodes_outlives_a_partition_and_the_death_of_a_node(
    alice, two_ranks, partition, reference
):
    study, started = two_ranks("death")
    with started as process:
        _, node = _in_the_middle(alice, study, process)
        begin, ranks = time.monotonic(), clusters.trainings(study)
        assert len(ranks) == 2
        alice.cluster.link(node, "down")
        # As connections do that nobody closed.
        network = os.open(f"/proc/{alice.cluster.computers[node].pid}/ns/net", os.O_RDONLY)
        alice.cluster.power_off(node)
        clusters.wait_for(lambda: not set(ranks) & set(clusters.trainings(study)))
        assert time.monotonic() - begin < 60
    alice.cluster.boot(node)
    os.close(network)
    alice.cluster.wait_for_nodes(node)
    assert process.returncode == 0, alice.said(study)[-6000:] + clusters.logs(study)
    assert sum(summary["resumed"] for summary in clusters.summaries(study).values()) >= 1
    # On the first of the two and the third.
    (last,) = alice.accounted("NodeList")[-1]
    used = alice.ask("scontrol", "show", "hostnames", last).split()
    assert used == sorted({*alice.cluster.nodes} - {node})
    clusters.assert_same_file(study / STEP_1, partition / STEP_1)
    ratio, one_rank = (clusters.datasets(root / STEP_1)["ratio"] for root in (study, reference))
    # The same seeds and batches; only the order of sums differs, which Adam enlarges.
    np.testing.assert_allclose(ratio, one_rank, rtol=1e-2)
    assert np.std(one_rank) > 0.01
