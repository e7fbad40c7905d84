"""What packages hold: all that a study needs and nothing else."""

import tarfile
import zipfile
from pathlib import Path

from omniflow.native import BASELINE_FLAGS

ROOT = Path(__file__).parents[2]
CONFIGURATIONS = {"closure", "demo", "measurement", "paper", "transfer"}


def _names(wheel):
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def _below(folder):
    """Return the files below a folder, relative to the top, without what Python and make build."""
    files = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path) for path in files if not {"__pycache__", "build"} & set(path.parts)}


def test_a_wheel_holds_the_package_and_the_workflow(wheel):
    package = {name.removeprefix("src/") for name in _below("src/omniflow")}
    workflow = {"Snakefile", "config/schema.json", *_below("workflow")}
    workflow |= {each for each in _below("envs") if each.endswith((".yaml", ".sh"))}
    workflow |= {f"profiles/{name}/config.v9+.yaml" for name in ("default", "local", "slurm")}
    workflow |= {f"config/{name}.yaml" for name in CONFIGURATIONS}
    assert _names(wheel) == package | {f"omniflow/checkout/{name}" for name in workflow}


def test_files_are_those_of_the_checkout_byte_by_byte(wheel):
    with zipfile.ZipFile(wheel) as file:
        for name in ("Snakefile", "workflow/scripts/train.py", "profiles/slurm/config.v9+.yaml"):
            assert file.read(f"omniflow/checkout/{name}") == (ROOT / name).read_bytes()


def test_a_source_distribution_makes_the_same_wheel(wheel, checkout, build, tmp_path):
    packed = build("sdist", checkout, tmp_path)
    with tarfile.open(packed) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
        file.extractall(tmp_path, filter="data")
    assert not [name for name in names if name.startswith(("tests", "results", "benchmarks"))]
    (top,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (tmp_path / "again").mkdir()
    assert _names(build("wheel", top, tmp_path / "again")) == _names(wheel)


def test_with_a_baseline_library_it_is_a_wheel_of_the_platform(wheel, checkout, build, tmp_path):
    """A script stands in for the compiler and writes what it is told to do."""
    script = tmp_path / "c++"
    script.write_text('#!/bin/sh\neval "out=\\${$#}"\necho "$@" > "$out"\n')
    script.chmod(0o755)
    made = build("wheel", checkout, tmp_path, OMNIFLOW_BASELINE="1", CXX=str(script))
    assert "-py3-none-linux_" in made.name
    assert wheel.name.endswith("-py3-none-any.whl")
    assert _names(made) - _names(wheel) == {"omniflow/native/baseline.so"}
    with zipfile.ZipFile(made) as file:
        words = file.read("omniflow/native/baseline.so").decode().split()
    assert set(BASELINE_FLAGS) <= set(words)
    assert "-march=native" not in words
    assert [Path(word).name for word in words if word.endswith(".cpp")] == [
        "gather.cpp",
        "pet.cpp",
        "sets.cpp",
    ]
