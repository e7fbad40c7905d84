"""C++ of benchmarks that takes parts from the native engine, and that no other test compiles."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from omniflow.native import FLAGS, PROCESSOR, SOURCES

WORKERS = Path(__file__).parents[2] / "benchmarks" / "workers"


@pytest.mark.parametrize("path", sorted(WORKERS.glob("*.cpp")), ids=lambda path: path.name)
def test_the_compiler_takes_it(path):
    compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
    command = [compiler, *FLAGS, *PROCESSOR, "-DOMNIFLOW_FLOAT=float", f"-I{SOURCES}"]
    done = subprocess.run(
        [*command, "-fsyntax-only", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
