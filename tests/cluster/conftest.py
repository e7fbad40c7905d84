import subprocess

import pytest
from clusters import SLURM, config, finish, with_samples, write_config


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A running Slurm of one node: the folder with its configuration."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([SLURM, "start", folder], check=True)
    yield folder
    subprocess.run([SLURM, "stop", folder], check=True)


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
