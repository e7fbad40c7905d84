import shutil

import export_samples
import pytest

import omniflow
from omniflow.export.bundle import write


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    return export_samples.varied(tmp_path_factory.mktemp("varied") / "varied")


@pytest.fixture(scope="session")
def written(study, tmp_path_factory):
    """The folder of a bundle; nobody changes it."""
    folder = tmp_path_factory.mktemp("bundles") / "hybrid"
    write(study, "hybrid", output=folder)
    return folder


@pytest.fixture(scope="session")
def bundle(written):
    return omniflow.read_bundle(written)


@pytest.fixture
def copied(written, tmp_path):
    """A bundle that a test may damage."""
    return shutil.copytree(written, tmp_path / "bundle")
