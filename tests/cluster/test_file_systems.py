"""File systems and nodes of clusters, with their ways: clear errors, nothing lost, same numbers."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import clusters
import pytest
from clusters import STEP_1
from nodes import USERS
from users import User

LATE = 5  # seconds for which computers keep what they know of the files of others
# Locks fail as on a network file system without a lock daemon.
NO_LOCKS = """
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""


@pytest.fixture
def bob(cluster):
    return User(cluster, "bob")


@pytest.fixture
def cached(cluster, bob):
    """Every computer keeps names, missing ones too, and sizes of bob's files for some seconds."""
    computers = list(cluster.computers.values())
    kept = [f"{name}_timeout={LATE}" for name in ("entry", "negative", "attr")]
    for computer in computers:
        computer.run("bindfs", "-o", ",".join(kept), bob.scratch, bob.scratch)
    yield
    for computer in computers:
        computer.run("umount", bob.scratch)


def _assert_step_1(study, reference):
    clusters.assert_same_file(study / STEP_1, reference / STEP_1)
    assert not clusters.left_over(study)


def test_files_appear_seconds_late(cached, bob, cluster):
    """What the next tests stand on."""
    one, other = cluster.computers["node1"], cluster.computers["node2"]
    path = bob.scratch / "late.txt"
    assert not _sees(other, path)
    one.run("touch", path)
    assert not _sees(other, path)
    clusters.wait_for(lambda: _sees(other, path), seconds=2 * LATE)


def _sees(computer, path):
    return subprocess.run(computer.enter("test", "-e", path), check=False).returncode == 0


def test_a_study_on_such_files(cached, bob, cluster, reference):
    study = bob.study("late", clusters.config(), reference)
    with bob.started(study, bob.profile(), STEP_1) as process:
        assert clusters.wait_for(lambda: clusters.trainings(study), process)
        # Snakemake on another computer sees that the study is taken.
        words = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--snakefile"]
        words += [clusters.ROOT / "Snakefile", "--cores", "1"]
        command = cluster.computers["node3"].enter(*words, user="bob", folder=study)
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, bob.said(study)[-6000:]
    assert second.returncode != 0
    assert re.search("somebody works on this study: process .* on login", second.stderr)
    _assert_step_1(study, reference)


def test_ranks_meet_on_such_files(cached, bob):
    folder = bob.study("meet", {})
    ranks = clusters.ROOT / "tests" / "cluster" / "rank_process.py"
    words = ["srun", "--nodes=2", "--ntasks=2", sys.executable, ranks, "2", "late", folder]
    done = subprocess.run(bob.enter(folder, *words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_files_without_locks(bob, reference, tmp_path, monkeypatch):
    source, library = tmp_path / "locks.c", bob.scratch / "locks.so"
    source.write_text(NO_LOCKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    study = bob.study("locks", clusters.config())
    monkeypatch.setenv("LD_PRELOAD", str(library))
    bob.finish(study, bob.profile(), STEP_1)
    _assert_step_1(study, reference)


# -- homes and compilers -------------------------------------------------------------------------


@pytest.fixture
def closed_home(cluster, bob):
    """Homes of compute nodes are empty, and nobody can write to them."""
    for name in cluster.nodes:
        cluster.computers[name].run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", bob.home)
    yield
    for name in cluster.nodes:
        cluster.computers[name].run("umount", bob.home)


@pytest.fixture
def without_compiler(cluster):
    """Compute nodes have no C++ compiler."""
    found = {os.path.realpath(path) for name in ("c++", "g++") if (path := shutil.which(name))}
    for name in cluster.nodes:
        for path in found:
            cluster.computers[name].run("mount", "--bind", "/dev/null", path)
    yield
    for name in cluster.nodes:
        for path in found:
            cluster.computers[name].run("umount", path)


def test_homes_of_nodes_that_cannot_be_written_to(closed_home, bob, reference, monkeypatch):
    study = bob.study("home", clusters.config(engine="native"), reference)
    profile = bob.profile()
    status, said = bob.run(study, profile, "--retries", "0", "--", STEP_1)
    assert status != 0
    assert "Compute nodes cannot write to your home" in said, said[-3000:]
    monkeypatch.setenv("XDG_CACHE_HOME", str(bob.scratch / "cache"))
    bob.finish(study, profile, STEP_1)
    _assert_step_1(study, reference)
    assert list((bob.scratch / "cache" / "omniflow").glob("native-*.so"))


def test_nodes_without_a_compiler(without_compiler, bob, reference, monkeypatch):
    profile = bob.profile()
    study = bob.study("compiler", clusters.config(engine="native"), reference)
    # What was compiled for such nodes is used.
    bob.finish(study, profile, STEP_1)
    _assert_step_1(study, reference)
    study = bob.study("no-compiler", clusters.config(engine="native"), reference)
    monkeypatch.setenv("OMNIFLOW_CXXFLAGS", "-DNOT_COMPILED_YET")
    status, _ = bob.run(study, profile, "--retries", "0", "--", STEP_1)
    said = clusters.logs(study)
    assert status != 0
    assert "no C++ compiler is installed; install one" in said, said
    assert "Traceback" not in said


def test_nodes_of_two_kinds_keep_an_engine_each(bob, cluster):
    node, own = cluster.computers["node2"], cluster.folder / "cpuinfo"
    known = Path("/proc/cpuinfo").read_text()
    own.write_text(re.sub(r"(model name\s*:).*", r"\1 Another Processor", known))
    node.run("mount", "--bind", own, "/proc/cpuinfo")
    try:
        found = [
            bob.ask("srun", f"--nodelist={name}", sys.executable, "-c", KEY).strip()
            for name in ("node1", "node2", "node3")
        ]
    finally:
        node.run("umount", "/proc/cpuinfo")
    assert found[0] == found[2] != found[1]
    engines = {path.name for path in (bob.home / ".cache" / "omniflow").glob("native-*.so")}
    assert set(found) <= engines


KEY = """
from pathlib import Path
from omniflow.training.compiler import library
print(Path(library()._name).name)
"""


# -- scratch -------------------------------------------------------------------------------------


@pytest.fixture
def disk(cluster, bob, tmp_path):
    """A small file system that all computers have, as one: where it is, and how to fill it."""
    image, place = tmp_path / "image", bob.scratch / "small"
    place.mkdir()
    subprocess.run(["truncate", "-s", "24M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image], check=True)
    device = subprocess.run(
        ["losetup", "--find", "--show", image], capture_output=True, text=True, check=True
    ).stdout.strip()
    computers = list(cluster.computers.values())
    for computer in computers:
        computer.run("mount", device, place)
    subprocess.run(["mount", device, place], check=True)
    subprocess.run(["losetup", "--detach", device], check=True)  # when nobody has it any more
    shutil.chown(place, USERS["bob"], USERS["bob"])
    yield place
    subprocess.run(["umount", place], check=True)
    for computer in computers:
        computer.run("umount", place)


def test_a_full_scratch(disk, bob, reference):
    study = bob.study("small/full", clusters.config(), reference)
    profile = bob.profile()
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(free - 60_000))
    status, said = bob.run(study, profile, "--retries", "0", "--", STEP_1)
    said += clusters.logs(study)
    assert status != 0
    # By our own message, or by HDF5's where that has filled what was left for the log.
    assert re.search("no space (is )?left on (the )?device", said, re.IGNORECASE), said
    ballast.unlink()
    bob.finish(study, profile, STEP_1)
    _assert_step_1(study, reference)
