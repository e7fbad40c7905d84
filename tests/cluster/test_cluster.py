"""The cluster of several nodes leaves nothing behind, however it ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from nodes import Cluster, wait_for

STARTER = """
import sys
from nodes import Cluster
Cluster(sys.argv[1], nodes=1)
print("running", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="omniflow-cluster-"))
    yield path
    shutil.rmtree(path)


def _networks():
    """Return the networks that processes of this machine are in, and its own interfaces."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(os.readlink(process / "ns" / "net"))
        except OSError:
            continue  # it has ended meanwhile
    return found, set(os.listdir("/sys/class/net"))


def _processes(folder):
    """Return the processes whose command names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if bytes(folder) in command:
            found.append(command)
    return found


def test_a_cluster_that_is_stopped_leaves_nothing(folder):
    before, mounts = _networks(), Path("/proc/mounts").read_text()
    cluster = Cluster(folder, nodes=2)
    assert cluster.run("srun", "--nodes=2", "hostname").split() in (
        ["node1", "node2"],
        ["node2", "node1"],
    )
    inside, interfaces = _networks()
    assert len(inside - before[0]) == 4  # head, login and the nodes
    assert interfaces == before[1]  # nothing of it is in this machine's network
    cluster.stop()
    wait_for(lambda: _networks() == before, "the end of the networks")
    assert Path("/proc/mounts").read_text() == mounts


def test_a_cluster_whose_starter_is_killed_leaves_nothing(folder):
    before = _networks()
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", STARTER, str(folder)]
    starter = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter.stdin, starter.stdout as said:
        assert said.readline() == "running\n"
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    wait_for(lambda: _networks() == before, "the end of the networks")
    wait_for(lambda: not _processes(folder), "the end of processes")
