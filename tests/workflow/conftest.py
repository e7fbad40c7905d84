import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a checkout consists of as far as packages are concerned.
PARTS = (
    *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "Snakefile"),
    *("workflow", "profiles", "envs", "config", "src"),
)
# What users leave in a checkout, and no package must bring along.
FOREIGN = (
    *("config/mine.yaml", "profiles/mysite/config.v9+.yaml", "workflow/rules/.train.smk.swp"),
    *("src/omniflow/native/build/native-0.so", "results/mine/report.html"),
)
BUILD = "import sys, setuptools.build_meta as build; build.build_{}(sys.argv[1])"


def _build(what, checkout, folder, **environment):
    command = [sys.executable, "-c", BUILD.format(what), str(folder)]
    env = os.environ | environment
    subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=True)
    (built,) = folder.glob("*.whl" if what == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="session")
def build():
    """A function that builds what is named, `wheel` or `sdist`, of a checkout into a folder."""
    return _build


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A checkout in which a user has worked."""
    folder = tmp_path_factory.mktemp("checkout")
    without = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=without)
        else:
            shutil.copy(ROOT / name, folder / name)
    for name in FOREIGN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("foreign")
    return folder


@pytest.fixture(scope="session")
def wheel(checkout, tmp_path_factory):
    """The wheel of a checkout."""
    return _build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def site(wheel, tmp_path_factory):
    """A folder that the wheel is installed into, beside the packages that run the tests."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return folder
