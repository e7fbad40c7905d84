import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from clusters import SLURM, config, finish, with_samples, write_config
from nodes import USERS, Cluster


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A running Slurm of one node: the folder with its configuration."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([SLURM, "start", folder], check=True)
    yield folder
    subprocess.run([SLURM, "stop", folder], check=True)


@pytest.fixture(scope="session")
def cluster():
    """A running cluster of three nodes, in a folder that its users can enter."""
    folder = Path(tempfile.mkdtemp(prefix="omniflow-cluster-"))
    found = Cluster(folder)
    give_engine(found)
    yield found
    found.stop()
    shutil.rmtree(folder)


def give_engine(cluster):
    """Put the native engine of this machine where users' jobs look for it."""
    from omniflow.training.compiler import library

    path = Path(library()._name)
    for user, number in USERS.items():
        folder = cluster.folder / "home" / user / ".cache" / "omniflow"
        folder.mkdir(parents=True)
        shutil.copy(path, folder)
        subprocess.run(["chown", "-R", str(number), folder.parent], check=True)


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The study of these tests, finished on this machine without Slurm."""
    folder = write_config(tmp_path_factory.mktemp("reference"), config())
    finish(folder, "local")
    return folder


@pytest.fixture
def study(tmp_path, reference):
    """The same study with its samples prepared, in a folder of its own."""
    return with_samples(reference, tmp_path)
